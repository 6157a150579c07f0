"""The command learning-curve: its table, picture and answers, and what it refuses before it fits anything."""

import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipeline import catalogue
from tests.running import pipeline, run_in, write_params
from tests.warm import Warm

SMALL = ("learning-curve", "--sizes", "3", "--seeds", "2")
FILES = (Path("learning-curve.csv"), Path("learning-curve.png"))
FITS = Path(catalogue.LEARNING_CURVE)
# The command, which kills itself before its fourth fit is whole.
KILLED = f"""
import os, signal, sys
from pipeline import cli
from pipeline.store import writing
put, done = writing.put_in_place, []
def put_or_die(whole, path):
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(path)
    put(whole, path)
writing.put_in_place = put_or_die
sys.argv = ["pipeline", *{SMALL}, "--workers", "1"]
cli.main()
"""
QUICK = {
    "train.epochs": 1,
    "train.learning_rate": 0.0003,
    "train.batch_size": 8,
    "split.production": {"train": 0.6, "dev": 0.2, "test": 0.2},
    "split.train_dev": 0.1,
    "augment.copies.count": 0,
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage before train ran."""
    return run_in(tmp_path_factory.mktemp("learning"), "ingest", "curate", "split", "balance", "augment", **QUICK)


@pytest.fixture(autouse=True)
def _inside(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    write_params(prepared, **QUICK)


def test_a_curve_for_all_and_for_each_role(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ended = pipeline(capsys, monkeypatch, *SMALL)
    assert ended.code == 0
    assert "14 fits of train.model: 14 to make\n" in ended.err
    points = pd.read_csv("learning-curve.csv")
    assert points.groupby(["curve", "share"]).size().to_dict() == {
        ("all", 0.25): 2, ("all", 0.5): 2, ("all", 1.0): 2, ("raw", 0.25): 2, ("raw", 0.5): 2,
        ("production", 0.25): 2, ("production", 0.5): 2,
    }  # fmt: skip
    whole = points[points["share"] == 1].iloc[0]
    assert whole["all"] == whole["raw"] + whole["production"]
    assert set(points.loc[points["curve"] == "raw", "production"]) == {whole["production"]}
    assert points["error"].between(0, 1).all()
    assert points["error"].nunique() > 5
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


def test_a_killed_one_goes_on_and_ends_with_the_same_bytes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path, warm: Warm
) -> None:
    shutil.rmtree(FITS, ignore_errors=True)
    whole = pipeline(capsys, monkeypatch, *SMALL)
    undisturbed, kept = [path.read_bytes() for path in FILES], contents()
    assert len(kept) == 14

    shutil.rmtree(FITS)
    ended = warm.run(prepared, KILLED)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert sorted(path.suffix for path in FITS.rglob("*.*")) == [".partial"] + [".pt"] * 3
    again = pipeline(capsys, monkeypatch, *SMALL)
    assert "14 fits of train.model: 3 finished before and kept in data/learning-curve, 11 to make\n" in again.err
    assert again.out == whole.out
    assert [path.read_bytes() for path in FILES] == undisturbed
    assert contents() == kept


def test_more_seeds_take_the_fits_of_fewer_and_other_params_take_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    pipeline(capsys, monkeypatch, *SMALL)
    few, runs = pd.read_csv(FILES[0]), list(FITS.iterdir())
    more = pipeline(capsys, monkeypatch, "learning-curve", "--sizes", "3", "--seeds", "3")
    assert "21 fits of train.model: 14 finished before and kept in data/learning-curve, 7 to make\n" in more.err
    points = pd.read_csv(FILES[0])
    assert points[points["seed"] < 2].reset_index(drop=True).equals(few)
    # What only measures takes no new fit; what shapes one takes all anew.
    write_params(prepared, **{**QUICK, "evaluate.bootstrap": 200})
    assert "21 finished before" in pipeline(capsys, monkeypatch, "learning-curve", "--sizes", "3").err
    write_params(prepared, **{**QUICK, "train.learning_rate": 0.01})
    assert "14 fits of train.model: 14 to make" in pipeline(capsys, monkeypatch, *SMALL).err
    assert not pd.read_csv(FILES[0])["error"].equals(few["error"])
    # The others are gone.
    assert len(list(FITS.iterdir())) == len(runs) == 1
    assert len(contents()) == 14


def contents() -> dict[str, bytes]:
    """Of the fits that are kept, by name."""
    return {path.name: path.read_bytes() for path in FITS.rglob("*.*")}
