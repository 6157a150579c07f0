"""Fits that were kept come back whole under their key, or not at all."""

from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import StorageError
from pipeline.training.kept_fits import KeptFits
from tests.examples import full_disk


@pytest.fixture
def kept(tmp_path: Path) -> KeptFits:
    return KeptFits(tmp_path / "fits", "run")


@pytest.fixture
def predictions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["a", "b"], "group": ["a", "b"], "split": ["dev", "dev"], "label": ["x", "y"],
            "predicted": ["x", "x"], "confidence": [0.75, 0.5], "probability_x": [0.75, 0.5],
            "probability_y": [0.25, 0.5],
        }
    )  # fmt: skip


def test_they_come_back_under_their_key_and_run_alone(kept: KeptFits, predictions: pd.DataFrame) -> None:
    assert kept.read("key") is None
    kept.keep("key", predictions)
    found = kept.read("key")
    assert found is not None
    assert found.astype(predictions.dtypes).equals(predictions)
    assert kept.read("other") is None
    assert KeptFits(kept.folder, "other").read("key") is None


def test_a_damaged_one_is_none(kept: KeptFits, predictions: pd.DataFrame) -> None:
    kept.keep("key", predictions)
    place = kept.folder / "run/key.arrow"
    place.write_bytes(place.read_bytes()[:-100])
    assert kept.read("key") is None
    place.write_bytes(b"")
    assert kept.read("key") is None


def test_those_of_other_runs_and_halves_are_dropped(kept: KeptFits, predictions: pd.DataFrame) -> None:
    kept.drop_stale()
    kept.keep("key", predictions)
    KeptFits(kept.folder, "other").keep("key", predictions)
    (kept.folder / "run/.half.arrow.partial").write_bytes(b"half")
    kept.drop_stale()
    assert [path.relative_to(kept.folder).as_posix() for path in sorted(kept.folder.rglob("*"))] == [
        "run",
        "run/key.arrow",
    ]


def test_a_full_disk_leaves_no_half(kept: KeptFits, predictions: pd.DataFrame) -> None:
    with full_disk(500), pytest.raises(StorageError):
        kept.keep("key", predictions)
    assert list((kept.folder / "run").iterdir()) == []
