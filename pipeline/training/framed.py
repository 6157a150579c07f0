"""Models on embeddings that know how classes relate: a cumulative link for an order, a cascade for a tree."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline.problem.class_tree import Tree, leaves
from pipeline.problem.framing import Framing, Nested
from pipeline.training.embedded import STRENGTHS, Codes, EmbeddedModel, Floats, Rows, Vectors, linear, standardised_fit

# Steps of the optimizer; it ends earlier where no step makes the loss smaller.
MAX_STEPS = 200


def embedded_model(framing: Framing) -> EmbeddedModel:
    """The model on embeddings that learns what a network with this framing learns."""
    return EmbeddedModel(STRENGTHS, FITS[getattr(framing, "output", "softmax")](framing))


def cumulative_link(rows: Rows, strength: float, asked: Vectors) -> Floats:
    """Proportional odds on standardised vectors (McCullagh, 1980), with a penalty on the squares of its weights.

    Args:
        strength: the inverse one of the penalty, as scikit-learn's `C`. Classes are in their order; one without rows
            has the probability 0.
    """
    from scipy.optimize import minimize

    weights = rows.weights.astype(np.float64)

    def fit(vectors: Floats, ranks: Codes, new: Floats) -> Floats:
        width = vectors.shape[1]
        shares = np.cumsum(np.bincount(ranks, weights))[:-1] / weights.sum()
        first = np.log(shares / (1 - shares))
        gaps = np.log(np.expm1(np.maximum(np.diff(first), 1e-3)))

        def loss(point: Floats) -> tuple[float, Floats]:
            slopes, cuts, growth = _taken_apart(point, width)
            value, by_number, by_cut = _log_losses(vectors @ slopes, cuts, ranks, weights)
            by_start = by_cut[::-1].cumsum()[::-1]
            gradient = np.concatenate(
                [strength * (vectors.T @ by_number) + slopes, strength * by_start[:1], strength * by_start[1:] * growth]
            )
            return float(strength * value + slopes @ slopes / 2), gradient

        start = np.concatenate([np.zeros(width), first[:1], gaps])
        point = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_STEPS}).x
        slopes, cuts, _ = _taken_apart(point, width)
        numbers = new @ slopes
        below = _sigmoid(cuts - numbers[:, None])
        return np.diff(np.pad(below, ((0, 0), (1, 1)), constant_values=(0, 1)), axis=1)

    return standardised_fit(rows, asked, fit)


def _taken_apart(point: Floats, width: int) -> tuple[Floats, Floats, Floats]:
    """Slopes (d,), thresholds (k - 1,), and how fast each threshold but the first grows with its number."""
    slopes, first, gaps = point[:width], point[width : width + 1], point[width + 1 :]
    return slopes, np.cumsum(np.concatenate([first, np.logaddexp(0, gaps)])), _sigmoid(gaps)


def _log_losses(numbers: Floats, cuts: Floats, ranks: Any, weights: Floats) -> tuple[float, Floats, Floats]:
    """The weighted sum of -log P(rank), and its slopes by the numbers (n,) and by the thresholds (k - 1,)."""
    padded = np.concatenate([[-np.inf], cuts, [np.inf]])
    low, high = padded[ranks] - numbers, padded[ranks + 1] - numbers
    with np.errstate(over="ignore"):
        # log(sigmoid(b) - sigmoid(a)) = -log(1 + e^-b) - log(1 + e^a) + log(1 - e^(a - b)).
        gap = -np.expm1(low - high)
        logs = -np.logaddexp(0, -high) - np.logaddexp(0, low) + np.log(gap)
        share = (1 - gap) / gap
    by_high, by_low = _sigmoid(-high) + share, -_sigmoid(low) - share
    by_cut = np.zeros(len(cuts) + 2)
    np.add.at(by_cut, ranks + 1, -weights * np.where(np.isfinite(high), by_high, 0))
    np.add.at(by_cut, ranks, -weights * np.where(np.isfinite(low), by_low, 0))
    return float(-(weights * logs).sum()), weights * (_sigmoid(-high) - _sigmoid(low)), by_cut[1:-1]


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -values)))


def cascade(tree: Tree) -> Callable[[Rows, float, Vectors], Floats]:
    """A logistic regression a group over its entries; a class has the product of those on its path.

    Args:
        tree: of all classes, in the order of their numbers.
    """

    def fit(rows: Rows, strength: float, asked: Vectors) -> Floats:
        numbers = {name: number for number, name in enumerate(leaves(tree))}
        found = np.zeros((len(asked), rows.classes))
        _fill(tree, numbers, rows, strength, asked, found, np.ones(len(asked)))
        return found

    return fit


def _fill(
    tree: Tree, numbers: Mapping[str, int], rows: Rows, strength: float, asked: Vectors, found: Floats, above: Floats
) -> None:
    """Write the probabilities of a group's classes into `found`; above: that of the group itself, (n,)."""
    entry = np.full(rows.classes, -1, np.intp)
    for place, (name, inner) in enumerate(tree.items()):
        entry[[numbers[leaf] for leaf in ((name,) if inner is None else leaves(inner))]] = place
    here = entry[rows.labels] >= 0
    if not here.any():
        return
    part = rows.part(here)
    own = Rows(part.vectors, entry[part.labels], part.weights, part.groups, len(tree))
    shares = linear(own, strength, asked) * above[:, None]
    for place, (name, inner) in enumerate(tree.items()):
        if inner is None:
            found[:, numbers[name]] = shares[:, place]
        else:
            _fill(inner, numbers, part, strength, asked, found, shares[:, place])


def _unrelated(framing: Framing) -> Callable[[Rows, float, Vectors], Floats]:
    return linear


def _ranked(framing: Framing) -> Callable[[Rows, float, Vectors], Floats]:
    return cumulative_link


def _nested(framing: Framing) -> Callable[[Rows, float, Vectors], Floats]:
    assert isinstance(framing, Nested)  # noqa: S101
    return cascade(framing.tree)


FITS: Mapping[str, Callable[[Framing], Callable[[Rows, float, Vectors], Floats]]] = {
    "softmax": _unrelated,
    "cumulative": _ranked,
    "cascade": _nested,
}
