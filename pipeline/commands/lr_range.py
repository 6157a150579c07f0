"""Runs the learning-rate range test on the training set as it is."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.core.imaging import encode
from pipeline.core.look.charts import draw_rates
from pipeline.core.train.classifier import WeightedBatch
from pipeline.core.train.order import KeyedOrder
from pipeline.core.train.rate_range import RateRange, rate_range
from pipeline.errors import ParamsError
from pipeline.files.storage import replacing, table, write_bytes
from pipeline.learning.fitting import fresh_network, loss_weights, read_data
from pipeline.learning.loader import weighted_batches
from pipeline.params import Baseline, Params, PngEncoding
from pipeline.processes.engine import Engine
from pipeline.processes.progress import progress


def find_rate(params: Params, low: float, high: float, steps: int, engine: Engine) -> RateRange:
    """What the test of `core/train/rate_range.py` says for the model, optimizer and batches of params.

    Raises:
        ParamsError: the model has no learning rate, or the range is empty.
    """
    model = params.train.model
    if isinstance(model, Baseline):
        raise ParamsError(f"{model.name} has no learning rate: set train.model to a network")
    if low >= high:
        raise ParamsError(f"--low must be below --high, got {low:g} and {high:g}")
    data = read_data(params)
    network = fresh_network(model, data, params.train, engine)
    order = KeyedOrder(len(data.train), params.train.seed)
    weights, size = loss_weights(data, params.train), params.train.batch_size
    epochs = -(-steps * size // len(data.train))
    with (
        weighted_batches(data.train, weights, size, order, engine, epochs) as train,
        progress("lr-range", steps) as advance,
    ):

        def of_epoch(epoch: int) -> Iterable[WeightedBatch]:
            order.set_epoch(epoch)
            return train

        return rate_range(network, of_epoch, params.train, low, high, steps, advance)


def write_curve(found: RateRange, path: Path) -> tuple[Path, Path]:
    """The curve as a CSV file and as a picture of the same name; where they are."""
    rates, losses, smoothed = (found.curve[name].to_numpy() for name in ("rate", "loss", "smoothed"))
    title = f"Learning-rate range test: suggested {found.suggested:.2g}"
    picture = encode(draw_rates(rates, losses, smoothed, found.suggested, title), PngEncoding(name="png"))
    csv, png = path.with_suffix(".csv"), path.with_suffix(".png")
    with replacing(csv) as half:
        table(str(csv)).write(found.curve, half)
    with replacing(png) as half:
        write_bytes(picture, half)
    return csv, png
