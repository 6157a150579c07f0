"""Files: round trips, putting in place, and words for all that can be wrong with a file."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from dvc_render import VegaRenderer
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, StorageError
from pipeline.store import artifacts as storage
from pipeline.store import checked
from pipeline.store.curves import Curves
from tests.examples import REPOSITORY, curated
from tests.pages import parsed
from tests.store.building import written

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = curated({"cat": 3, "dog": 2}, {"dog": 1, "cat": 2})


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data/curate", "data/ingest/web", "reports/split"):
        Path(folder).mkdir(parents=True)


def test_a_report_has_sorted_keys_and_readable_letters() -> None:
    path = written(catalogue.SPLIT_METRICS, {"b": 1, "a": {"ü": 0.5, "k": None}})
    assert path.read_text() == '{\n  "a": {\n    "k": null,\n    "ü": 0.5\n  },\n  "b": 1\n}\n'
    assert catalogue.SPLIT_METRICS.read(path) == json.loads(path.read_text())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_report_refuses_what_is_no_number_and_writes_nothing(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        written(catalogue.SPLIT_METRICS, {"a": value})
    assert not Path(catalogue.SPLIT_METRICS.path).exists()


@settings(deadline=None, max_examples=100)
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_name_survives_a_table(names: list[str]) -> None:
    table = storage.table("t.csv")
    # A folder before each name, because a CSV file cannot tell the text "1" from the number.
    frame = pd.DataFrame({"path": [f"cat/{name}" for name in names], "n": range(len(names))})
    pd.testing.assert_frame_equal(table.read(written(table, frame)), frame, check_dtype=False)


@pytest.mark.parametrize("name", ["NA", "null", "", 'say "cheese".png', "a\nb", "a,b", "Icon\r", "NA\r\n", " x ", "'"])
def test_an_odd_name_survives_a_table(name: str) -> None:
    table = storage.table("t.csv")
    assert table.read(written(table, pd.DataFrame({"path": [name, "z"]})))["path"].tolist() == [name, "z"]


# Folders of several outs, and what may be missing.
UNMADE = {
    "CODE_MEMO",
    "EMBEDDINGS",
    "CURATE_SCENE_PAIRS",
    "CURATE_GROUPS",
    "MAP_PLACES",
    "INGESTED_SOURCES",
    "ORIGINALS",
    "COPIES",
    "SAMPLE_WEB",
    "SAMPLE_PHONE",
    "LATENCY",
    "LEDGER",
    "FEEDBACK",
    "DECISIONS",
    "PAIR_DECISIONS",
}
MADE = {
    name: artifact.named(name="web")
    for name, artifact in vars(catalogue).items()
    if isinstance(artifact, storage.Artifact) and name not in UNMADE
}


def test_no_spreadsheet_program_runs_the_name_of_a_file() -> None:
    paths = ['=HYPERLINK("http://example.invalid")', "+1.png", "-rf", "@a", "'=b", "cat/=1.png", ""]
    frame = pd.DataFrame({"path": paths, "reason": "empty", "detail": "=1+1", "rows": range(-3, 4)})
    for artifact in (
        catalogue.INGEST_REJECTED,
        catalogue.CURATE_REMOVED,
        catalogue.CURATE_NEAR,
        catalogue.SPLIT_EXCLUDED,
    ):
        artifact.write(frame, Path("t.csv"))
        lines = Path("t.csv").read_text().splitlines()
        assert not [line for line in lines[1:] if line[1] in "=+-@"]
        assert lines[6] == '"cat/=1.png","empty","\'=1+1",2'
        pd.testing.assert_frame_equal(artifact.read(Path("t.csv")), frame, check_dtype=False)


def drawn_by_dvc() -> list[storage.Artifact]:
    """The tables of texts that dvc.yaml's plots name."""
    plots = YAML(typ="safe").load((REPOSITORY / "pipeline/project/dvc_plots.yaml").read_text())["plots"]
    named = {path for plot in plots for path, how in (plot.items() if isinstance(plot, dict) else ())}
    of_them = [artifact for artifact in MADE.values() if artifact.path in named]
    # Names of gaps are the package's own words.
    return [artifact for artifact in of_them if artifact != catalogue.DIAGNOSIS_GAPS]


