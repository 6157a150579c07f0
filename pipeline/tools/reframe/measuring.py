"""Framings measured beside today's, each on its own scale, on the same images, by models that did not see their groups.

A framing gains if its decisions cost less than today's model's, and also less than those that the probabilities of a
softmax over today's classes allow if they are decided by the same costs: else not the learning helps, but the decision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pipeline.metrics.bootstrap import ALPHA
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.metrics.upper_tails import normal_tail, student_quantile
from pipeline.problem.framing import UNRELATED, Decide, Framing, decision, least_expected
from pipeline.randomness import keyed_generator
from pipeline.tools.reframe.candidates import Candidate
from pipeline.training.embedded import Floats, Rows
from pipeline.training.framed import embedded_model

Codes = npt.NDArray[np.intp]
# Inverse strengths of the penalty; they are tried from the strongest on until the loss out of fold rises.
STRENGTHS = (0.0003, 0.003, 0.03, 0.3, 3.0)
# Of the largest difference.
DRAWS = 4000


@dataclass(frozen=True)
class Images:
    """What framings are tried on.

    rows: vectors, numbers of today's classes, weights and groups, n rows. folds: (n,). measured: which rows are asked
    about, (n,). framing: today's.
    """

    rows: Rows
    folds: Codes
    measured: npt.NDArray[np.bool_]
    framing: Framing = UNRELATED


@dataclass(frozen=True)
class Result:
    """A framing beside today's, in mean costs of an image on the framing's scale.

    low, high: of the framing minus today's, so that the intervals of all framings hold together in 95 % of tables; None
    on fewer than 15 groups. gain: whether it is better beyond noise, by what it learns. decision: whether today's
    classes are, once the costs decide.
    """

    candidate: Candidate
    today: float
    value: float
    low: float | None
    high: float | None
    gain: bool
    decision: bool


def out_of_fold(framing: Framing, rows: Rows, folds: Codes) -> Floats:
    """Probabilities (n, k), each by a model of the other folds; the penalty is that of the least log loss."""
    fit, least = embedded_model(framing).fit, np.inf
    best = np.empty((0, rows.classes))
    # Sums are split by threads.
    with threadpool_limits(1):
        for strength in STRENGTHS:
            found = np.empty((len(folds), rows.classes))
            for fold in np.unique(folds):
                inside = folds == fold
                found[inside] = fit(rows.part(~inside), strength, rows.vectors[inside])
            own = np.maximum(found[np.arange(len(folds)), rows.labels], 1e-9)
            loss = -np.average(np.log(own), weights=rows.weights)
            if loss >= least:
                break
            best, least = found, loss
    return best


def measure(
    images: Images,
    today: Floats,
    softmax: Floats,
    candidates: Sequence[Candidate],
    seed: int,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Result]:
    """Each candidate beside today's model.

    Args:
        today: probabilities of today's framing out of fold, (n, k). softmax: the same, classes learnt as unrelated.
        advance: called with 1 after each candidate.
    """
    measured, labels = images.measured, images.rows.labels[images.measured]
    now = decision(images.framing, images.rows.classes)(today[measured])
    costs: list[tuple[Floats, Floats, Floats]] = []
    for candidate in candidates:
        decide = _decides(candidate)
        collapsed = _collapsed(softmax, candidate)
        same = candidate.same_classes and getattr(candidate.framing, "output", "softmax") == "softmax"
        found = collapsed if same else out_of_fold(candidate.framing, _rows(images.rows, candidate), images.folds)
        actual = candidate.becomes[labels]
        costs.append(
            (
                candidate.costs[actual, decide(found[measured])],
                candidate.costs[actual, candidate.becomes[now]],
                candidate.costs[actual, least_expected(candidate.costs)(collapsed[measured])],
            )
        )
        advance(1)
    groups = np.unique(images.rows.groups[measured], return_inverse=True)[1]
    differences = [each for own, first, other in costs for each in (own - first, own - other, other - first)]
    reach = _reach(differences, groups, seed)
    return [_result(candidate, *costs[at], reach[3 * at : 3 * at + 3]) for at, candidate in enumerate(candidates)]


def _decides(candidate: Candidate) -> Decide:
    return decision(candidate.framing, len(candidate.classes))


def _collapsed(probabilities: Floats, candidate: Candidate) -> Floats:
    """Probabilities of today's classes (n, k) as those of the candidate's (n, m)."""
    found = np.zeros((len(probabilities), len(candidate.classes)))
    np.add.at(found.T, candidate.becomes, probabilities.T)
    return found


def _rows(rows: Rows, candidate: Candidate) -> Rows:
    return Rows(rows.vectors, candidate.becomes[rows.labels], rows.weights, rows.groups, len(candidate.classes))


def _reach(differences: Sequence[Floats], groups: Codes, seed: int) -> list[float]:
    """How far each mean difference is uncertain, all together; infinite on too few groups.

    The largest of all, in standard errors (max-t), is drawn with the correlations that they have on these images
    (Westfall and Young, 1993); the standard errors are those without a difference, as in metrics/multiple_comparisons.
    """
    count = int(groups.max()) + 1
    if count < MIN_GROUPS:
        return [np.inf] * len(differences)
    sums = np.stack([np.bincount(groups, each - each.mean()) for each in differences]) / len(groups)
    spread = np.sqrt((sums**2).sum(axis=1) * count / (count - 1))
    varies = spread > 1e-12
    found = np.zeros(len(differences))
    if varies.any():
        drawn = keyed_generator(seed, "reframe", count).standard_normal((DRAWS, count)) @ sums[varies].T
        largest = np.abs(drawn * np.sqrt(count / (count - 1)) / spread[varies]).max(axis=1)
        normal = float(np.quantile(largest, 1 - ALPHA))
        critical = round(student_quantile(normal_tail(normal), count - 1), 6)
        left = 1 - critical**2 / count
        found[varies] = critical * spread[varies] / np.sqrt(left) if left > 0 else np.inf
    return found.tolist()


def _result(candidate: Candidate, own: Floats, today: Floats, other: Floats, reach: Sequence[float]) -> Result:
    difference = float((own - today).mean())
    known = np.isfinite(reach).all()
    below = [
        bool(known and each.mean() + wide < -1e-12)
        for each, wide in zip((own - today, own - other, other - today), reach, strict=True)
    ]
    softmax = candidate.same_classes and getattr(candidate.framing, "output", "softmax") == "softmax"
    return Result(
        candidate=candidate,
        today=float(today.mean()),
        value=float(own.mean()),
        low=difference - reach[0] if known else None,
        high=difference + reach[0] if known else None,
        gain=below[0] and (softmax or below[1]),
        decision=below[2],
    )
