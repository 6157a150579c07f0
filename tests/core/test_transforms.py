"""Variants are functions of seed, image and copy number; transforms that cannot be made are all named."""

import inspect
from typing import Any

import albumentations
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.imaging import Pixels
from pipeline.core.transforms import build_transform, make_variant
from pipeline.errors import ParamsError
from pipeline.params import Transform
from tests.examples import picture

FEW = settings(max_examples=25, deadline=None)
RICH = (
    {"name": "Affine", "rotate": [-30, 30], "translate_percent": [-0.1, 0.1], "p": 1.0},
    {"name": "HorizontalFlip", "p": 0.5},
    {"name": "RandomBrightnessContrast", "p": 0.7},
    {"name": "GaussNoise", "p": 1.0},
    {"name": "CoarseDropout", "p": 0.5},
)
NAMES = sorted(
    name
    for name, member in vars(albumentations).items()
    if inspect.isclass(member) and issubclass(member, albumentations.BasicTransform)
)
KEYS = [(f"web/{letter}.png", copy) for letter in "abc" for copy in (1, 2, 3)]


def build(*transforms: dict[str, Any]) -> albumentations.Compose:
    return build_transform([Transform.model_validate(transform) for transform in transforms])


def variants(
    keys: list[tuple[str, int]], transform: albumentations.Compose, seed: int = 1
) -> dict[tuple[str, int], bytes]:
    return {key: make_variant(picture(7), transform, seed, *key).tobytes() for key in keys}


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
    stretched = make_variant(picture(7), build(half, whole), 1, "web/a.png", 1)
    np.testing.assert_array_equal(stretched, picture(7)[:, :8].repeat(2, axis=1))


@pytest.mark.filterwarnings("ignore")
def test_every_transform_of_the_library_is_keyed_or_refused_in_words() -> None:
    crashed, unkeyed, spoiled = [], [], []
    for name in NAMES:
        pixels = picture(7)
        try:
            made = _in_both_orders(pixels, name)
        except ParamsError:
            continue
        except (LookupError, NotImplementedError, TypeError, ValueError):
            crashed.append(name)
            continue
        if made[0] != made[1]:
            unkeyed.append(name)
        if (pixels != picture(7)).any():
            spoiled.append(name)
    assert len(NAMES) > 50
    assert {"crashed": crashed, "unkeyed": unkeyed, "spoiled": spoiled} == {"crashed": [], "unkeyed": [], "spoiled": []}


def _in_both_orders(pixels: Pixels, name: str) -> list[dict[int, bytes]]:
    transform = build({"name": name, "p": 1.0})
    return [
        {copy: make_variant(pixels, transform, 1, "web/a.png", copy).tobytes() for copy in copies}
        for copies in ((1, 2), (2, 1))
    ]


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        pytest.param(
            {"name": "Afine"}, r"albumentations has no transform 'Afine', did you mean 'Affine'\?", id="misspelt"
        ),
        pytest.param({"name": "xyzzy"}, r"albumentations has no transform 'xyzzy'$", id="nothing is near"),
        pytest.param({"name": "Compose"}, r"albumentations has no transform 'Compose'", id="no transform by itself"),
        pytest.param(
            {"name": "BasicTransform"}, r"albumentations has no transform 'BasicTransform'", id="a base class"
        ),
        pytest.param(
            {"name": "Affine", "rotat": 5},
            r"Affine has no argument 'rotat', did you mean 'rotate'\?\. It takes scale, .*rotate.*p$",
            id="misspelt argument",
        ),
        pytest.param(
            {"name": "Affine", "rotat": 5, "scal": 1},
            r"Affine has no argument 'rotat', did you mean 'rotate'\?; 'scal', did you mean 'scale'\?",
            id="two misspelt arguments",
        ),
        pytest.param({"name": "Affine", "rotate": "far"}, r"Affine refuses {'rotate': 'far'}: ", id="wrong type"),
        pytest.param({"name": "HorizontalFlip", "p": 1.5}, r"HorizontalFlip refuses {'p': 1\.5}: ", id="out of range"),
        pytest.param({"name": "RandomCrop"}, r"RandomCrop refuses {}: ", id="missing argument"),
        pytest.param({"name": "ShiftScaleRotate"}, r"ShiftScaleRotate refuses {}: .*Affine", id="only warned about"),
    ],
)
def test_transform_that_cannot_be_made_is_explained(transform: dict[str, Any], message: str) -> None:
    head = r"^params\.yaml names transforms that cannot be made:\n  augment\.transforms\.0: "
    with pytest.raises(ParamsError, match=head + message):
        build(transform)


def test_all_wrong_transforms_are_named_with_their_places() -> None:
    with pytest.raises(ParamsError) as caught:
        build({"name": "Afine"}, {"name": "HorizontalFlip"}, {"name": "Blur", "blur": 3})
    places = [line.split(":")[0].strip() for line in str(caught.value).splitlines()]
    assert places == [
        "params.yaml names transforms that cannot be made",
        "augment.transforms.0",
        "augment.transforms.2",
    ]


@pytest.mark.parametrize(
    ("transform", "found"),
    [
        pytest.param({"name": "CenterCrop", "height": 8, "width": 8}, r"\(8, 8, 3\) uint8", id="smaller"),
        pytest.param({"name": "PadIfNeeded", "min_height": 20, "min_width": 16}, r"\(20, 16, 3\) uint8", id="larger"),
        pytest.param({"name": "ToFloat"}, r"\(16, 16, 3\) float32", id="floats"),
        pytest.param({"name": "Normalize"}, r"\(16, 16, 3\) float32", id="normalised"),
    ],
)
def test_transform_that_changes_size_or_type_is_refused(transform: dict[str, Any], found: str) -> None:
    message = rf"^augment\.transforms turn \(16, 16, 3\) uint8 pixels into {found}: the model needs one size; take out"
    with pytest.raises(ParamsError, match=message):
        make_variant(picture(7), build({**transform, "p": 1.0}), 1, "web/a.png", 1)
