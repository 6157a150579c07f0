"""Issues are marked by levels of params, sizes are compared within a source, and the worst come first."""

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.images.facts import blur_as_it_came, picture_facts
from pipeline.images.pixels import Pixels
from pipeline.issues import ISSUES
from pipeline.stages.curate.issues import issue_counts, with_issues, worst
from tests.examples import params

LEVELS = params(**{"curate.issues.low_information": 3.0}).curate.issues


def photo(seed: int) -> Pixels:
    """Structure on every scale, down to the pixel, as sharp photos have it."""
    random = np.random.default_rng(seed)
    pixels = np.full((224, 224, 3), 110, np.float32)
    for octave in range(1, 8):
        coarse = random.normal(0, 70 / 1.5**octave, (2**octave, 2**octave, 3)).astype(np.float32)
        pixels += cv2.resize(coarse, (224, 224), interpolation=cv2.INTER_CUBIC)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def flat(level: int) -> Pixels:
    return np.full((64, 64, 3), level, np.uint8)


def two(one: int, other: int, share: float) -> Pixels:
    pixels = flat(one)
    pixels[: round(64 * share)] = other
    return pixels


def images(pictures: dict[str, Pixels], sizes: dict[str, tuple[int, int]] | None = None) -> pd.DataFrame:
    rows = []
    for name, pixels in pictures.items():
        width, height = (sizes or {}).get(name, (400, 300))
        facts = {"width": width, "height": height, "blur": blur_as_it_came(pixels), **picture_facts([pixels])[0]}
        rows.append({"id": name, "source": name[:3], **facts})
    return pd.DataFrame(rows)


def issues_of(pixels: Pixels) -> set[str]:
    row = with_issues(images({"web": pixels}), LEVELS).iloc[0]
    return {name for name in ISSUES if row[name]}


@pytest.mark.parametrize(
    ("change", "issue"),
    [
        pytest.param(lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 2.5), "blurry", id="out of focus"),
        pytest.param(lambda pixels: cv2.GaussianBlur(pixels, (1, 31), 0, None, 4), "blurry", id="shaken up and down"),
        pytest.param(lambda pixels: cv2.GaussianBlur(pixels, (31, 1), 4), "blurry", id="shaken sideways"),
        pytest.param(lambda pixels: pixels // np.uint8(4), "dark", id="too short an exposure"),
        pytest.param(lambda pixels: 255 - pixels // np.uint8(30), "light", id="too long an exposure"),
        pytest.param(lambda pixels: pixels[..., :1].repeat(3, axis=2), "grayscale", id="grey"),
        pytest.param(lambda pixels: 120 + pixels // np.uint8(64), "blank", id="next to nothing"),
    ],
)
def test_a_changed_photo_has_its_issue_and_the_photo_none(change: object, issue: str) -> None:
    for seed in range(3):
        assert issues_of(photo(seed)) == set()
        assert issue in issues_of(np.ascontiguousarray(change(photo(seed))))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        pytest.param(flat(128), {"blank", "low_information", "grayscale"}, id="one colour"),
        pytest.param(flat(0), {"blank", "low_information", "grayscale", "dark"}, id="black"),
        pytest.param(flat(255), {"blank", "low_information", "grayscale", "light"}, id="white"),
        pytest.param(two(0, 255, 0.5), {"low_information", "grayscale"}, id="half black, half white"),
        pytest.param(two(0, 255, 0.005), {"blank", "low_information", "grayscale", "dark"}, id="a speck of light"),
    ],
)
def test_plain_pictures(pixels: Pixels, expected: set[str]) -> None:
    assert issues_of(pixels) == expected


@pytest.mark.parametrize("issue", ISSUES)
def test_an_image_at_the_level_itself_has_no_issue(issue: str) -> None:
    rows = images({f"web{number}": photo(number) for number in range(3)}, {"web0": (500, 90)})
    value = ISSUES[issue].value(rows)[0]
    assert not with_issues(rows, LEVELS.model_copy(update={issue: value}))[issue].iloc[0]
    beyond = value * (0.999 if ISSUES[issue].above else 1.001)
    assert with_issues(rows, LEVELS.model_copy(update={issue: beyond}))[issue].iloc[0]


def test_shape_and_size_are_those_of_the_original_and_size_is_compared_within_a_source() -> None:
    sizes = {"web/strip": (1000, 300), "web/tall": (300, 1000), "web/icon": (40, 30), "web/poster": (4000, 3000)}
    names = [*(f"web/{number}" for number in range(6)), *sizes, *(f"cam/{number}" for number in range(4))]
    # All of one source are small: that is usual there.
    rows = with_issues(
        images(dict.fromkeys(names, photo(1)), sizes | {name: (8, 8) for name in names if name[:3] == "cam"}), LEVELS
    )
    assert rows.loc[rows["odd_aspect_ratio"], "id"].tolist() == ["web/strip", "web/tall"]
    assert rows.loc[rows["odd_size"], "id"].tolist() == ["web/icon", "web/poster"]
    assert issue_counts(rows)["web"]["odd_size"] == 2
    assert issue_counts(rows)["cam"] == dict.fromkeys(ISSUES, 0)
    assert list(issue_counts(rows)) == ["cam", "web"]


def test_the_worst_come_first_and_equal_ones_by_id() -> None:
    rows = with_issues(images({"b": flat(30), "a": flat(30), "c": flat(3), "d": photo(1), "e": flat(80)}), LEVELS)
    values, found = worst(rows, "dark", 3)
    assert found["id"].tolist() == ["c", "a", "b"]
    assert values.tolist() == [3, 30, 30]
    values, found = worst(rows, "light", 3)
    assert len(values) == len(found) == 0


def test_no_images_have_no_issues() -> None:
    none = with_issues(images({"web": photo(1)}).iloc[:0], LEVELS)
    assert [name for name in ISSUES if name not in none] == []
    assert issue_counts(none) == {}
