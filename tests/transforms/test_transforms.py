"""Every transform keeps one contract or is refused in words; variants are functions of their key."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ParamsError
from pipeline.images.pixels import Pixels
from pipeline.transforms.params import Transform
from pipeline.transforms.transforms import LIBRARY, REFUSED, Transforms, build_transform, check_transforms, make_variant
from tests.examples import REPOSITORY, picture

FEW = settings(max_examples=25, deadline=None)
RICH = (
    {"name": "Affine", "rotate": [-30, 30], "translate_percent": [-0.1, 0.1], "p": 1.0},
    {"name": "HorizontalFlip", "p": 0.5},
    {"name": "RandomBrightnessContrast", "p": 0.7},
    {"name": "GaussNoise", "p": 1.0},
    {"name": "CoarseDropout", "p": 0.5},
)
KEYS = [(f"web/{letter}.png", copy) for letter in "abc" for copy in (1, 2, 3)]
SIDE = 64
WHOLE = {"height": SIDE, "width": SIDE}
# Arguments of the transforms that have none by default, or none that keep the size.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "CLAHE": {"tile_grid_size": [2, 2]},
    "CenterCrop": WHOLE,
    "Crop": {"x_max": SIDE, "y_max": SIDE},
    "CropAndPad": {"percent": [-0.2, 0.2]},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 5},
    "LongestMaxSize": {"max_size": SIDE},
    "PadIfNeeded": {"min_height": SIDE, "min_width": SIDE},
    "RandomCrop": WHOLE,
    "RandomCropFromBorders": {"crop_left": 0.0, "crop_right": 0.0, "crop_top": 0.0, "crop_bottom": 0.0},
    "RandomGravel": {"gravel_roi": [0, 0, 1, 1], "number_of_patches": 50},
    "RandomResizedCrop": {"size": [SIDE, SIDE]},
    "RandomScale": {"scale_limit": [0, 0]},
    "RandomSizedCrop": {"min_max_height": [SIDE // 2, SIDE], "size": [SIDE, SIDE]},
    "Resize": WHOLE,
    "SmallestMaxSize": {"max_size": SIDE},
}
# Those that have no chance in them by default but for `p`.
DETERMINISTIC = {
    *("Affine", "AutoContrast", "Downscale", "Equalize", "HorizontalFlip", "InvertImg", "Morphological", "NoOp", "Pad"),
    *("Posterize", "Solarize", "TimeReverse", "ToGray", "ToSepia", "Transpose", "VerticalFlip", "XYMasking"),
    *("CenterCrop", "Crop", "LongestMaxSize", "PadIfNeeded", "RandomCrop", "RandomCropFromBorders"),
    *("RandomScale", "Resize", "SmallestMaxSize"),
}


def build(*transforms: dict[str, Any]) -> Transforms:
    return build_transform([Transform.model_validate(transform) for transform in transforms])


def check(*transforms: dict[str, Any], size: int = SIDE) -> list[str]:
    return check_transforms([Transform.model_validate(transform) for transform in transforms], size)


def refusal(*transforms: dict[str, Any], size: int = SIDE) -> list[str]:
    """The lines of the error, without its head."""
    with pytest.raises(ParamsError) as caught:
        check(*transforms, size=size)
    head, *lines = str(caught.value).split("\n  ")
    assert head == "params.yaml names transforms that cannot be used:"
    return lines


def variants(
    keys: list[tuple[str, int]], transform: Transforms, seed: int = 1, pixels: Pixels | None = None
) -> dict[tuple[str, int], bytes]:
    pixels = picture(7) if pixels is None else pixels
    return {key: make_variant(pixels, transform, seed, *key).tobytes() for key in keys}


def photo() -> Pixels:
    """Shapes, shades and a little noise, shape (SIDE, SIDE, 3): some transforms leave plain noise as it is."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    shades = np.stack([rows * 3, columns * 2 + 40, 200 - rows - columns], axis=2)
    shades[10:40, 20:50] += np.array([60, -20, 30])
    noise = np.random.default_rng(1).integers(-8, 9, shades.shape)
    pixels = (shades + noise).clip(0, 255).astype(np.uint8)
    pixels.flags.writeable = False  # as decode gives them
    return pixels


