"""Metrics of classes in an order or in a tree, where some mistakes are worse than others.

`measures.py` has their rows. Where params give a metric no order and no tree, it takes those of `problem`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pipeline.errors import ParamsError, listing
from pipeline.metrics.bootstrap import Values
from pipeline.metrics.confusion import Matrices
from pipeline.metrics.metric_params import MetricParams
from pipeline.metrics.predictions import Predictions
from pipeline.problem.class_tree import AnyTree, Tree, groups_at, leaves, levels, pruned, tree_distances
from pipeline.problem.framing import Framing, Nested, Ranked, rank_distances
from pipeline.section import Count, Label

Order = Annotated[Sequence[Label], Field(min_length=2)]


class MeanDistance(MetricParams):
    """Mean distance of an image's prediction from its label: ranks in an order, or half the edges of a tree.

    order, tree: as in `problem`; null: that of `problem`.
    """

    name: Literal["mean_distance"]
    order: Order | None = None
    tree: AnyTree | None = None


class QuadraticKappa(MetricParams):
    """Agreement of labels and predictions in an order, beyond chance; mistakes weigh by the square of their ranks.

    order: as in `problem`; null: that of `problem`.
    """

    name: Literal["quadratic_kappa"]
    order: Order | None = None


class LevelAccuracy(MetricParams):
    """Share of images whose prediction lies in the right group of a tree.

    level: 1 for the widest groups, 2 for those in them. tree: as in `problem`; null: that of `problem`.
    """

    name: Literal["level_accuracy"]
    level: Count
    tree: AnyTree | None = None


def quadratic_kappa(matrix: Matrices, squares: Matrices) -> Values:
    """Weighted kappa (Cohen, 1968) of squared distances (k, k), at most 1; shape (...), 0 if nothing can disagree."""
    actual, called, images = matrix.sum(axis=-1), matrix.sum(axis=-2), matrix.sum(axis=(-2, -1))
    by_chance = (actual[..., :, None] * called[..., None, :] * squares).sum(axis=(-2, -1))
    found = (matrix * squares).sum(axis=(-2, -1)) * images
    return np.asarray(1 - np.divide(found, by_chance, out=np.ones(np.shape(images)), where=by_chance > 0))


def level_accuracy(matrix: Matrices, groups: npt.NDArray[np.intp]) -> Values:
    """Share of images whose prediction is in the group of their label, in [0, 1]; shape (...).

    Args:
        groups: the number of the group of each class, shape (k,).
    """
    same = groups[:, None] == groups
    return np.asarray((matrix * same).sum(axis=(-2, -1)) / matrix.sum(axis=(-2, -1)))


def images_in_other_groups(seen: Predictions, groups: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.float64], float]:
    """1 for each image that is predicted in another group than its label's, shape (n,); and 1."""
    return (groups[seen.labels] != groups[seen.predicted]).astype(np.float64), 1.0


def distances_of(params: MeanDistance, classes: tuple[str, ...]) -> dict[str, Any]:
    """The costs [actual, predicted] of mistakes, shape (k, k).

    Raises:
        ParamsError: there is no order and no tree, or both, or a class has no place in it.
    """
    if params.tree is not None and params.order is None:
        return {"costs": tree_distances(_tree(params, params.tree, classes), classes)}
    return {"costs": _ranks(params, params.order if params.tree is None else None, classes)}


def squares_of(params: QuadraticKappa, classes: tuple[str, ...]) -> dict[str, Any]:
    """The squared distances between classes, shape (k, k).

    Raises:
        ParamsError: there is no order, or a class has no place in it.
    """
    return {"squares": _ranks(params, params.order, classes) ** 2}


def groups_of(params: LevelAccuracy, classes: tuple[str, ...]) -> dict[str, Any]:
    """The number of each class's group at the level, shape (k,).

    Raises:
        ParamsError: there is no tree, it has no such level, or a class has no place in it.
    """
    if params.tree is None:
        raise ParamsError(needs(params))
    tree = _tree(params, params.tree, classes)
    if params.level > levels(params.tree):
        raise ParamsError(
            f"evaluate has level_accuracy of level {params.level}, and the tree has {levels(params.tree)}: choose a "
            "level of the tree"
        )
    return {"groups": groups_at(tree, classes, params.level)}


def measures_of(framing: Framing, classes: tuple[str, ...]) -> list[MetricParams]:
    """The metrics that tell something of such classes beside those of any."""
    if isinstance(framing, Ranked):
        return [
            MeanDistance(name="mean_distance", order=classes),
            QuadraticKappa(name="quadratic_kappa", order=classes),
        ]
    if isinstance(framing, Nested):
        inner = range(1, levels(framing.tree))
        return [
            MeanDistance(name="mean_distance", tree=framing.tree),
            *(LevelAccuracy(name="level_accuracy", level=level, tree=framing.tree) for level in inner),
        ]
    return []


def with_relation(params: MetricParams, order: Sequence[str] | None, tree: Tree | None) -> MetricParams:
    """The same with the order or the tree of `problem`, if it needs one and has none.

    Raises:
        ValueError: neither has one.
    """
    wanted = {"order", "tree"} & type(params).model_fields.keys()
    if not wanted or any(getattr(params, name) is not None for name in wanted):
        return params
    given = {name: value for name, value in (("order", order), ("tree", tree)) if name in wanted and value is not None}
    if not given:
        raise ValueError(needs(params))
    return params.model_copy(update=given)


def needs(params: MetricParams) -> str:
    """What to say of a metric without an order or a tree."""
    kinds = {"order": "an order (problem: ordinal)", "tree": "a tree (problem: hierarchy)"}
    wanted = [kind for name, kind in kinds.items() if name in type(params).model_fields]
    return f"the metric {params.name} needs {' or '.join(wanted)}: set problem so, or choose another metric"


def _ranks(params: MetricParams, order: Sequence[str] | None, classes: tuple[str, ...]) -> Matrices:
    if order is None:
        raise ParamsError(needs(params))
    _check_places(params, order, classes)
    present = [name for name in order if name in classes]
    places = [present.index(name) for name in classes]
    return rank_distances(len(classes))[np.ix_(places, places)]


def _tree(params: MetricParams, tree: Tree, classes: tuple[str, ...]) -> Tree:
    _check_places(params, leaves(tree), classes)
    return pruned(tree, classes)


def _check_places(params: MetricParams, places: Sequence[str], classes: tuple[str, ...]) -> None:
    if lacking := [name for name in classes if name not in places]:
        raise ParamsError(
            f"evaluate has the metric {params.name}, whose order or tree lacks {listing(lacking)}: each class of the "
            "model needs a place in it"
        )
