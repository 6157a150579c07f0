"""What degrading leaves is called content only if pictures differ in what they show."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.images.pixels import Pixels
from pipeline.metrics.two_samples import FOLDS, Result
from pipeline.stages.augment.content_gap import CONTENT, SKETCH, ContentGap, Readers, measure_content, sketch
from pipeline.stages.augment.degradation import Strength, Strengths, degrade
from tests.scenes import scene

IMAGES = 120
NIGHT = Strengths(brightness=Strength(-1.0, 0.2), contrast=Strength(-0.5, 0.1), blur=Strength(1.0, 0.2))
CHANCE, SURE = Result(0.51, 0.4, 0.42, 0.6), Result(0.95, 0.001, 0.9, 0.98)
WEAK = Result(0.7, 0.001, CONTENT - 0.1, 0.8)


def colours(pictures: Iterable[Pixels]) -> Iterator[Any]:
    """A plain backbone: 6 x 6 colours, and a number that keeps how light they are in a vector of length 1."""
    for pixels in pictures:
        small = cv2.resize(pixels, (6, 6), interpolation=cv2.INTER_AREA)
        yield np.append(small.ravel(), 1000).astype(np.float16)


def with_disc(pixels: Pixels, side: str) -> Pixels:
    """The scene with a large dark disc on one side."""
    place = (10 if side == "left" else 30, 20)
    return np.asarray(cv2.circle(pixels.copy(), place, 8, (20, 20, 20), -1), np.uint8)


def compared(raw: list[Pixels], production: list[Pixels], strengths: Strengths | None = None) -> ContentGap:
    """The first half chose, the other measures."""

    def both(number: int) -> tuple[Pixels, Pixels]:
        pixels = raw[number]
        return pixels, pixels if strengths is None else degrade(pixels, strengths, 1, str(number), 1)

    half = len(raw) // 2
    choosing, measuring = (
        Readers(
            [partial(both, number) for number in numbers],
            [partial(np.array, production[number]) for number in numbers],
            np.arange(2 * half) % FOLDS,
        )
        for numbers in (range(half), range(half, 2 * half))
    )
    return measure_content(choosing, measuring, 1, colours)


def scenes(first: int) -> list[Pixels]:
    return [scene(first + number, 40) for number in range(IMAGES)]


def test_things_in_other_places_are_content() -> None:
    raw, production = ([with_disc(one, side) for one in scenes(first)] for first, side in ((0, "left"), (500, "right")))
    gap = compared(raw, production)
    assert gap.rest == "content"
    assert gap.metrics["rest"] == "content"
    assert gap.sketches.low is not None
    assert gap.metrics["auc_sketches_low"] == gap.sketches.low >= CONTENT
    assert "What is left is content" in gap.summary


@pytest.mark.parametrize("strengths", [None, NIGHT], ids=["not degraded", "degraded"])
def test_a_camera_alone_is_never_content(strengths: Strengths | None) -> None:
    production = [degrade(one, NIGHT, 2, str(number), 0) for number, one in enumerate(scenes(500))]
    gap = compared(scenes(0), production, strengths)
    assert gap.before.p < 0.05
    assert gap.before.statistic > 0.8
    if strengths is not None:
        assert gap.after.statistic < gap.before.statistic - 0.2
    assert gap.rest != "content"


def test_equal_populations_leave_nothing() -> None:
    gap = compared(scenes(0), scenes(500))
    assert (gap.rest, gap.before) == ("nothing", gap.after)
    assert "No difference beyond chance is left" in gap.summary


def test_only_pictures_that_measure_say_how_near_degrading_brings_them() -> None:
    production = [degrade(one, NIGHT, 2, str(number), 0) for number, one in enumerate(scenes(500))]
    raw, half = scenes(0), IMAGES // 2
    like = compared([*raw[:half], *production[half:]], production)
    unlike = compared([*production[:half], *raw[half:]], production)
    assert like.before.statistic < 0.55
    assert unlike.before.statistic > 0.8


@pytest.mark.parametrize(
    ("after", "sketches", "rest"),
    [
        (CHANCE, SURE, "nothing"),
        (SURE, SURE, "content"),
        (SURE, WEAK, "unclear"),
        (SURE, CHANCE, "unclear"),
        (SURE, Result(0.95, 0.001), "unclear"),
    ],
)
def test_what_is_left_is_content_only_if_sketches_tell_it_clearly(after: Result, sketches: Result, rest: str) -> None:
    gap = ContentGap(SURE, after, sketches)
    assert gap.rest == rest
    assert ("It cannot be told" in gap.summary) == (rest == "unclear")
    assert "before 0.950 (0.900 to 0.980)" in gap.summary


def test_sketches_keep_places_and_no_light() -> None:
    pixels = scene(3, 96)
    seen = sketch(pixels)
    assert seen.shape == (SKETCH, SKETCH, 3)
    assert (seen.min(), seen.max()) == (0, 255)
    down, across = np.mgrid[-1:1:96j, -1:1:96j]
    corners = (pixels * (1 - 0.2 * (down**2 + across**2))[..., None]).astype(np.uint8)
    for changed in (pixels // 2, corners, cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)):
        assert np.corrcoef(seen.ravel(), sketch(np.asarray(changed, np.uint8)).ravel())[0, 1] > 0.9
    assert np.corrcoef(seen.ravel(), sketch(scene(4, 96)).ravel())[0, 1] < 0.5


def test_one_colour_is_a_flat_sketch() -> None:
    assert len(np.unique(sketch(np.full((5, 7, 3), 9, np.uint8)))) == 1