@pytest.mark.parametrize("name", sorted(LIBRARY.keys() - REFUSED.keys()))
def test_every_transform_keeps_the_contract(name: str) -> None:
    definition = {"name": name, **ARGUMENTS.get(name, {}), "p": 1.0}
    check(definition)
    transform, pixels = build(definition), photo()
    made = variants(KEYS, transform, pixels=pixels)
    # In another order, and as it comes out at the other end of a pipe to a worker.
    travelled = pickle.loads(pickle.dumps(build(definition)))
    assert variants(KEYS[::-1], travelled, pixels=pixels) == made
    assert len(made[KEYS[0]]) == pixels.size
    assert (len(set(made.values())) > 1) == (name not in DETERMINISTIC)
    np.testing.assert_array_equal(pixels, photo(), err_msg="the original was changed")


@pytest.mark.parametrize("name", sorted(LIBRARY.keys() & REFUSED.keys()))
def test_what_is_refused_could_not_have_been_used(name: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            transform = LIBRARY[name](p=1.0, **(WHOLE if name.startswith(("CropNonEmpty", "RandomSized")) else {}))
            made = transform(image=photo())["image"]
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        return
    assert type(made) is not np.ndarray or made.dtype != np.uint8 or np.array_equal(made, photo())


def test_the_readme_says_how_many_there_are() -> None:
    assert f"You can use {len(LIBRARY.keys() - REFUSED.keys())} of them" in (REPOSITORY / "docs/augment.md").read_text()


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_says_why(name: str) -> None:
    assert refusal({"name": name}) == [f"augment.transforms.0.name: {name} {REFUSED[name]}: it cannot be used here"]


@given(st.permutations(KEYS))
@FEW
def test_variant_does_not_depend_on_those_made_before(keys: list[tuple[str, int]]) -> None:
    one_transform = build(*RICH)
    assert variants(list(keys), one_transform) == variants(KEYS, build(*RICH))


@given(chosen=st.sets(st.sampled_from(KEYS), min_size=1))
@FEW
def test_variant_is_the_same_in_a_process_that_makes_others(chosen: set[tuple[str, int]]) -> None:
    everything = variants(KEYS, build(*RICH))
    assert variants(sorted(chosen), build(*RICH)) == {key: everything[key] for key in chosen}


def test_copies_images_and_seeds_differ() -> None:
    transform = build(*RICH)
    first, second = variants(KEYS, transform, seed=1), variants(KEYS, transform, seed=2)
    assert len({*first.values(), *second.values()}) == 2 * len(KEYS)


def test_each_epoch_has_variants_of_its_own() -> None:
    transform = build(*RICH)
    made = [make_variant(picture(7), transform, 1, "web/a.png", 1, epoch).tobytes() for epoch in (None, 0, 1, 0, None)]
    assert len(set(made)) == 3
    assert made[:2] == made[:2:-1]


def test_transforms_of_a_list_draw_numbers_of_their_own() -> None:
    """albumentations' own seeding makes both flips happen together or not at all."""
    transform = build({"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5})
    corners = {make_variant(picture(7), transform, 1, "web/a.png", copy)[0, 0].tobytes() for copy in range(64)}
    assert len(corners) == 4


def test_global_random_state_has_no_say() -> None:
    np.random.seed(1)
    first = variants(KEYS, build(*RICH))
    np.random.seed(2)
    assert variants(KEYS, build(*RICH)) == first


def test_without_transforms_the_picture_is_itself() -> None:
    np.testing.assert_array_equal(make_variant(picture(7), build(), 1, "web/a.png", 1), picture(7))


def test_transforms_act_in_the_order_given() -> None:
    half = {"name": "Crop", "x_max": 8, "y_max": 16, "p": 1.0}
    whole = {"name": "Resize", "height": 16, "width": 16, "interpolation": 0, "p": 1.0}
    assert check(half, whole, size=16) == []
    stretched = make_variant(picture(7), build(half, whole), 1, "web/a.png", 1)
    np.testing.assert_array_equal(stretched, picture(7)[:, :8].repeat(2, axis=1))
