"""What a recommendation costs: trainings like this run's, and what people must do.

Costs of training are ratios, from params alone, so that a report says the same on each machine. `pipeline summary` adds
what one training took here.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.diagnosis.run import Run
from pipeline.manifest import PRODUCTION
from pipeline.models.networks import NETWORKS
from pipeline.stages.train.params import TrainParams
from pipeline.training.ensembles.table import ENSEMBLES
from pipeline.training.unlabelled import UNLABELLED

# A training that takes so many times as long counts as one like it.
ALIKE = 1.15
ONE_TRAINING = "takes one training like this one"
# Small classes are brought to so much of the largest.
ENOUGH = 0.5


def training_cost(run: Run, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """In words, what a run with other params costs.

    Args:
        before, after: params by section, as plain values.
    """
    times = training_ratio(run, before, after)
    if times is None:
        return "takes many times as long as this training"
    if _fits(after) > _fits(before):
        return f"takes up to {times:.2g} times as long as this training, and less with several workers"
    if times <= ALIKE:
        return ONE_TRAINING
    return f"takes about {times:.2g} times as long as this training"


def training_ratio(run: Run, before: Mapping[str, Any], after: Mapping[str, Any]) -> float | None:
    """How many times as long as this run's training one with other params takes, about; None: nothing says it."""
    old, new = before["train"]["model"], after["train"]["model"]
    if _features_stay(before) and not _features_stay(after):
        return None
    asked = before["train"]["epochs"]
    # Where patience ended training, it will end another one about as early.
    ran = asked if after["train"]["patience"] is not None else run.epochs_run or asked
    epochs = after["train"]["epochs"] / ran
    more = _fits(after) / _fits(before) * _unlabelled(run, after) / _unlabelled(run, before)
    return float(epochs * _rows(after) / _rows(before) * _work(new) / _work(old) * more)


def people_collect(images: int) -> str:
    """In words, that people must find so many images."""
    return f"people collect and label about {images:,} images"


def production_as_many_again(run: Run) -> str:
    """What it takes to double train's production images."""
    return people_collect(max((run.images or {}).get(PRODUCTION, 0), 100))


def small_classes(run: Run) -> str:
    """What it takes to bring each class to half of the largest."""
    counts = run.counts or {}
    largest = max(counts.values(), default=0)
    return people_collect(max(round(sum(max(ENOUGH * largest - count, 0) for count in counts.values())), 1))


def failing_class(run: Run) -> str:
    """What it takes to double the images of the class that fails."""
    return people_collect(max((run.counts or {}).get(run.failing or "", 0), 1))


def look_at_errors(run: Run) -> str:
    """What a look at dev's misclassified images takes."""
    count = run.dev_errors
    return "a person looks at dev's errors" if count is None else f"a person looks at {count:,} images"


def _is_frozen(model: Mapping[str, Any]) -> bool:
    return model.get("trained") == "head" or model.get("frozen") is True


def _features_stay(values: Mapping[str, Any]) -> bool:
    """Whether frozen layers see the same pictures in each epoch, so that once is enough."""
    return _is_frozen(values["train"]["model"]) and values["augment"]["mode"] != "online" and not _mixes(values)


def _mixes(values: Mapping[str, Any]) -> bool:
    return bool(values["train"]["mixing"]["name"] != "none")


def _rows(values: Mapping[str, Any]) -> float:
    """Rows of an epoch, in images of train."""
    augment = values["augment"]
    count = augment["copies"].get("count", 0)
    return 1.0 + count if augment["transforms"] or augment["match_production"] else 1.0


def _fits(values: Mapping[str, Any]) -> float:
    """How many fits a training consists of at most: several with an ensemble."""
    if values["train"]["ensemble"]["name"] == "none":
        return 1.0
    train = TrainParams.model_validate(values["train"])
    return ENSEMBLES.of(train.ensemble).trainings(train.ensemble, train)


def _unlabelled(run: Run, values: Mapping[str, Any]) -> float:
    """How many times as long a training takes because it learns from images without a label."""
    row = UNLABELLED[values["train"]["unlabelled"]["name"]]
    labelled = max(sum((run.images or {}).values()), 1)
    return row.cost(row.params.model_validate(values["train"]["unlabelled"]), (run.unlabelled or 0) / labelled)


def _work(model: Mapping[str, Any]) -> float:
    """Of a picture's pass through the layers, in units that only compare models of the same kind."""
    row = NETWORKS.get(model["name"])
    return 1.0 if row is None else row.work(model)
