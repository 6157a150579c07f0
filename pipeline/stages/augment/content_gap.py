"""Tell raw and production apart by embedding, and say whether what degrading leaves is content.

Capture statistics (stages/augment/capture.py) say how pictures were taken. Embeddings also say what they show, and
notice traces of a camera that no degradation imitates. So an AUC by embedding that stays high proves nothing yet.
What does is a third one, of sketches: gray pictures of few pixels, blurred, with evened-out light. They keep little
but where things are. Light, colour, sharpness, noise and compression are gone, unless they differ very much: so the
claim needs more than a difference beyond chance (CONTENT). Where sketches keep too little of the content to tell, none
is made.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, assert_never

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from pipeline.images.pixels import Pixels
from pipeline.metrics.embedding_domain import embedding_features
from pipeline.metrics.two_samples import Result, area_test

Values = npt.NDArray[np.floating]
# Pictures of any shape -> their vectors, in order.
Embed = Callable[[Iterable[Pixels]], Iterable[Values]]
# What reads a picture as it is and degraded.
ReadBoth = Callable[[], tuple[Pixels, Pixels]]

Rest = Literal["nothing", "content", "unclear"]

# Pixels per side of a sketch, and the standard deviation of its blur in these.
SKETCH, BLUR = 24, 1.0
# Lower end of the AUC of sketches from which what is left is called content. Measured with 120 pictures of a role: of
# one content under strong traces of a camera, not degraded at all, it was 0.57 at most; of photos of other things 0.89.
CONTENT = 0.7
# Added to luma before its logarithm, so that noise in black counts little.
BLACK = 8.0
# p of a classifier from which it tells nothing apart.
LEVEL = 0.05


@dataclass(frozen=True)
class View:
    """What a backbone sees: reads a picture by its row number, without bars; and makes vectors."""

    read: Callable[[int], Pixels]
    embed: Embed


@dataclass(frozen=True)
class ContentGap:
    """How well raw and production are told apart by embedding: as they are, raw degraded, and as sketches of these."""

    before: Result
    after: Result
    sketches: Result

    @property
    def rest(self) -> Rest:
        """What embeddings still tell apart after degrading."""
        if self.after.p >= LEVEL:
            return "nothing"
        certain = self.sketches.p < LEVEL and self.sketches.low is not None and self.sketches.low >= CONTENT
        return "content" if certain else "unclear"

    @property
    def metrics(self) -> dict[str, Any]:
        """Numbers for a report, and what is left."""
        named = {"auc_before": self.before, "auc_after": self.after, "auc_sketches": self.sketches}
        numbers = {key: value for name, found in named.items() for key, value in area(name, found).items()}
        return {**numbers, "rest": self.rest}

    @property
    def summary(self) -> str:
        """How well embeddings tell raw from production, and what is left."""
        told = f"by embedding, the AUC is {words(self.after)}, before {words(self.before)}"
        match self.rest:
            case "nothing":
                return f"{told}. No difference beyond chance is left"
            case "unclear":
                return f"{told}. It cannot be told whether what is left is content or a trace of the camera"
            case "content":
                return (
                    f"{told}. What is left is content: what the images show, or how they are framed. Even gray "
                    f"sketches of {SKETCH} pixels per side are told apart, with an AUC of {words(self.sketches)}. "
                    "No degradation closes that gap: collect raw images that show what production's show"
                )
            case unknown:
                assert_never(unknown)


@dataclass(frozen=True)
class Readers:
    """What reads pictures one by one, because whole ones may be large; raw ones as they are and degraded.

    folds: of raw, then of production, in [0, two_samples.FOLDS); groups are not parted.
    """

    raw: Sequence[ReadBoth]
    production: Sequence[Callable[[], Pixels]]
    folds: npt.NDArray[np.intp]


def measure_content(choosing: Readers, measuring: Readers, seed: int, embed: Embed) -> ContentGap:
    """Three domain tests by embedding: before and after on pictures that measure, sketches on all.

    Strengths were chosen so that raw pictures look more like production's: sketches of those that chose differ less, if
    at all, so that they make no claim likelier.
    """
    halves = [_Vectors.of(each, embed) for each in (choosing, measuring)]
    own, there = halves[1], halves[1].production

    def told(raw: Values, production: Values, folds: npt.NDArray[np.intp]) -> Result:
        inside = np.arange(len(raw) + len(production)) < len(raw)
        return area_test(embedding_features(np.concatenate([raw, production])), inside, folds, seed)

    raw, production = (
        np.concatenate([getattr(half, name) for half in halves]) for name in ("raw_sketches", "production_sketches")
    )
    ends = [len(half.raw) for half in halves]
    folds = [np.split(each.folds, [end]) for each, end in zip((choosing, measuring), ends, strict=True)]
    return ContentGap(
        told(own.raw, there, measuring.folds),
        told(own.degraded, there, measuring.folds),
        told(raw, production, np.concatenate([part[side] for side in range(2) for part in folds])),
    )


@dataclass(frozen=True)
class _Vectors:
    """Embeddings of one half's pictures and of their sketches, shape (n, d) each."""

    raw: Values
    degraded: Values
    raw_sketches: Values
    production: Values
    production_sketches: Values

    @classmethod
    def of(cls, pictures: Readers, embed: Embed) -> "_Vectors":
        vectors, ends = np.stack([*embed(_views(pictures))]), 3 * len(pictures.raw)
        raw, production = vectors[:ends], vectors[ends:]
        return cls(raw[::3], raw[1::3], raw[2::3], production[::2], production[1::2])


