"""The models that a spot check tries besides the one of params: simple ones first, then small networks."""

from typing import Any

from pydantic import TypeAdapter

from pipeline.errors import ParamsError, listing
from pipeline.models.params import AnyModel, Model
from pipeline.training.embedded import EMBEDDED_MODELS, EmbeddedModel

MODEL: TypeAdapter[Model] = TypeAdapter(AnyModel)
DROPOUT = {"blocks": 0.25, "head": 0.0}
PIXELS, COLOURS = {"name": "pixels", "side": 8}, {"name": "colours", "bins": 4}
NETWORK = {"activation": "relu", "batch_norm": True, "dropout": DROPOUT}
CANDIDATES: dict[str, dict[str, Any]] = {
    "majority_class": {},
    "nearest_centroid": {"features": PIXELS},
    "nearest_centroid (colours)": {"features": COLOURS},
    "logistic_regression": {"features": PIXELS, "c": 0.1},
    "random_forest": {"features": PIXELS, "n_estimators": 200, "min_samples_leaf": 1},
    "random_forest (colours)": {"features": COLOURS, "n_estimators": 200, "min_samples_leaf": 1},
    "gradient_boosting": {"features": PIXELS, "max_iter": 50, "max_leaf_nodes": 15, "learning_rate": 0.1},
    "mlp": {"depth": 2, "width": 256, **NETWORK},
    "cnn": {"depth": 3, "width": 16, "kernel": 3, "dense": [], **NETWORK},
    "resnet": {"depth": 3, "blocks": 1, "width": 16, "kernel": 3, **NETWORK},
}
OWN = "train.model"
# What stands behind the name of a model on embeddings: see training/embedded.py.
ON_EMBEDDINGS = " (embeddings)"
EMBEDDED = {f"{name}{ON_EMBEDDINGS}": model for name, model in EMBEDDED_MODELS.items()}


def candidates(own: Model, names: list[str]) -> dict[str, Model | EmbeddedModel]:
    """The models to try by name, the one of params last; all of them if no names are given.

    Raises:
        ParamsError: there is no model of a name.
    """
    every = [*CANDIDATES, *EMBEDDED, OWN]
    unknown = [name for name in names if name not in every]
    if unknown:
        raise ParamsError(f"no candidate {listing(unknown)}: the candidates are {listing(every, 20)}")
    table = {
        name: MODEL.validate_python({"name": name.partition(" ")[0], **values}) for name, values in CANDIDATES.items()
    }
    chosen = {name: model for name, model in table.items() if (name in names or not names) and model != own}
    embedded = {name: model for name, model in EMBEDDED.items() if name in names or not names}
    return {**chosen, **embedded, **({OWN: own} if OWN in names or not names else {})}