def test_no_name_runs_in_the_page_of_dvcs_plots() -> None:
    hostile = ["</script><script>alert(1)</script>", "<!-- <script>", "a<b", "<\u2060/script>", "=</SCRIPT >", "plain"]
    frame = pd.DataFrame({"label": hostile, "</script>": hostile, "recall": 0.5})
    assert len(drawn_by_dvc()) >= 5
    for artifact in drawn_by_dvc():
        artifact.write(frame, Path("t.csv"))
        pd.testing.assert_frame_equal(artifact.read(Path("t.csv")), frame)
        points = pd.read_csv("t.csv").to_dict("records")
        plot = VegaRenderer(points, "t.csv", template="bar_horizontal", x="recall", y="label").generate_html()
        assert [tag for tag, _ in parsed(plot).elements] == ["div", "script"]
        assert "<!--" not in plot


@pytest.mark.parametrize("name", MADE)
def test_a_missing_file_names_the_stage_that_makes_it(name: str) -> None:
    path = Path(MADE[name].path)
    with pytest.raises(
        MissingInputError,
        match=rf"^{path}(/metrics\.json)? is missing: run `dvc repro ((final|data)/dvc\.yaml:)?{path.parts[1]}`$",
    ):
        MADE[name].read(path)


@pytest.mark.parametrize(
    ("artifact", "content"),
    [
        (catalogue.SPLIT_METRICS, b'{"a": '),
        (catalogue.SPLIT_METRICS, b"\xff"),
        (catalogue.INGEST_REJECTED.named(name="web"), b""),
        (catalogue.INGEST_REJECTED.named(name="web"), b"path\n\xff\xfe\n"),
        (catalogue.INGEST_REJECTED.named(name="web"), b'path,reason\n"a,b\n'),
    ],
    ids=["cut JSON", "no text", "empty table", "table of no text", "open quote"],
)
def test_a_damaged_file_names_the_stage_that_makes_it(artifact: storage.Artifact, content: bytes) -> None:
    path = Path(artifact.path)
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"^{path} is not (readable JSON|a readable CSV file) \((?s:.*)\): run `dvc repro "
    ):
        artifact.read(path)


WRITES: dict[str, tuple[storage.Artifact, object]] = {
    "manifest": (catalogue.CURATED, ROWS),
    "table": (catalogue.CURATE_REMOVED, pd.DataFrame({"id": ["x" * 2000]})),
    "report": (catalogue.CURATE_METRICS, {"a": "x" * 2000}),
    "text": (catalogue.DIAGNOSIS_TEXT, "x" * 2000),
    "bytes": (catalogue.MODEL, bytes(2000)),
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_full_disk_is_said_in_words(kind: str) -> None:
    artifact, value = WRITES[kind]
    with pytest.raises(StorageError, match=r"^/dev/full: No space left on device\. Free space, then run"):
        artifact.write(value, Path("/dev/full"))


@pytest.mark.parametrize("content", [b'{"a": ', b"\xff", b"[1]", b"3"])
def test_what_only_saves_work_counts_for_nothing_when_it_is_damaged(content: bytes) -> None:
    path = Path(catalogue.LATENCY.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert catalogue.LATENCY.read(path) is None


def test_curves_have_every_epoch_and_their_metrics_are_the_kept_ones() -> None:
    epochs = [{"train/loss": 1.0, "dev/optimizing": 0.5}, {"train/loss": 0.5, "dev/optimizing": 0.9}]
    epochs.append({"train/loss": 0.25, "dev/optimizing": 0.7})
    folder = written(catalogue.CURVES, Curves(epochs, kept=1))
    found = json.loads((folder / "metrics.json").read_text())
    assert found == {"train": {"loss": 0.5}, "dev": {"optimizing": 0.9}, "step": 1}
    curve = pd.read_csv(folder / "plots/metrics/train/loss.tsv", sep="\t")
    assert curve[["step", "loss"]].to_numpy().tolist() == [[0, 1.0], [1, 0.5], [2, 0.25]]
    assert catalogue.CURVES.read(folder) == Curves(sorted_epochs(epochs), 1)


def sorted_epochs(epochs: list[dict[str, float]]) -> list[dict[str, float]]:
    return [dict(sorted(epoch.items())) for epoch in epochs]


@pytest.mark.parametrize("content", ["step\tloss\n0\t\n", "step\tother\n0\t1\n", "step\tloss\n0\tx\n"])
def test_a_curve_without_numbers_is_named(content: str) -> None:
    folder = written(catalogue.CURVES, Curves([{"train/loss": 1.0}], kept=0))
    (folder / "plots/metrics/train/loss.tsv").write_text(content)
    (folder / checked.CHECKSUMS).unlink()  # of a version without them
    with pytest.raises(DataError, match=r"loss\.tsv is not a curve of numbers \(.*\): run `dvc repro train`$"):
        catalogue.CURVES.read(folder)
