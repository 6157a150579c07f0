"""The command learning-curve: its table, picture and answers, and what it refuses before it fits anything."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.running import pipeline, run_stages, write_params, write_tiny_sources

# Lightning warns of few batches, and of its own use of torch.
pytestmark = pytest.mark.filterwarnings("ignore:::lightning.*")
QUICK = {
    "train.epochs": 1,
    "train.batch_size": 8,
    "split.production": {"train": 0.6, "dev": 0.2, "test": 0.2},
    "split.train_dev": 0.1,
    "augment.copies.count": 0,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage before train ran."""
    folder = tmp_path_factory.mktemp("learning")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_tiny_sources(folder)
        write_params(folder, **QUICK)
        run_stages("ingest", "curate", "split", "balance", "augment")
    return folder


@pytest.fixture(autouse=True)
def _inside(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    write_params(prepared, **QUICK)


def test_a_curve_for_all_and_for_each_role(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ended = pipeline(capsys, monkeypatch, "learning-curve", "--sizes", "3", "--seeds", "2")
    assert ended.code == 0
    points = pd.read_csv("learning-curve.csv")
    assert points.groupby(["curve", "share"]).size().to_dict() == {
        ("all", 0.25): 2, ("all", 0.5): 2, ("all", 1.0): 2, ("raw", 0.25): 2, ("raw", 0.5): 2,
        ("production", 0.25): 2, ("production", 0.5): 2,
    }  # fmt: skip
    whole = points[points["share"] == 1].iloc[0]
    assert whole["all"] == whole["raw"] + whole["production"]
    assert set(points.loc[points["curve"] == "raw", "production"]) == {whole["production"]}
    assert points["error"].between(0, 1).all()
    with Image.open("learning-curve.png") as picture:
        assert picture.size == (800, 500)
    lines = ended.out.splitlines()
    assert ["the images" in lines[0], "the raw images" in lines[1], "the production images" in lines[2]] == [True] * 3
    assert lines[3] == "learning-curve.csv, learning-curve.png: the points and the curves through them"


def test_too_few_images_and_too_large_batches_are_said_before_anything_is_fitted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    many = pipeline(capsys, monkeypatch, "learning-curve", "--sizes", "9")
    assert many.code == 5
    assert "train has too few images for a learning curve: the class" in many.err
    write_params(prepared, **{**QUICK, "train.batch_size": 60})
    large = pipeline(capsys, monkeypatch, "learning-curve", "--sizes", "3")
    assert large.code == 3
    assert "train.batch_size is 60, and the smallest part of train has" in large.err
