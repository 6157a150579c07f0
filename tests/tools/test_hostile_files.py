"""Commands that read people's files lose a hostile one, and say so; the others go on, and the terminal stays clean."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.images.rejection import Rejection
from pipeline.tools.audit import inspection
from pipeline.tools.image_files import pictures
from pipeline.workers.engine import Engine
from pipeline.workers.pool import stop_all
from tests.hostile import FILES
from tests.images.pictures import ingest
from tests.running import pipeline, pipeline_alone, write_params

LIMITS: dict[str, Any] = {"max_bytes": 1_000_000, "max_memory_mb": 256, "max_seconds": 1}
QUICK = ["greedy.png", "corrupt.jpg", "bomb.png", "cut.jpg", "text bomb.png", "large.png", "page.jpg"]
HARMFUL = ["slow.jpg", *QUICK]


@pytest.fixture(autouse=True)
def new_workers() -> Iterator[None]:
    """Those that another test left would write to its terminal."""
    stop_all()
    yield
    stop_all()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    return tmp_path


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "photos" / name).write_bytes(FILES[name][0])


def test_an_audit_names_what_a_hostile_file_cost_and_checks_the_others(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "SMALL", inspection.SMALL.model_copy(update=LIMITS))
    names = [*HARMFUL, "good.jpg", "a JPEG named.png"]
    write(folder, *names)
    splits = ["train"] * (len(names) - 1) + ["test"]
    rows = pd.DataFrame({"path": [f"photos/{name}" for name in names], "label": "cat", "split": splits})
    rows.to_csv("table.csv", index=False)
    ended = pipeline(capfd, monkeypatch, "audit", "table.csv")
    assert ended.code == 8
    assert "1 leaks (1 exact)" in ended.err
    assert "Corrupt JPEG" not in ended.err
    found = dict(re.findall(r"photos/([\w ]+\.\w+) \(cat\), row \d+ of table\.csv: (\w+): ", ended.out))
    assert found == {
        "slow.jpg": "timeout",
        "greedy.png": "too_large",
        "bomb.png": "too_many_pixels",
        "cut.jpg": "truncated",
        "text bomb.png": "too_many_bytes",
        "large.png": "too_many_bytes",
        "page.jpg": "not_an_image",
    }


def test_a_preview_leaves_hostile_files_out(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params(folder, **{f"ingest.{name}": value for name, value in LIMITS.items()})
    write(folder, *QUICK, "good.jpg")
    ended = pipeline_alone(capfd, monkeypatch, "preview", "photos", "--images", "20", "--copies", "1")
    assert (ended.code, ended.out) == (0, "preview.png\n")
    assert ended.err.startswith("note: photos: not images, or unreadable: ")
    assert ended.err.count("\n") == 1
    write(folder, "slow.jpg")
    ended = pipeline_alone(capfd, monkeypatch, "preview", "photos/slow.jpg")
    assert ended.code == 5
    assert ended.err == "error: photos/slow.jpg cannot be shown: timeout: not decoded in 1 seconds of CPU time\n"


def test_pictures_for_a_model_obey_its_limits(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(folder, *QUICK, "good.jpg")
    paths = [f"photos/{name}" for name in [*QUICK, "good.jpg"]]
    limits = ingest(**LIMITS, codec_warnings="reject", max_pixels=50_000_000)
    found = pictures(paths, limits, Engine(1), "predict")
    reasons = {path: one.reason for path, one in zip(paths, found, strict=True) if isinstance(one, Rejection)}
    expected = {f"photos/{name}": FILES[name][1] for name in QUICK} | {"photos/corrupt.jpg": "codec_warning"}
    assert reasons == expected
    assert capfd.readouterr().err == ""
