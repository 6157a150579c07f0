"""Fit a log-linear pool: the weights of the members' log-probabilities, on out-of-fold predictions.

The log-probability of class c for image i is, but for a constant, the sum over members m of w_m(i) log p_m,c(i), plus
b_c. That is multinomial logistic regression with few numbers, so its loss has one minimum. w_m(i) is w_m0, or w_m0 plus
the image's facts times w_m. The penalty pulls it towards the plain mean of log-probabilities. No w_m0 is below 0: to
believe the opposite of what a member says is what learns noise (Breiman, Stacked Regressions, 1996).
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

# Of the squared distance from the plain mean, beside the mean log loss.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
MAX_STEPS = 500
# Losses that differ by less are equal.
DIGITS = 6
# A member of less weight is none.
MIN_WEIGHT = 1e-4


@dataclass(frozen=True)
class Learnt:
    """Weights (members, 1 + facts), and a number per class, (k,)."""

    weights: Floats
    bias: Floats

    def probabilities(self, logs: Floats, facts: Floats) -> Floats:
        """Of log-probabilities (members, m, k) and facts (m, 1 + f), whose first is 1: shape (m, k)."""
        return _softmax(_logits(self.weights, self.bias, logs, facts))


@dataclass(frozen=True)
class MemberPredictions:
    """What members say of images, none of which they were fitted to.

    logs: log-probabilities, shape (members, m, k). facts: (m, 1 + f), the first of which is 1. labels, weights, folds:
    shape (m,).
    """

    logs: Floats = field(repr=False)
    facts: Floats = field(repr=False)
    labels: Codes = field(repr=False)
    weights: Floats = field(repr=False)
    folds: Codes = field(repr=False)

    def part(self, inside: npt.NDArray[np.bool_]) -> "MemberPredictions":
        """Some of the images."""
        return MemberPredictions(
            self.logs[:, inside], self.facts[inside], self.labels[inside], self.weights[inside], self.folds[inside]
        )


def learnt(said: MemberPredictions, strength: float, threads: int) -> Learnt:
    """The pool of least loss and penalty.

    Args:
        strength: of the penalty.
    """
    from scipy.optimize import minimize

    members, _, classes = said.logs.shape
    facts = said.facts.shape[1]
    start = np.zeros((members, facts))
    start[:, 0] = 1 / members
    size = start.size
    share = said.weights / said.weights.sum()
    images = np.arange(len(said.labels))

    def loss(values: Floats) -> tuple[float, Floats]:
        weights, bias = values[:size].reshape(members, facts), values[size:]
        found = _softmax(_logits(weights, bias, said.logs, said.facts))
        distance = np.concatenate([(weights - start).ravel(), bias])
        total = -float(share @ np.log(np.maximum(found[images, said.labels], 1e-300))) + strength * distance @ distance
        found[images, said.labels] -= 1
        residual = found * share[:, None]
        slopes = np.einsum("mik,ik->im", said.logs, residual)
        gradient = np.concatenate([(slopes.T @ said.facts).ravel(), residual.sum(axis=0)])
        return total, gradient + 2 * strength * distance

    lower = np.full((members, facts), -np.inf)
    lower[:, 0] = 0
    bounds = [*((low, None) for low in lower.ravel()), *[(None, None)] * classes]
    with threadpool_limits(threads):
        found = minimize(
            loss,
            np.concatenate([start.ravel(), np.zeros(classes)]),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": MAX_STEPS},
        )
    weights = found.x[:size].reshape(members, facts)
    weights[np.abs(weights).max(axis=1) < MIN_WEIGHT] = 0
    return Learnt(weights, found.x[size:])


def across_folds(said: MemberPredictions, threads: int) -> tuple[float, Floats]:
    """The strength of least loss, and probabilities (m, k) by it, each fold's by the pool that the others teach."""
    found: dict[float, Floats] = {}
    for strength in STRENGTHS:
        own = np.empty(said.logs.shape[1:])
        for fold in np.unique(said.folds):
            inside = said.folds == fold
            pool = learnt(said.part(~inside), strength, threads)
            own[inside] = pool.probabilities(said.logs[:, inside], said.facts[inside])
        found[strength] = own
    # Of equal ones the strongest penalty.
    best = min(STRENGTHS, key=lambda strength: (round(loss_of(found[strength], said), DIGITS), -strength))
    return best, found[best]


def loss_of(probabilities: Floats, said: MemberPredictions) -> float:
    """The weighted mean log loss of probabilities (m, k)."""
    own = np.maximum(probabilities[np.arange(len(said.labels)), said.labels], 1e-12)
    return float(-np.average(np.log(own), weights=said.weights))


def _logits(weights: Floats, bias: Floats, logs: Floats, facts: Floats) -> Floats:
    found: Floats = np.einsum("im,mik->ik", facts @ weights.T, logs) + bias
    return found


def _softmax(logits: Floats) -> Floats:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = shares / shares.sum(axis=1, keepdims=True)
    return found
