"""What stages and commands read again of earlier runs: other forms are refused by name, pipes are not waited for."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError
from pipeline.report_schemas import EVALUATION
from pipeline.store.artifacts import Artifact, check_schema
from pipeline.store.curves import Curves
from pipeline.store.writing import write_files
from tests.running import run

SPLIT = {"images": 3, "optimizing": 0.5, "low": 0.4, "high": 0.6}
OF_ROLE = {
    "images": 4,
    "label_issues": 1,
    "wrong_share": 0.1,
    "accuracy": 0.5,
    "low": 0.0,
    "high": 0.2,
    "at_least": 0.0,
}
LABELS = {**OF_ROLE, "roles": {"raw": OF_ROLE}}
LATENCY = {"model": "m", "machine": "x", "threads": 1, "latency_p95_ms": 1.5}
REPORTS: dict[str, tuple[Artifact, dict[str, Any]]] = {
    "verdict": (catalogue.VERDICT, {"model": "m", "accepted": True, "broken": ["size"]}),
    "label_issues": (catalogue.LABEL_ISSUES_METRICS, {"model": {"name": "m", "why": "x"}, "dev": LABELS}),
}
READ = [value for value in vars(catalogue).values() if isinstance(value, Artifact) and Path(value.path).suffix]


def places(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where the values of a report stand."""
    inside = (
        [place for key, part in value.items() for place in places(part, (*at, key))] if isinstance(value, dict) else []
    )
    return [*([at] if at else []), *inside]


def changed(value: dict[str, Any], place: tuple[str, ...], how: str) -> dict[str, Any]:
    new = copy.deepcopy(value)
    holder = new
    for part in place[:-1]:
        holder = holder[part]
    old = holder.pop(place[-1])
    if how == "flipped key":
        holder[chr(ord(place[-1][0]) ^ 1) + place[-1][1:]] = old
    elif how != "gone":
        holder[place[-1]] = json.loads(how)
    return new


@pytest.mark.parametrize("how", ["flipped key", "gone", "null", '{"a": 1}', '"x"', "[1]", "1e999"])
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_lacks_what_is_read_of_it_is_named(name: str, how: str, tmp_path: Path) -> None:
    artifact, value = REPORTS[name]
    place = tmp_path / "report.json"
    for at in places(value):
        if name == "label_issues" and at[-2:-1] == ("roles",) and how in ("gone", "flipped key"):
            continue  # another role is none
        if (at == ("model",) or (at[:1] == ("model",) and len(at) == 2)) and how == '"x"':
            continue
        place.write_text(json.dumps(changed(value, at, how)))
        with pytest.raises(
            DataError,
            match=r"report\.json (does not have the form that this version writes \(|is damaged or of another version)",
        ):
            artifact.read(place)
    artifact.write({**value, "more": LABELS}, place)
    assert artifact.read(place) == {**value, "more": LABELS}


@pytest.mark.parametrize("text", ["[]", "null", "3", "[" * 100_000, "\ufeff{}", "{", '"'])
def test_what_is_no_report_at_all_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(
        DataError, match=r"report\.json (does not have the form|is not readable JSON|is damaged or of another version)"
    ):
        catalogue.VERDICT.read(tmp_path / "report.json")


def test_a_memo_of_another_form_is_measured_anew(tmp_path: Path) -> None:
    place = tmp_path / "latency.json"
    catalogue.LATENCY.write(LATENCY, place)
    assert catalogue.LATENCY.read(place) == LATENCY
    catalogue.LATENCY.write({**LATENCY, "latency_p95_ms": "fast"}, place)
    assert catalogue.LATENCY.read(place) is None


def test_the_summary_asks_for_the_numbers_that_it_shows() -> None:
    whole = {"accepted": True, "limits": {}, "train": SPLIT, "train_dev": SPLIT, "dev": SPLIT}
    check_schema(whole, EVALUATION, Path("metrics.json"))
    for place in places(whole):
        if place != ("limits",):
            with pytest.raises(DataError, match=r"^metrics\.json does not have the form"):
                check_schema(changed(whole, place, "flipped key"), EVALUATION, Path("metrics.json"))


@pytest.mark.parametrize("summary", ["{}", '{"step": -1}', '{"step": "0"}', '{"step": 2}', "[]"])
def test_curves_without_the_kept_epoch_are_named(summary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots/metrics").mkdir(parents=True)
    (tmp_path / "plots/metrics/loss.tsv").write_text("step\tloss\n0\t0.5\n1\t0.4\n")
    (tmp_path / "metrics.json").write_text('{"step": 1}')
    assert catalogue.CURVES.read(tmp_path) == Curves([{"loss": 0.5}, {"loss": 0.4}], 1)
    (tmp_path / "metrics.json").write_text(summary)
    with pytest.raises(DataError):
        catalogue.CURVES.read(tmp_path)


@pytest.mark.parametrize("artifact", READ, ids=lambda one: one.path)
def test_a_pipe_in_place_of_a_file_is_not_waited_for(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Path(artifact.path)
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    if artifact is catalogue.LEDGER:
        run(tmp_path, "git", "init", "--quiet")  # which is asked for earlier test evaluations
        run(tmp_path, "git", "commit", "--quiet", "--allow-empty", "--message", "Set up")
    if artifact in (catalogue.LATENCY, catalogue.CODE_MEMO):
        assert artifact.read(place) is None
        return
    if artifact in (catalogue.CURATE_SCENE_PAIRS, catalogue.MAP_PLACES):
        assert artifact.read(place).empty  # what a stage only remembers is made again
        return
    # What people write no command brings back.
    next_step = "put a file in its place$" if place.parts[0] == "feedback" else "remove it, then run `dvc repro"
    with pytest.raises(DataError, match=f"is a pipe, a socket or a device, not a file: {next_step}"):
        artifact.read(place)
    place.unlink()
    place.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="is a pipe, a socket or a device"):
        artifact.read(place)
    place.unlink()
    if artifact not in (
        catalogue.LEDGER,
        catalogue.DECISIONS,
        catalogue.PAIR_DECISIONS,
        catalogue.CURATE_GROUPS,
    ):  # nobody has written them yet
        with pytest.raises(MissingInputError):
            artifact.read(place)


# Without names of users, or written by another part of the package, which has its own test.
OTHERS = ("reliability", "gaps", "feedback")
TABLES = [one for one in READ if one.path.endswith(".csv") and not any(name in one.path for name in OTHERS)]


@pytest.mark.parametrize("artifact", TABLES, ids=lambda one: one.path)
def test_no_table_with_names_of_users_holds_a_formula(artifact: Artifact, tmp_path: Path) -> None:
    names = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "'quoted", "plain"]
    frame = pd.DataFrame({"label": names, "=header": names})
    place = tmp_path / "table.csv"
    write_files({place: b""})
    artifact.write(frame, place)
    cells = [cell.lstrip('"') for line in place.read_text().splitlines() for cell in line.split('","')]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))] == []
    pd.testing.assert_frame_equal(artifact.read(place).astype(object), frame.astype(object))


def test_labels_that_no_model_can_check_have_a_report_that_says_so(tmp_path: Path) -> None:
    artifact, value = catalogue.LABEL_ISSUES_METRICS, {"checked": False, "model": {"name": "none", "why": "several"}}
    artifact.write(value, tmp_path / "report.json")
    assert artifact.read(tmp_path / "report.json") == value
