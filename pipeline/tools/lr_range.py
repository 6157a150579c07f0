"""Run the learning-rate range test on the current training set."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.data.loader import weighted_batches
from pipeline.data.order import KeyedOrder
from pipeline.errors import ParamsError
from pipeline.metrics.metric import metric_of
from pipeline.models.baselines import Baseline
from pipeline.project.params_file import Params
from pipeline.tools.figures import write_figure
from pipeline.tools.training_data import read_data
from pipeline.training.fitting import fitted_by, fresh_network, loss_weights
from pipeline.training.lr_range_test import RateRange, rate_range
from pipeline.workers.engine import Engine
from pipeline.workers.progress import progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def find_rate(params: Params, low: float, high: float, steps: int, engine: Engine) -> RateRange:
    """Run the test of `training/lr_range_test.py` for the model, optimizer and batch size of params.

    Raises:
        ParamsError: the model has no learning rate, or the range is empty.
    """
    model = params.train.model
    if isinstance(model, Baseline):
        raise ParamsError(f"{model.name} has no learning rate: set train.model to a network")
    if low >= high:
        raise ParamsError(f"--low must be below --high, got {low:g} and {high:g}")
    data = read_data(params)
    data.train.keep_pixels()
    network = fresh_network(model, data, params.train, engine)
    order = KeyedOrder(len(data.train), params.train.seed)
    weights, size = loss_weights(data, params.train), params.train.batch_size
    epochs = -(-steps * size // len(data.train))
    with (
        weighted_batches(data.train, weights, size, order, engine, epochs) as train,
        progress("lr-range", steps) as advance,
    ):
        metric = fitted_by(metric_of(params.evaluate.optimizing, data.classes), data)
        return rate_range(network, train, params.train, metric, low, high, steps, advance)


def write_curve(found: RateRange, path: Path) -> tuple[Path, Path]:
    """Write the curve as a CSV file and as a picture of the same name; return both paths."""
    return write_figure(found.curve, partial(_draw, found), "Learning-rate range test", path)


def _draw(found: RateRange, axes: "Axes") -> None:
    """The loss over the learning rate."""
    axes.plot(found.curve["rate"], found.curve["loss"], ".", color="#999999", label="loss of a batch")
    axes.plot(found.curve["rate"], found.curve["smoothed"], color="#0072B2", linewidth=2, label="smoothed")
    axes.axvline(found.suggested, color="#D55E00", label=f"suggested: {found.suggested:.2g}")
    low, high = float(found.curve["smoothed"].min()), float(found.curve["smoothed"].quantile(0.98))
    room = max(high - low, 1e-9) * 0.1
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - room, high + room))
