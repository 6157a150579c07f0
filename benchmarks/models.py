"""What does each model of the registry reach on photos, and what does it cost?

    python benchmarks/models.py PROJECT …            # projects made by `pipeline init`, after `dvc repro balance`
    … --models cnn "gradient_boosting (embedding)"   # only these

Each model is fitted to the images of train as the project balances them, without variants, so that all see the same
rows. Networks from random weights, and those of which many layers are trained, get few epochs: what they reach is less
than they can; the column says how many. Seconds are CPU time of this process with one thread. `s in all` includes what
is done once, such as the features of frozen layers. `ms per image` is the CPU time of a prediction for one image at a
time, which other work on the machine changes less than the latency that evaluate measures. There are no weights of
mobilenet_v2 in the package: with `--weights FILE` it is measured, else it starts from random numbers, and only its cost
is shown.

The two projects of benchmarks/RESULTS.md take about 20 minutes on one core.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from pipeline.data.predictions import predict_rows
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import checked_predictions
from pipeline.models.baselines import BASELINES
from pipeline.models.files import TrainedModel, save_model
from pipeline.models.mobilenet import Backbone
from pipeline.models.networks import NETWORKS
from pipeline.models.params import AnyModel, Model
from pipeline.models.prediction import fast_forward
from pipeline.project.params_file import Params, load_params
from pipeline.store.reading import sha256_of
from pipeline.tools.training_data import balanced_rows, read_data
from pipeline.training.fit_data import TrainingData
from pipeline.training.fitting import fit_model
from pipeline.workers.engine import Engine

LAYERS = {"activation": "relu", "batch_norm": True, "dropout": {"blocks": 0.1, "head": 0.2}}
PIXELS, EMBEDDING = {"name": "pixels", "side": 16}, {"name": "embedding", "input": 160}
LITE0 = {"name": "efficientnet_lite0", "input": 160, "dropout": {"head": 0.2}}
BOOSTING = {"name": "gradient_boosting", "max_iter": 50, "max_leaf_nodes": 15, "learning_rate": 0.1}
FOREST = {"name": "random_forest", "n_estimators": 200, "min_samples_leaf": 1}
LOGISTIC = {"name": "logistic_regression", "c": 0.1}
# The model, at most so many epochs, and the learning rate. Those that cost least come first.
MODELS: dict[str, tuple[dict[str, Any], int, float]] = {
    "majority_class": ({"name": "majority_class"}, 1, 1.0),
    "nearest_centroid (pixels)": ({"name": "nearest_centroid", "features": PIXELS}, 1, 1.0),
    "logistic_regression (pixels)": ({**LOGISTIC, "features": PIXELS}, 1, 1.0),
    "random_forest (pixels)": ({**FOREST, "features": PIXELS}, 1, 1.0),
    "gradient_boosting (pixels)": ({**BOOSTING, "features": PIXELS}, 1, 1.0),
    "nearest_centroid (embedding)": ({"name": "nearest_centroid", "features": EMBEDDING}, 1, 1.0),
    "logistic_regression (embedding)": ({**LOGISTIC, "features": EMBEDDING}, 1, 1.0),
    "random_forest (embedding)": ({**FOREST, "features": EMBEDDING}, 1, 1.0),
    "gradient_boosting (embedding)": ({**BOOSTING, "features": EMBEDDING}, 1, 1.0),
    "efficientnet_lite0, head": ({**LITE0, "trained": "head"}, 30, 0.003),
    "mobilenet_v2, head": ({"name": "mobilenet_v2", "frozen": True, "input": 160, "dropout": {"head": 0.2}}, 30, 0.003),
    "mlp": ({"name": "mlp", "depth": 2, "width": 128, **LAYERS}, 6, 0.002),
    "efficientnet_lite0, last": ({**LITE0, "trained": "last"}, 4, 0.001),
    "cnn": ({"name": "cnn", "depth": 4, "width": 16, "kernel": 3, "dense": [], **LAYERS}, 4, 0.003),
    "block_cnn": (
        {"name": "block_cnn", "depth": 5, "width": 8, "kernels": [5, 3], "shortcuts": [False, True], **LAYERS},
        4,
        0.003,
    ),
    "efficientnet_lite0, all": ({**LITE0, "trained": "all"}, 2, 0.001),
    "resnet": ({"name": "resnet", "depth": 4, "blocks": 1, "width": 16, "kernel": 3, **LAYERS}, 3, 0.002),
}
# Predictions that are timed.
RUNS = 50
MODEL: TypeAdapter[Model] = TypeAdapter(AnyModel)
# What no file of this project can bring along, and what has no classes.
WITHOUT = {"factory", "average", "ridge"}


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a fit: in all, and of its epochs."""

    whole: float
    epochs: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("projects", type=Path, nargs="+")
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--weights", type=Path, help="of MobileNetV2: torchvision's .pth")
    options = parser.parse_args()
    missing = {*NETWORKS, *BASELINES} - WITHOUT - {values["name"] for values, _, _ in MODELS.values()}
    assert not missing, f"models of the registry that are not measured: {missing}"
    projects = [each.resolve() for each in options.projects]
    weights = options.weights.resolve() if options.weights else None
    with tempfile.TemporaryDirectory() as folder:
        file = weights or random_weights(Path(folder))
        for project in projects:
            os.chdir(project)
            measure_all(options.models, file, shows_value=weights is not None)


