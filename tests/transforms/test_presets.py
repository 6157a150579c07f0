"""Presets are plain lists: they expand in place, work at any size, and turn no label into another."""

from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.images.facts import picture_facts
from pipeline.images.pixels import Pixels
from pipeline.transforms.params import PresetName, Transform, expand
from pipeline.transforms.presets import PRESETS
from pipeline.transforms.transforms import build_transform, check_transforms, make_variant

EACH = pytest.mark.parametrize("name", sorted(PRESETS))


def preset(name: Any) -> PresetName:
    return PresetName(preset=name)


def names_in(name: str) -> set[str]:
    return {transform.name for transform in expand([preset(name)])}


def page(side: int) -> Pixels:
    """A dark F on light paper, shape (side, side, 3): it shows how it was turned and whether it was mirrored."""
    pixels = np.full((side, side, 3), 220, np.uint8)
    for rows, columns in (((2, 8), (3, 4)), ((2, 3), (3, 7)), ((4, 5), (3, 6))):
        pixels[slice(*(side * np.array(rows) // 10)), slice(*(side * np.array(columns) // 10))] = 30
    return pixels


def variants(name: str, pixels: Pixels, count: int = 40) -> list[Pixels]:
    transform = build_transform([preset(name)])
    return [make_variant(pixels, transform, 1, "web/a.png", copy) for copy in range(count)]


def test_params_name_the_presets_that_there_are() -> None:
    assert {PresetName.model_validate({"preset": name}).preset for name in PRESETS} == set(PRESETS)


def test_presets_expand_in_their_place() -> None:
    blur = Transform.model_validate({"name": "Blur", "blur_limit": 3})
    light = expand([preset("light")])
    assert expand([blur, preset("light"), blur]) == (blur, *light, blur)
    assert [transform.model_dump() for transform in light] == [dict(item) for item in PRESETS["light"].transforms]
    assert expand([]) == ()


@EACH
@pytest.mark.parametrize("size", [8, 28, 224])
def test_each_preset_works_at_any_size_without_remarks(name: str, size: int) -> None:
    assert check_transforms([preset(name)], size) == []


@EACH
def test_each_preset_says_how_often_each_transform_acts(name: str) -> None:
    assert all("p" in item for item in PRESETS[name].transforms)


@EACH
def test_each_variant_is_another_picture_that_still_shows_something(name: str) -> None:
    original = page(28)
    made = variants(name, original)
    assert len({pixels.tobytes() for pixels in [*made, original]}) == len(made) + 1
    contrasts = [facts["contrast"] for facts in picture_facts(made)]
    # The strong one hides a part of the picture, and is for images that a model learns from without their label.
    least = 3 if name == "strong" else 2
    assert min(contrasts) > picture_facts([original])[0]["contrast"] / least


def test_the_general_preset_rotates_shifts_shears_and_flips() -> None:
    [affine] = [item for item in PRESETS["photo"].transforms if item["name"] == "Affine"]
    assert {"rotate", "translate_percent", "shear"} <= set(affine)
    assert "HorizontalFlip" in names_in("photo")


@pytest.mark.parametrize("name", ["document", "digits"])
def test_writing_is_neither_mirrored_nor_turned_over(name: str) -> None:
    flips = {"HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry", "RandomRotate90", "TimeReverse"}
    assert names_in(name) & flips == set()
    letter = page(40)
    for made in variants(name, letter):
        turned = [letter, letter[:, ::-1], letter[::-1], letter[::-1, ::-1], letter.swapaxes(0, 1)]
        assert np.argmax([alike(made, other) for other in turned]) == 0


def alike(one: Pixels, other: Pixels) -> float:
    """The largest correlation of two pictures over small shifts."""
    around = cv2.copyMakeBorder(one, 8, 8, 8, 8, cv2.BORDER_REPLICATE)
    return float(cv2.matchTemplate(around, np.ascontiguousarray(other), cv2.TM_CCOEFF_NORMED).max())
