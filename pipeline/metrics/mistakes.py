"""Likelihood of the labels that a model contradicts: a mixture of wrong labels and of the model's mistakes.

How often: of the labels of images with the margin m a model contradicts (1 - w) e(m) + w (1 - e(m) / (k - 1)). w is
the share of wrong labels, e falls with m from chance to 0 as a logistic curve does, and one of its k - 1 mistakes on a
wrong label is that very label. Psychology knows this as a psychometric function with a lapse rate (Wichmann and Hill,
2001).

Which: the label of an image that the model mistakes is one of the other classes in proportion to p^t, a power of their
probabilities (t = 0: any, t = 1: as often as the model says). A wrong label is any class, or in part it follows p^t as
well, since people confuse the same classes. t and that part are not known, so whatever fits best counts. If wrong
labels all follow p^t, which label it is tells nothing, and the share is told by how often alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# Images with about the same margin are counted together.
BINS, MIN_IN_BIN = 40, 10
# Curves that are tried, over margins in their standard deviations: heights, and slopes above the least one.
HEIGHTS = np.arange(-6, 30.1, 0.2)
SLOPES = np.array([0, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 18, 26])
# Margins are log-odds: where probabilities hold, the odds of a mistake fall by a factor of e over one unit. So much is
# asked for, or a flat curve would pass for mistakes of a model that is as often wrong where it is certain. Wrong labels
# stretch the curve: no more than a factor of e over a standard deviation is asked for.
MAX_MIN_SLOPE = 1.0
# The powers t, and the parts of wrong labels that follow p^t.
POWERS, PARTS = (0.0, 0.5, 1.0), (0.0, 0.3, 0.6, 1.0)
# Probabilities below count as this: of so rare things no model knows how rare they are.
FLOOR = 1e-4
# Labels are counted together whose logarithm of p^t is the same to one digit.
LOG_DIGITS = 1
# For each share so many of the curves that explain best how often labels are contradicted.
BEST = 60


@dataclass(frozen=True)
class Observed:
    """What a model said of labels, in numbers of independent images.

    margins: of bins of images, standardised, (b,). images, contradicted: in each bin, (b,). min_slope: of the curve of
    mistakes, over one standard deviation. classes: how many there are.
    cells: for each of POWERS the contradicted labels: their bins (c,), their log p^t over all other classes (c,), and
    how many they are (c,).
    """

    margins: Floats
    images: Floats
    contradicted: Floats
    min_slope: float
    classes: int
    cells: tuple[tuple[npt.NDArray[np.intp], Floats, Floats], ...]


def observed(probabilities: Floats, labels: npt.NDArray[np.intp], weight: float) -> Observed:
    """Labels (n,) and what a model says of them that was not trained on them, (n, k).

    Args:
        weight: independent images to an image.
    """
    # As people write them down: a model's last digits depend on the processor.
    rounded = np.round(probabilities, 6)
    top, preferred = np.clip(rounded.max(axis=1), 1e-6, 1 - 1e-6), probabilities.argmax(axis=1)
    margins: Floats = np.log(top / (1 - top))
    place, means = _binned(margins)
    spread = float(means.std())
    wrong = np.flatnonzero(preferred != labels)
    count = len(means)
    return Observed(
        margins=(means - means.mean()) / max(spread, 1e-6),
        images=(weight * np.bincount(place, minlength=count)).astype(np.float64),
        contradicted=(weight * np.bincount(place[wrong], minlength=count)).astype(np.float64),
        min_slope=min(spread, MAX_MIN_SLOPE),
        classes=probabilities.shape[1],
        cells=_cells(rounded[wrong], preferred[wrong], labels[wrong], place[wrong], weight),
    )


def _binned(margins: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """The bin of each image, (n,), and the mean margin of each bin, (b,). Equal margins are in the same bin."""
    count = min(BINS, max(5, len(margins) // MIN_IN_BIN))
    ordered = np.sort(margins)
    first = np.searchsorted(ordered, ordered, side="left") * count // len(ordered)
    starts = np.flatnonzero(np.diff(first, prepend=-1))
    sizes = np.diff(np.append(starts, len(ordered)))
    place = np.searchsorted(ordered[starts], margins, side="right") - 1
    return place, np.add.reduceat(ordered, starts) / sizes


def _cells(
    probabilities: Floats,
    preferred: npt.NDArray[np.intp],
    labels: npt.NDArray[np.intp],
    place: npt.NDArray[np.intp],
    weight: float,
) -> tuple[tuple[npt.NDArray[np.intp], Floats, Floats], ...]:
    """Contradicted labels that count together, for each of POWERS."""
    rows, found = np.arange(len(labels)), []
    for power in POWERS:
        others = np.maximum(probabilities, FLOOR) ** power
        others[rows, preferred] = 0.0
        logs = np.round(np.log(others[rows, labels] / others.sum(axis=1)), LOG_DIGITS)
        cells, counts = np.unique(np.stack([place.astype(np.float64), logs]), axis=1, return_counts=True)
        found.append((cells[0].astype(np.intp), cells[1], (weight * counts).astype(np.float64)))
    return tuple(found)


def misfits(seen: Observed, shares: Floats) -> Floats:
    """The negative log-likelihood of what fits best, for each share of wrong labels, (s,)."""
    heights, slopes = (grid.ravel() for grid in np.meshgrid(HEIGHTS, seen.min_slope + SLOPES, indexing="ij"))
    logistic = 1 / (1 + np.exp(np.clip(heights[:, None] + slopes[:, None] * seen.margins, -30, 30)))
    # Nobody errs more often than one who guesses.
    chance = 1 - 1 / seen.classes
    return np.array([_misfit(seen, float(share), chance, logistic) for share in shares])


def _misfit(seen: Observed, share: float, chance: float, logistic: Floats) -> float:
    """Of one share; logistic: the curves, (c, b)."""
    rise = max(chance - share, 0.0)
    expected = np.clip(share + rise * logistic, 1e-9, 1 - 1e-9)
    kept = seen.images - seen.contradicted
    how_often = -(np.log(expected) @ seen.contradicted + np.log(1 - expected) @ kept)
    best = np.argsort(how_often, kind="stable")[:BEST]
    others = max(seen.classes - 1, 1)
    # Of the contradicted labels of each bin, so many are wrong; the others are mistakes.
    of_wrong = np.clip(share * (1 - chance * logistic[best] / others) / expected[best], 0.0, 1.0)
    found = np.inf
    for place, logs, counts in seen.cells:
        for part in PARTS:
            any_class = (1 - part) * of_wrong[:, place]
            which = np.log(any_class / others + (1 - any_class) * np.exp(logs)) @ counts
            found = min(found, float((how_often[best] - which).min()))
    return found