def random_weights(folder: Path) -> Path:
    """A file as MobileNetV2's, of random numbers."""
    file = folder / "random.pth"
    torch.save(Backbone(frozen=True).state_dict(), file)
    return file


def measure_all(names: list[str], weights: Path, shows_value: bool) -> None:
    """Print a row per model of the project in this folder."""
    params = load_params()
    copies = params.augment.copies.model_copy(update={"count": 0})
    params = params.model_copy(update={"augment": params.augment.model_copy(update={"copies": copies})})
    data = read_data(params, balanced_rows(params))
    rows, dev = len(data.rows), len(data.dev_rows)
    print(f"\n{Path.cwd().name}: {rows:,} rows of train, {dev:,} images of dev, {len(data.classes)} classes\n")
    print(f"| model | dev {params.evaluate.optimizing.name} | epochs | s per epoch | s in all | ms per image | MB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in names:
        values, epochs, rate = MODELS[name]
        if values["name"] == "mobilenet_v2":
            values = {**values, "weights": str(weights), "sha256": sha256_of(weights)}
        print(row_of(name, MODEL.validate_python(values), epochs, rate, data, params, shows_value), flush=True)


def row_of(
    name: str, model: Model, epochs: int, rate: float, data: TrainingData, params: Params, shows_value: bool
) -> str:
    """Fit a model; a row of the table."""
    changes = {"model": model, "epochs": epochs, "learning_rate": rate, "patience": 8}
    train = params.train.model_copy(update=changes)
    metric = metric_of(params.evaluate.optimizing, data.classes)
    told: list[float] = []
    begun = time.process_time()
    trained, fit = fit_model(data, train, metric, Engine(1), tell=lambda _: told.append(time.process_time()))
    ended = time.process_time()
    cost = Cost(ended - begun, ended - told[0] if told else 0.0)
    predictions = predict_rows(trained, data.dev_rows, data.dev.images, 1, Engine(1), name)
    seen = checked_predictions(predictions, data.classes)
    low, high = metric_interval(metric, seen, predictions["group"]) or (float("nan"), float("nan"))
    value = f"{metric.value(seen):.3f} ({low:.3f} to {high:.3f})"
    if model.name == "mobilenet_v2" and not shows_value:
        value = "no weights here"
    run = len(fit.epochs)
    cells = (
        name,
        value,
        f"{run} of {epochs}" if told else "",
        f"{cost.epochs / run:.2f}" if told else "",
        f"{cost.whole:.0f}",
        f"{milliseconds(trained):.1f}",
        f"{len(save_model(trained)) / 1e6:.2f}",
    )
    return f"| {' | '.join(cells)} |"


@torch.inference_mode()
def milliseconds(model: TrainedModel) -> float:
    """CPU milliseconds from the pixels of one image to its probabilities."""
    torch.set_num_threads(1)
    pixels = torch.zeros((1, 3, model.size, model.size), dtype=torch.uint8)
    with fast_forward(model.network.eval(), "cpu", 1) as forward:
        forward(pixels)
        begun = time.process_time()
        for _ in range(RUNS):
            forward(pixels).softmax(dim=1)
    return (time.process_time() - begun) / RUNS * 1000


if __name__ == "__main__":
    main()
