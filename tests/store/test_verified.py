"""Tables, metrics and pictures: a flipped bit is an error for whoever reads them, although plain programs open them."""

import csv
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import DataError, PipelineError
from pipeline.project.runner import write_all
from pipeline.stage import Stage
from pipeline.store.artifacts import Artifact
from pipeline.store.verified import is_whole_png
from tests.examples import encoded, picture

FLIPS = 1000
CHECKSUMS = Path("reports/curate/checksums.json")
WRITTEN: dict[str, tuple[Artifact, Any]] = {
    "removed": (catalogue.CURATE_REMOVED, pd.DataFrame({"id": ["web/a,ä.png", "web/b.png"], "reason": ["copy", "=x"]})),
    "gaps": (catalogue.CURATE_NEAR, pd.DataFrame({"id": ["a"], "distance": [3]})),
    "metrics": (catalogue.CURATE_METRICS, {"images": 12, "share": 0.25, "sources": {"web": {"kept": 3}}}),
    "sheet": (catalogue.CURATE_ISSUES, encoded(picture(1))),
}


class Outputs:
    """What a stage's function returns."""

    summary = ""

    def __init__(self, **values: Any) -> None:
        vars(self).update(values)


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written() -> list[Path]:
    """The files of a stage with two tables, metrics and a sheet; the last one has their checksums."""
    stage = Stage("curate", Outputs, writes={name: artifact for name, (artifact, _) in WRITTEN.items()})
    write_all(stage, Outputs(**{name: value for name, (_, value) in WRITTEN.items()}))
    return [*(Path(artifact.path) for artifact, _ in WRITTEN.values()), CHECKSUMS]


def reading(name: str) -> Any:
    """What a file says, or None where reading it ends with an error for the user."""
    artifact, _ = WRITTEN[name]
    with suppress(PipelineError):
        return artifact.read(Path(artifact.path))
    return None


def test_of_a_thousand_flipped_bits_none_is_used_silently() -> None:
    draw = random.Random(1)
    files = written()
    right = {name: reading(name) for name in WRITTEN}
    for number in range(FLIPS):
        path = files[number % len(files)]
        before = path.read_bytes()
        content = bytearray(before)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        if path == CHECKSUMS:
            name = draw.choice([*WRITTEN])
            found = reading(name)
            assert found is None or _same(found, right[name]), content
        else:
            assert reading([*WRITTEN][files.index(path)]) is None, (path, content)
        path.write_bytes(before)


def _same(found: Any, value: Any) -> bool:
    return bool(found.equals(value)) if isinstance(value, pd.DataFrame) else bool(found == value)


def test_the_message_names_the_file_and_what_makes_it_again() -> None:
    written()
    table = Path(catalogue.CURATE_REMOVED.path)
    table.write_text(table.read_text().replace("copy", "cop1"))
    with pytest.raises(
        DataError, match=r"removed\.csv is damaged, edited or of another run: it does not match"
    ) as error:
        catalogue.CURATE_REMOVED.read(table)
    assert str(error.value).endswith("run `pipeline doctor --fix`, then `dvc repro curate`")
    sheet = Path(catalogue.CURATE_ISSUES.path)
    sheet.write_bytes(sheet.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"issues\.png is damaged or edited: run `pipeline doctor --fix`, then"):
        catalogue.CURATE_ISSUES.read(sheet)


def test_plain_programs_read_the_files_as_before() -> None:
    written()
    with Path(catalogue.CURATE_REMOVED.path).open(encoding="utf-8", newline="") as file:
        assert next(iter(csv.reader(file))) == ["id", "reason"]
    assert json.loads(Path(catalogue.CURATE_METRICS.path).read_text()) == WRITTEN["metrics"][1]


def test_files_of_a_version_without_checksums_are_read() -> None:
    written()
    CHECKSUMS.unlink()
    assert all(reading(name) is not None for name in WRITTEN)


def test_files_of_two_runs_do_not_pass_for_one() -> None:
    """A kill may end a run after it moved the first of its files into place."""
    written()
    old = Path(catalogue.CURATE_METRICS.path).read_bytes()
    stage = Stage("curate", Outputs, writes={"metrics": catalogue.CURATE_METRICS})
    write_all(stage, Outputs(metrics={"images": 13}))
    Path(catalogue.CURATE_METRICS.path).write_bytes(old)
    with pytest.raises(DataError, match="of another run"):
        catalogue.CURATE_METRICS.read(Path(catalogue.CURATE_METRICS.path))


def test_a_project_is_read_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written()
    place = tmp_path / catalogue.CURATE_METRICS.path
    place.write_text(place.read_text().replace("12", "13"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="does not match"):
        catalogue.CURATE_METRICS.read(place)


@pytest.mark.parametrize("cut", [1, 4, 12, 20])
def test_a_png_that_is_cut_or_longer_is_not_whole(cut: int) -> None:
    whole = encoded(picture(2))
    assert is_whole_png(whole)
    assert not is_whole_png(whole[:-cut])
    assert not is_whole_png(whole + b"\0" * cut)
