"""Params that were renamed: their old names and their new ones."""

from collections.abc import Mapping
from typing import Any

# Old place -> new place, as `*` for any one key. A section's old name stands for all that is in it.
RENAMED = {
    "suspects": "label_issues",
    "test": "final_evaluation",
    "test.max_looks": "final_evaluation.max_test_evaluations",
    "test.beyond_max_looks": "final_evaluation.beyond_max_test_evaluations",
    "split.production_in_train": "split.production_train_fraction",
    "curate.issues.bright": "curate.issues.light",
    "curate.issues.odd_aspect": "curate.issues.odd_aspect_ratio",
    "curate.issues.greyscale": "curate.issues.grayscale",
    "train.optimizer.smoothing": "train.optimizer.alpha",
    "*.model.trees": "*.model.n_estimators",
    "*.model.min_leaf": "*.model.min_samples_leaf",
    "*.model.rounds": "*.model.max_iter",
    "*.model.leaves": "*.model.max_leaf_nodes",
    "*.model.shrinkage": "*.model.learning_rate",
}


def renamed(place: str) -> str | None:
    """The new name of a renamed param; None if it was not renamed."""
    first, _, rest = place.partition(".")
    found = RENAMED.get(place) or RENAMED.get(f"*.{rest}")
    return found.replace("*", first) if found else None


# What a model of an older version has not, because it could not be otherwise: model -> param -> value.
ADDED: Mapping[str, Mapping[str, Any]] = {"cnn": {"dense": []}}


def model_params(values: Mapping[str, Any]) -> dict[str, Any]:
    """A model's params with today's names, and what is new, from a model file that an older version wrote."""
    today = {(renamed(f"train.model.{name}") or name).rpartition(".")[2]: value for name, value in values.items()}
    return {**ADDED.get(str(values.get("name")), {}), **today}