def sketch(pixels: Pixels) -> Pixels:
    """Gray, SKETCH pixels per side, blurred, without light that changes across the picture: (SKETCH, SKETCH, 3).

    Of the logarithm of luma the best quadratic surface is taken off, as vignetting and shadows are, and each value
    becomes its rank, which no tone curve changes.
    """
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.GaussianBlur(cv2.resize(luma, (SKETCH, SKETCH), interpolation=cv2.INTER_AREA), (0, 0), BLUR)
    light = np.log(small.astype(np.float64).ravel() + BLACK)
    surface = _surfaces()
    rest = light - np.einsum("ij,j->i", surface, np.einsum("ij,i->j", surface, light))
    # Rounded, because equal values must tie on every processor.
    ranks = (rankdata(np.round(rest, 4)) - 1) / (SKETCH**2 - 1)
    values = np.rint(255 * ranks).astype(np.uint8).reshape(SKETCH, SKETCH, 1)
    return np.repeat(values, 3, axis=2)


@cache
def _surfaces() -> npt.NDArray[np.float64]:
    """An orthonormal basis of quadratic functions of a place, shape (SKETCH ** 2, 6)."""
    down, across = np.mgrid[-1 : 1 : SKETCH * 1j, -1 : 1 : SKETCH * 1j]
    terms = [(down**i * across**j).ravel() for i in range(3) for j in range(3 - i)]
    return np.asarray(np.linalg.qr(np.stack(terms, axis=1))[0])


def area(name: str, found: Result) -> dict[str, float]:
    """An AUC and the ends of its interval, by name."""
    ends = {"": found.statistic, "_low": found.low, "_high": found.high}
    return {f"{name}{end}": float(value) for end, value in ends.items() if value is not None}


def words(found: Result) -> str:
    """An AUC with its interval."""
    span = "" if found.low is None or found.high is None else f" ({found.low:.3f} to {found.high:.3f})"
    return f"{found.statistic:.3f}{span}"


def _views(pictures: Readers) -> Iterator[Pixels]:
    for read_both in pictures.raw:
        plain, degraded = read_both()
        yield from (plain, degraded, sketch(degraded))
    for read in pictures.production:
        pixels = read()
        yield from (pixels, sketch(pixels))
