"""Would twice the images help, and of which source? Errors of nested parts of train -> a power law, and its answer.

The error falls with the number of images n about as a n^-b + c (Cortes et al., 1993; Hestness et al., 2017). How sure
a, b and c are, and so the error at 2 n, shows the bootstrap: it draws seeds and groups of dev's images anew. It is too
narrow near 0 and in few groups: so its ends are moved out as far as the interval of today's error asks for (see
metrics/intervals.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.diagnosis.error_levels import ALPHA
from pipeline.diagnosis.gaps import Verdict, verdict_of
from pipeline.errors import DataError
from pipeline.manifest import PRODUCTION, RAW
from pipeline.metrics.bootstrap import interval
from pipeline.metrics.mean_intervals import Ends
from pipeline.randomness import keyed_generator, keyed_uniform

Numbers = npt.NDArray[np.float64]
ALL = "all"
# What grows in a curve; the rest of train is there as a whole.
CURVES = (ALL, RAW, PRODUCTION)
EXPONENTS = np.linspace(0.05, 2.0, 40)


@dataclass(frozen=True)
class PowerLaw:
    """error = a n^-b + c, each of a, b, c of shape (m,), for m fits at once; a and c are 0 or more."""

    a: Numbers
    b: Numbers
    c: Numbers

    def at(self, images: float) -> Numbers:
        """The error with so many images, shape (m,)."""
        return np.asarray(self.a * images**-self.b + self.c)


@dataclass(frozen=True)
class Answer:
    """What twice the images of one kind would do to dev's error, a share.

    curve: all, raw or production. images: how many there are now. gain: by how much the error would fall; low, high:
    of its interval, which holds for all curves together at 95 %.
    """

    curve: str
    images: int
    law: PowerLaw
    now: float
    twice: float
    gain: float
    low: float
    high: float
    verdict: Verdict


def sizes_of(count: int) -> list[float]:
    """So many shares of train, each twice the one before it, up to 1."""
    return [2.0 ** (place + 1 - count) for place in range(count)]


def part_of(rows: pd.DataFrame, curve: str, share: float, seed: int) -> "npt.NDArray[np.bool_]":
    """Which rows of train are in a part, shape (n,); parts of one seed are nested, whatever their shares.

    A share of the groups of each class and role, at least one, drawn by their keyed numbers; an image comes with all
    of its copies.
    """
    inside = np.ones(len(rows), bool)
    numbers = keyed_uniform(seed, "learning curve", rows["group"].astype(str).to_numpy())
    kinds = rows["label"].astype(str) + "\x1f" + rows["role"].astype(str)
    for kind in sorted(set(kinds)):
        those = (kinds == kind).to_numpy()
        if curve not in {ALL, str(rows.loc[those, "role"].iloc[0])}:
            continue
        drawn = np.unique(numbers[those])
        last = drawn[max(round(share * len(drawn)), 1) - 1]
        inside[those] = numbers[those] <= last
    return inside


def images_in(rows: pd.DataFrame, curve: str) -> int:
    """How many images of the kind that a curve varies are in rows; copies do not count."""
    kept = rows if curve == ALL else rows[rows["role"].astype(str) == curve]
    return int(kept["id"].nunique())


def check_images(rows: pd.DataFrame, curve: str, smallest: float) -> None:
    """Raise DataError unless each class has at least two images of the curve's role in the smallest part.

    Raises:
        DataError: a class has too few images.
    """
    kept = rows if curve == ALL else rows[rows["role"].astype(str) == curve]
    counts = kept.groupby(kept["label"].astype(str))["group"].nunique()
    few = counts[counts * smallest < 2]
    if not len(counts) or len(few):
        what = "train" if curve == ALL else f"train's {curve} part"
        fewest = f"the class {few.idxmin()} has {few.min()} images" if len(few) else "it has none"
        raise DataError(
            f"{what} has too few images for a learning curve: {fewest}. Its smallest part, {smallest:.3g} of "
            f"them, needs 2, so {int(np.ceil(2 / smallest))} in all. Use fewer sizes (--sizes), or collect "
            "more images"
        )


def fit_power_law(images: Sequence[float], errors: Numbers) -> PowerLaw:
    """The laws that fit best by weighted least squares: for each exponent of a grid a and c are exact.

    Args:
        images: sizes, shape (k,), k >= 3. errors: shape (m, k). Points weigh as errors of so many dev images vary.
    """
    sizes = np.asarray(images, np.float64)
    weight = 1 / np.maximum(errors * (1 - errors), 1e-3)
    best = np.full(len(errors), np.inf)
    laws = np.zeros((3, len(errors)))
    for exponent in EXPONENTS:
        scale = sizes[0] ** exponent
        term = np.broadcast_to((sizes**-exponent) * scale, errors.shape)
        a, c = _line(term, errors, weight)
        loss = (weight * (errors - a[:, None] * term - c[:, None]) ** 2).sum(axis=1)
        better = loss < best - 1e-15
        laws[:, better] = np.stack([a * scale, np.full(len(a), exponent), c])[:, better]
        best = np.minimum(best, loss)
    return PowerLaw(*laws)


def _line(term: Numbers, errors: Numbers, weight: Numbers) -> tuple[Numbers, Numbers]:
    """a and c of errors = a term + c, both 0 or more, shape (m,)."""
    total = weight.sum(axis=1)
    mean_term, mean_error = (weight * term).sum(axis=1) / total, (weight * errors).sum(axis=1) / total
    spread = (weight * (term - mean_term[:, None]) ** 2).sum(axis=1)
    a = (weight * (term - mean_term[:, None]) * errors).sum(axis=1) / np.maximum(spread, 1e-12)
    c = mean_error - a * mean_term
    without = (weight * term * errors).sum(axis=1) / (weight * term**2).sum(axis=1)
    a, c = np.where(c < 0, without, a), np.maximum(c, 0)
    return np.maximum(a, 0), np.where(a < 0, mean_error, c)


def answer(
    curve: str,
    images: Sequence[int],
    errors: Numbers,
    resampled: Numbers,
    ends: Numbers,
    curves: int,
    seed: int,
    relevant: float,
) -> Answer:
    """Answer whether twice the images would help.

    Args:
        images: of each size, shape (k,), the last all that there are.
        errors: of dev, shape (k, seeds). resampled: the same for resamples of dev, shape (k, seeds, m).
        ends: of the interval of today's error at 1 - ALPHA / curves, shape (seeds, 2); NaN where too few groups tell.
        curves: how many answers there are, for an interval that holds for all of them.
        relevant: the smallest gain that is worth work.
    """
    seeds, count = resampled.shape[1:]
    generator = keyed_generator(seed, "learning curve", curve)
    drawn = generator.integers(seeds, size=(count, seeds))
    means = np.stack([resampled[:, drawn[number], number].mean(axis=1) for number in range(count)])
    law, laws = fit_power_law(images, errors.mean(axis=1)[None]), fit_power_law(images, means)
    now, twice = (float(law.at(size)[0]) for size in (images[-1], 2 * images[-1]))
    gains = laws.at(images[-1]) - laws.at(2 * images[-1])
    alpha = ALPHA / curves
    of_errors = [interval(values, alpha) for values in resampled[-1]]
    low, high = _moved_out(now - twice, interval(gains, alpha), errors[-1], of_errors, ends)
    verdict = verdict_of(now - twice, low, high, relevant)
    return Answer(curve, images[-1], law, now, twice, now - twice, low, high, verdict)


def _moved_out(gain: float, drawn: Ends, errors: Numbers, drawn_errors: Sequence[Ends], ends: Numbers) -> Ends:
    """The bootstrap's ends of a gain, as much further out as those of today's error are than the bootstrap's of it.

    Args:
        errors: of each seed, shape (seeds,); drawn_errors: their ends by the bootstrap; ends: as of `answer`.
    """
    if np.isnan(ends).any():
        return -1.0, 1.0
    by_draws, asked = (np.abs(np.asarray(one) - errors[:, None]).mean(axis=0) for one in (drawn_errors, ends))
    # Where nothing varies, as without any error, all of the error's reach is the gain's.
    ratio = np.divide(asked, by_draws, out=np.ones(2), where=by_draws > 0).clip(min=1.0)
    reach = np.where(by_draws > 0, np.abs(np.asarray(drawn) - gain) * ratio, asked)
    return float(gain - reach[0]), float(gain + reach[1])


def render(found: Answer) -> str:
    """The answer as a sentence."""
    what = "the images" if found.curve == ALL else f"the {found.curve} images"
    reach = f"{100 * found.low:.1f} to {100 * found.high:.1f}"
    gain = f"dev's error from {found.now:.1%} to about {found.twice:.1%}, {100 * found.gain:.1f} points ({reach})"
    match found.verdict:
        case "present":
            return f"Twice {what} ({2 * found.images:,}) would help: {gain}."
        case "absent":
            return f"Twice {what} ({2 * found.images:,}) would not help: {gain}."
        case _:
            unknown = f"Cannot tell whether twice {what} ({2 * found.images:,}) would help: {gain}."
            return f"{unknown} More seeds (--seeds) narrow the interval."
