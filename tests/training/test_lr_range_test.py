"""The learning-rate range test: its rates, its end and its rule."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.errors import DataError
from pipeline.tools.lr_range import write_curve
from pipeline.training.lr_range_test import RateRange, rate_range, suggest
from tests.fits import SGD, TRAIN, Epochs, metric_named, network_for, train_params

RATES = np.geomspace(1e-6, 10, 100)


def test_the_steepest_fall_is_suggested() -> None:
    """A loss that falls as a logistic curve around 1e-3 and runs away from 1 on."""
    position = np.log10(RATES)
    losses = 2 - 1.5 / (1 + np.exp(-4 * (position + 3))) + np.exp(3 * position)
    assert suggest(RATES, losses) == pytest.approx(1e-3, rel=0.1)


def test_a_loss_that_only_rises_suggests_nothing() -> None:
    with pytest.raises(DataError, match=r"^the loss did not fall at any rate: start lower \(--low\)"):
        suggest(RATES, np.linspace(1, 2, 100))


def found(high: float = 10.0) -> RateRange:
    train = train_params(optimizer=SGD)
    batches, metric = Epochs(TRAIN, 16, seed=1), metric_named("accuracy")
    return rate_range(network_for(train), batches, train, metric, 1e-5, high, 60, lambda _: None)


def test_rates_rise_by_a_constant_factor_until_the_loss_runs_away() -> None:
    curve = found(1e3).curve
    steps = np.diff(np.log(curve["rate"]))
    np.testing.assert_allclose(steps, steps[0])
    assert curve["rate"].iloc[0] == pytest.approx(1e-5)
    assert len(curve) < 60
    assert curve["smoothed"].iloc[-1] > 4 * curve["smoothed"].min() or not np.isfinite(curve["loss"]).all()


def test_the_suggested_rate_lies_before_the_lowest_loss_and_comes_twice_alike() -> None:
    first, second = found(), found()
    lowest = first.curve["rate"].to_numpy()[int(first.curve["smoothed"].argmin())]
    assert 1e-5 < first.suggested <= lowest
    assert first.suggested == second.suggested
    assert first.curve.equals(second.curve)


def test_the_table_and_the_picture_are_written_alike_twice(tmp_path: Path) -> None:
    curve = pd.DataFrame({"rate": RATES, "loss": np.linspace(2, 1, 100), "smoothed": np.linspace(2, 1, 100)})
    files = write_curve(RateRange(curve, 1e-3), tmp_path / "curve")
    before = [path.read_bytes() for path in files]
    assert [path.name for path in files] == ["curve.csv", "curve.png"]
    write_curve(RateRange(curve, 1e-3), tmp_path / "curve")
    assert [path.read_bytes() for path in files] == before
    with Image.open(files[1]) as picture:
        colours = {tuple(colour) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}
    assert {(0, 114, 178), (213, 94, 0)} <= colours
