"""Does an order or a tree pay? Planted ranks, planted trees with rare classes, and classes without structure.

Each seed draws vectors and labels, and `pipeline reframe`'s own measuring says what it gains by which framing: out of
fold on the drawn images, in the mean cost of a decision. The truth is the same model on 4,000 further images.

    python -m benchmarks.framings --seeds 10 --unstructured 20
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.problem.framing import UNRELATED, decision, least_expected
from pipeline.problem.params import Classes
from pipeline.tools.reframe.candidates import Asked, Candidate, in_order, in_tree
from pipeline.tools.reframe.measuring import STRENGTHS, Images, Result, measure, out_of_fold
from pipeline.training.embedded import Floats, Rows
from pipeline.training.folds import folds_of
from pipeline.training.framed import embedded_model

Draw = Callable[[np.random.Generator, int], tuple[Floats, npt.NDArray[np.intp]]]
PLAIN = Classes(name="classes", rename={}, merge={}, one_against_rest=None)
ASKED = 4000
IMAGES = 600


@dataclass(frozen=True)
class Planted:
    """A kind of data: classes, the framings tried on it, and how images are drawn for a seed."""

    classes: tuple[str, ...]
    candidates: list[Candidate]
    draw: Callable[[int], Draw]


def ranks(width: int = 64, classes: int = 5) -> Planted:
    """A number along one direction, with logistic noise, cut into classes of equal size: proportional odds hold."""
    names = tuple(f"{rank}" for rank in range(classes))

    def seeded(seed: int) -> Draw:
        direction = np.random.default_rng(seed).normal(size=width)
        direction /= np.linalg.norm(direction)
        cuts = np.quantile(
            _numbers(np.random.default_rng(0), np.eye(1, width)[0], 20_000)[1], np.arange(1, classes) / classes
        )

        def draw(generator: np.random.Generator, images: int) -> tuple[Floats, npt.NDArray[np.intp]]:
            vectors, numbers = _numbers(generator, direction, images)
            return vectors, np.searchsorted(cuts, numbers)

        return draw

    return Planted(names, in_order(names, Asked(order=names), PLAIN), seeded)


def _numbers(generator: np.random.Generator, direction: Floats, images: int) -> tuple[Floats, Floats]:
    vectors = generator.normal(size=(images, len(direction)))
    return vectors, 3 * vectors @ direction + generator.logistic(size=images)


def tree(width: int = 256, groups: int = 5, each: int = 6, apart: float = 1.9, within: float = 1.5) -> Planted:
    """Groups of classes, apart or, by other numbers, overlapping; the rarest class has a fifteenth of the commonest."""
    names = tuple(f"{group}{place}" for group in range(groups) for place in range(each))
    nested = {f"group {group}": {f"{group}{place}": None for place in range(each)} for group in range(groups)}
    shares = 1 / np.arange(1, each + 1) ** 1.5

    def seeded(seed: int) -> Draw:
        generator = np.random.default_rng(seed)
        centres = apart * generator.normal(size=(groups, 1, width))
        centres = centres + within * generator.normal(size=(groups, each, width))
        return _around(centres.reshape(-1, width) / np.sqrt(width), np.tile(shares, groups), 4.6 / np.sqrt(width))

    return Planted(names, in_tree(names, nested, "hierarchy", None, PLAIN, "half edges"), seeded)


def unstructured(width: int = 64, classes: int = 6) -> Planted:
    """Classes around independent centres: an order and a tree that people give them mean nothing."""
    names = tuple(f"{number}" for number in range(classes))
    nested = {"first": dict.fromkeys(names[:3]), "second": dict.fromkeys(names[3:])}
    both = [
        *in_order(names, Asked(order=names), PLAIN),
        *in_tree(names, nested, "hierarchy", None, PLAIN, "half edges"),
    ]

    def seeded(seed: int) -> Draw:
        centres = np.random.default_rng(seed).normal(size=(classes, width)) * 1.1 / np.sqrt(width)
        return _around(centres, np.ones(classes), 3 / np.sqrt(width))

    return Planted(names, both, seeded)


def _around(centres: Floats, shares: Floats, noise: float) -> Draw:
    def draw(generator: np.random.Generator, images: int) -> tuple[Floats, npt.NDArray[np.intp]]:
        labels = generator.choice(len(centres), images, p=shares / shares.sum())
        return centres[labels] + noise * generator.normal(size=(images, centres.shape[1])), labels

    return draw


@dataclass(frozen=True)
class Truth:
    """Mean costs on new images of a framing, of today's, and of a softmax that decides by the framing's costs.

    beyond: by how many standard errors the framing costs less than today's, and than that softmax.
    """

    own: float
    today: float
    decided: float
    beyond: tuple[float, float]


def tried(planted: Planted, seed: int) -> tuple[list[Result], list[Truth]]:
    """What reframe says of each framing, and what is true of it on new images."""
    draw, generator = planted.draw(seed), np.random.default_rng((1, seed))
    (vectors, labels), (asked, truth) = draw(generator, IMAGES), draw(generator, ASKED)
    groups = np.arange(IMAGES).astype(str)
    rows = Rows(vectors.astype(np.float32), labels, np.ones(IMAGES, np.float32), groups, len(planted.classes))
    images = Images(rows, folds_of(labels.astype(str), groups, 5, seed), np.ones(IMAGES, bool))
    plain = out_of_fold(UNRELATED, rows, images.folds)
    results = measure(images, plain, plain, planted.candidates, seed)
    costs = []
    softmax = _fitted(UNRELATED, rows, images.folds, asked)
    for candidate in planted.candidates:
        output = getattr(candidate.framing, "output", "softmax")
        order = np.argsort(candidate.becomes)
        moved = Rows(rows.vectors, candidate.becomes[labels], rows.weights, groups, rows.classes)
        own = softmax[:, order] if output == "softmax" else _fitted(candidate.framing, moved, images.folds, asked)
        actual, now = candidate.becomes[truth], candidate.becomes[softmax.argmax(axis=1)]
        costs.append(
            _truth(
                candidate.costs[actual, decision(candidate.framing, rows.classes)(own)],
                candidate.costs[actual, now],
                candidate.costs[actual, least_expected(candidate.costs)(softmax[:, order])],
            )
        )
    return results, costs


def _truth(own: Floats, today: Floats, decided: Floats) -> Truth:
    first, second = (
        float(-(own - other).mean() / max((own - other).std() / np.sqrt(len(own)), 1e-12)) for other in (today, decided)
    )
    return Truth(float(own.mean()), float(today.mean()), float(decided.mean()), (first, second))


def _fitted(framing: object, rows: Rows, folds: npt.NDArray[np.intp], asked: Floats) -> Floats:
    """Of new images, by the model with the strength that is best out of fold."""
    model, losses = embedded_model(framing), {}  # type: ignore[arg-type]
    for strength in STRENGTHS:
        found = np.empty((len(folds), rows.classes))
        for fold in np.unique(folds):
            inside = folds == fold
            found[inside] = model.fit(rows.part(~inside), strength, rows.vectors[inside])
        losses[strength] = -np.log(np.maximum(found[np.arange(len(folds)), rows.labels], 1e-9)).mean()
    return model.fit(rows, min(losses, key=lambda one: losses[one]), asked.astype(np.float32))


def main() -> None:
    """Print a line a seed, and how often each framing was found to gain, and did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--unstructured", type=int, default=20)
    parser.add_argument("--only", choices=("ranks", "tree", "overlapping", "unstructured"))
    chosen = parser.parse_args()
    kinds = {
        "ranks": (ranks(), chosen.seeds),
        "tree": (tree(), chosen.seeds),
        "overlapping": (tree(width=64, groups=3, each=8, apart=1.2, within=1.8), chosen.seeds),
        "unstructured": (unstructured(), chosen.unstructured),
    }
    for kind, (planted, seeds) in kinds.items():
        if chosen.only not in (None, kind):
            continue
        found: dict[str, list[tuple[bool, Truth]]] = {}
        for seed in range(chosen.first_seed, chosen.first_seed + seeds):
            begun = time.process_time()
            results, costs = tried(planted, seed)
            for result, truth in zip(results, costs, strict=True):
                name = result.candidate.name
                found.setdefault(name, []).append((result.gain, truth))
                low, high = result.low or 0.0, result.high or 0.0
                print(
                    f"{kind} {seed} {name}: out of fold {result.value:.3f}, today {result.today:.3f} "
                    f"({low:+.3f} to {high:+.3f}), gain {result.gain}; new images {truth.own:.3f}, today "
                    f"{truth.today:.3f} ({truth.beyond[0]:+.1f} se), softmax that decides so {truth.decided:.3f} "
                    f"({truth.beyond[1]:+.1f} se)",
                    flush=True,
                )
            print(f"  {time.process_time() - begun:.1f} CPU seconds")
        for name, values in found.items():
            truths = [truth for _, truth in values]
            beyond = [sum(truth.beyond[other] > 1.96 for truth in truths) for other in (0, 1)]
            means = [float(np.mean([getattr(truth, one) for truth in truths])) for one in ("own", "today", "decided")]
            print(
                f"{kind}, {name}: gain said in {sum(gain for gain, _ in values)} of {seeds}; on new images better "
                f"beyond noise than today in {beyond[0]}, than the softmax that decides so in {beyond[1]}; mean cost "
                f"{means[0]:.3f}, today {means[1]:.3f}, softmax that decides so {means[2]:.3f}"
            )


if __name__ == "__main__":
    main()
