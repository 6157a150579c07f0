"""How often is an ensemble kept that is better, and one that is worse, where the truth is known?

    python benchmarks/ensemble_rule.py [--seeds 40] [--images 60 150]

What four members say is drawn: the log-probabilities of four classes by what a member sees of an image, whose truth is
known. So thousands of images, on which an ensemble is judged, cost nothing. Exact: a member's probabilities are those
that follow from what it sees, so that stacking has little to gain; else they are too sure. better: ensembles whose
log loss on 5,000 other images is lower by 5 % at least, and how many of them are kept; worse: those with a higher one.
Before: by the rule with the member that is best on the same images, an interval of 90 %, and no minimum of errors.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.bootstrap import interval, resamples
from pipeline.training.ensembles.gain import log_losses, own_probability
from pipeline.training.ensembles.images import Images
from pipeline.training.ensembles.log_linear import MemberPredictions, across_folds, learnt
from pipeline.training.ensembles.stacking import logs_of
from pipeline.training.ensembles.voting import averaged, by_other_parts, gain_over_best, losses_of, selected

Floats = npt.NDArray[np.float64]
CLASSES, FOLDS, JUDGED = 4, 3, 5000


@dataclass(frozen=True)
class Members:
    """How clear classes are, and how much noise each member adds to what all of them see."""

    clear: float
    noise: tuple[float, ...]
    exact: bool


KINDS: Mapping[str, Members] = {
    "one far better, exact": Members(2, (0, 1, 1, 1), True),
    "one better, exact": Members(2, (0.2, 0.5, 0.5, 0.5), True),
    "slightly unlike, exact": Members(2, (0.3, 0.4, 0.5, 0.6), True),
    "alike, exact": Members(2, (0.1, 0.1, 0.1, 0.1), True),
    "hardly an error, exact": Members(4, (0.2, 0.6, 0.6, 0.6), True),
    "one better, too sure": Members(3, (0.5, 0.9, 0.9, 0.9), False),
    "equal and unlike, too sure": Members(3, (1, 1, 1, 1), False),
    "two good ones, too sure": Members(3, (0.8, 0.9, 1.6, 1.6), False),
}


def drawn(members: Members, count: int, generator: np.random.Generator) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Probabilities (members, count, k) and labels."""
    labels = generator.integers(CLASSES, size=count)
    seen = members.clear * np.eye(CLASSES)[labels] + generator.normal(size=(count, CLASSES))
    logits = []
    for noise in members.noise:
        own = seen + noise * generator.normal(size=seen.shape)
        logits.append((1 if members.exact else 2) * members.clear * own / (1 + noise**2))
    shares = np.exp(np.stack(logits) - np.max(logits, axis=2, keepdims=True))
    return shares / shares.sum(axis=2, keepdims=True), labels.astype(np.intp)


@dataclass(frozen=True)
class Case:
    """Whether an ensemble is kept, whether it was before, and the change of its log loss on the judged images."""

    now: bool
    before: bool
    change: float


def voted(said: Floats, images: Images, others: Any, seed: int) -> Case:
    own = own_probability(said, images.labels)

    def shares(part: Floats, of: Images) -> Floats:
        counts = selected(part, of, 8)
        found: Floats = counts / counts.sum()
        return found

    judged = own_probability(*others)
    honest = averaged(said, by_other_parts(own, images, seed, shares))
    return case_of(said, honest, images, judged, shares(own, images) @ judged)


def stacked(found: Floats, images: Images, others: Any, seed: int) -> Case:
    said = MemberPredictions(
        logs_of(found), np.ones((len(images.labels), 1)), images.labels, images.weights, images.folds
    )
    strength, honest = across_folds(said, 1)
    pool = learnt(said, strength, 1)
    whole = pool.probabilities(logs_of(others[0]), np.ones((len(others[1]), 1)))
    return case_of(found, honest, images, own_probability(*others), own_probability(whole, others[1]))


def case_of(found: Floats, ensemble: Floats, images: Images, judged: Floats, whole: Floats) -> Case:
    """A case by probabilities of these images, and by those of the judged images' labels."""
    own = own_probability(found, images.labels)
    best = int(np.argmin(losses_of(own, images)))
    gains = log_losses(own[best]) - log_losses(own_probability(ensemble, images.labels))
    drawn = [times @ gains for times in resamples(pd.Series(images.groups), 1000, 1, "ensemble")]
    before = interval(np.concatenate(drawn), 0.1)[0] > 0
    change = log_losses(whole).mean() / log_losses(judged[best]).mean() - 1
    return Case(gain_over_best(found, ensemble, images, 1).beyond_noise, before, float(change))


def row(title: list[str], cases: list[Case]) -> str:
    """Counts of a kind of members."""
    better = [case for case in cases if case.change <= -0.05]
    worse = [case for case in cases if case.change > 0]
    cells = [*title, f"{100 * np.mean([case.change for case in cases]):+.1f} %"]
    for some in (better, worse):
        cells += [f"{len(some)}", f"{sum(case.now for case in some)}", f"{sum(case.before for case in some)}"]
    cells.append(f"{100 * max([0.0, *(case.change for case in worse if case.now)]):.0f} %")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--images", type=int, nargs="+", default=[60, 150])
    options = parser.parse_args()
    print("| members | images | ensemble | mean change | better | kept | before | worse | kept | before | worst kept |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, members in KINDS.items():
        for count in options.images:
            cases: dict[str, list[Case]] = {"voting": [], "stacking": []}
            for seed in range(options.seeds):
                generator = np.random.default_rng([seed, count])
                found, labels = drawn(members, count, generator)
                others = drawn(members, JUDGED, generator)
                numbers = np.arange(count)
                images = Images(numbers, labels, numbers, np.ones(count), numbers % FOLDS)
                cases["voting"].append(voted(found, images, others, seed))
                cases["stacking"].append(stacked(found, images, others, seed))
            for ensemble, of_kind in cases.items():
                print(row([name, str(count), ensemble], of_kind), flush=True)


if __name__ == "__main__":
    main()
