"""Transforms that cannot be used are refused in a line each, before any picture is made."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ParamsError
from pipeline.transforms.params import AnyTransform, PresetName, Transform
from pipeline.transforms.transforms import LIBRARY, REFUSED, build_transform, make_variant
from tests.examples import picture
from tests.transforms.test_transforms import ARGUMENTS, build, check, refusal


@pytest.mark.parametrize(
    ("transform", "line"),
    [
        ({"name": "Afine"}, ".name: albumentations has no transform 'Afine', did you mean Affine?"),
        ({"name": "AFFINE"}, ".name: albumentations has no transform 'AFFINE', did you mean Affine?"),
        ({"name": "xyzzy"}, ".name: albumentations has no transform 'xyzzy'"),
        (
            {"name": "DualTransform"},
            ".name: albumentations has no transform 'DualTransform', did you mean ElasticTransform?",
        ),
        (
            {"name": "OneOf"},
            ".name: OneOf holds transforms: list them directly, each with its own p",
        ),
        ({"name": "Affine", "rotat": 5}, ".rotat: Affine has no such argument, did you mean rotate?"),
        ({"name": "Blur", "zoo": 5}, ".zoo: Blur has no such argument; it has blur_limit, p"),
        (
            {"name": "Affine", "rotate": "far"},
            ".rotate: must be a number or [number, number], got 'far'",
        ),
        ({"name": "HorizontalFlip", "p": 1.5}, ".p: must be a number from 0 to 1, got 1.5"),
        # The library itself checks nothing of these two.
        ({"name": "ToSepia", "p": 1.5}, ".p: must be a number from 0 to 1, got 1.5"),
        ({"name": "MedianBlur", "blur_limit": "x"}, ".blur_limit: must be an integer or [integer, integer], got 'x'"),
        ({"name": "GridElasticDeform", "magnitude": 3}, ".num_grid_xy: is missing, it must be [integer, integer], "
         "each of at least 1"),
        ({"name": "Affine", "interpolation": 9}, ".interpolation: must be one of 0, 1, 2, 3, 4, got 9"),
        (
            {"name": "ImageCompression", "quality_range": [50, 200]},
            ".quality_range: must be [integer, integer], each from 1 to 100, the lower first, got [50, 200]",
        ),
        ({"name": "RandomRain", "brightness_coefficient": 0},
         ".brightness_coefficient: must be a number above 0 and at most 1, got 0"),
        (
            {"name": "ColorJitter", "hue": [-1, 0.2]},
            ".hue: all values in hue must be within [-0.5, 0.5] for tuple inputs; "
            "it must be a number or [number, number], got [-1, 0.2]",
        ),
        # What only a conversion would make right: text, a truth value, a number with a fraction.
        ({"name": "Rotate", "limit": "30"}, ".limit: must be a number or [number, number], got '30'"),
        ({"name": "HorizontalFlip", "p": True}, ".p: must be a number from 0 to 1, got True"),
        ({"name": "Rotate", "limit": [True, 30]}, ".limit: must be a number or [number, number], got [True, 30]"),
        ({"name": "Blur", "blur_limit": 3.0}, ".blur_limit: must be an integer or [integer, integer], got 3.0"),
        ({"name": "Affine", "fit_output": 0}, ".fit_output: must be true or false, got 0"),
        ({"name": "Affine", "rotate": "(1, 2)"},
         ".rotate: must be a number or [number, number], got '(1, 2)': "
         "YAML has no tuples: write [1, 2] for (1, 2)"),
        # {name: Affine, rotate: (1, 2)}
        ({"name": "Affine", "rotate": "(1", "2)": None},
         ": Affine: YAML has no tuples: write [1, 2] for (1, 2)"),
        # The library takes no notice of keys that it does not know.
        ({"name": "Affine", "scale": {"x": [0.5, 1], "z": 1}}, ".scale.z: no such key; the keys here are x, y"),
        ({"name": "AdditiveNoise", "noise_params": {"ranges": [[-0.1, 0.1]], "mean": 1}},
         ".noise_params.mean: no such key"),
        ({"name": "CropAndPad"}, ": CropAndPad: both px and percent parameters cannot be None simultaneously"),
        ({"name": "AdditiveNoise", "noise_params": {"range": 1}}, ".noise_params.ranges: is missing"),
        ({"name": "Equalize", "mask": [1]}, ".mask: cannot stand in params.yaml"),
        ({"name": "RGBShift", "r_shift_limit": -1},
         ": RGBShift: range values must be in [-1, 1] and min <= max, got {'r_shift_limit': -1}"),
        ({"name": "Blur", "blur_limit": [9, 3]}, ".blur_limit: invalid range (9, 3) (min > max), got [9, 3]"),
    ],
)  # fmt: skip
def test_transform_that_cannot_be_made_is_explained_in_a_line(transform: dict[str, Any], line: str) -> None:
    assert refusal(transform)[0] == f"augment.transforms.0{line}"


def test_what_the_library_would_warn_about_and_leave_out_is_an_error() -> None:
    """A validator that fails in its own code makes albumentations take all defaults instead."""
    [line] = refusal({"name": "Posterize", "num_bits": []})
    assert line.startswith("augment.transforms.0")


ODD_VALUES: list[Any] = [
    *(None, True, "x", "", -1, 0, 1, 0.5, 1e9, -1e9, [], [1], [1, 2], [2, 1], [0.1, 0.9], [1, 2, 3], ["a", "b"]),
    *({}, {"x": 1}, {"x": [1, 2]}, [[1, 2], [3, 4]], [None, None]),
]


@given(name=st.sampled_from(sorted(LIBRARY.keys() - REFUSED.keys())), value=st.sampled_from(ODD_VALUES), data=st.data())
@settings(max_examples=300, deadline=None)
def test_any_argument_is_taken_or_refused_in_a_line(name: str, value: Any, data: st.DataObject) -> None:
    argument = data.draw(st.sampled_from(sorted(LIBRARY[name].InitSchema.model_fields.keys() - {"strict"})))
    definition = {"name": name, **ARGUMENTS.get(name, {}), argument: value}
    try:
        build(definition)
    except ParamsError as error:
        _, *lines = str(error).split("\n")
        assert {line.startswith("  augment.transforms.0") for line in lines} == {True}
        assert not [line for line in lines if "validation error" in line or len(line) > 300]


def test_all_problems_are_named_with_their_places() -> None:
    lines = refusal(
        {"name": "Afine"},
        {"name": "HorizontalFlip"},
        {"name": "Blur", "blur": 3, "limit": 4},
        {"name": "Affine", "p": 2, "rotate": "far", "scale": "far"},
    )
    assert [line.split(": ")[0].removeprefix("augment.transforms.") for line in lines] == [
        *("0.name", "2.blur", "2.limit", "3.p", "3.scale", "3.rotate"),
    ]


def test_places_count_a_preset_as_the_one_item_that_it_is() -> None:
    items: list[AnyTransform] = [PresetName(preset="photo"), Transform.model_validate({"name": "Afine"})]
    with pytest.raises(ParamsError, match=r"augment\.transforms\.1\.name: .* 'Afine'"):
        build_transform(items)


def test_harmless_remarks_of_the_library_are_no_errors() -> None:
    assert check(
        {"name": "Blur", "blur_limit": 4}, {"name": "HorizontalFlip"}, {"name": "ShiftScaleRotate"}
    ) == [
        "augment.transforms.0: blur_limit: Non-zero kernel sizes must be odd. "
        "Range (3, 4) automatically adjusted to (3, 5)",
        "augment.transforms.2: ShiftScaleRotate is a special case of Affine transform. "
        "Please use Affine transform instead",
    ]  # fmt: skip


CROP = {"name": "RandomCrop", "height": 8, "width": 8}
RESIZE = {"name": "Resize", "height": 16, "width": 16}


@pytest.mark.parametrize(
    ("transforms", "line"),
    [
        (
            [{"name": "Blur"}, CROP],
            "1: RandomCrop turns (16, 16, 3) uint8 pixels into (8, 8, 3) uint8, "
            "and the model needs 16 x 16 with 3 channels: remove it, or give it that size",
        ),
        (
            [{"name": "ToGray", "num_output_channels": 1}],
            "0: ToGray turns (16, 16, 3) uint8 pixels into (16, 16) uint8, "
            "and the model needs 16 x 16 with 3 channels: remove it, or give it that size",
        ),
        (
            [{**CROP, "p": 0.5}, RESIZE],
            "0: RandomCrop turns (16, 16, 3) uint8 pixels into (8, 8, 3) uint8 with p 0.5 only: give it p 1.0",
        ),
        (
            [{"name": "TimeMasking"}],
            "0: TimeMasking fails on (16, 16, 3) uint8 pixels: "
            "mask_x_length range (0, 40) is out of valid range [0, 16]",
        ),
    ],
)
def test_what_does_not_keep_size_and_type_is_refused(transforms: list[dict[str, Any]], line: str) -> None:
    assert refusal(*transforms, size=16)[0] == f"augment.transforms.{line}"


def test_what_keeps_the_size_by_its_arguments_is_used() -> None:
    assert check(CROP, RESIZE, size=16) == check(RESIZE, size=16) == check(CROP, size=8) == []


@pytest.mark.parametrize("transform", [CROP, {"name": "PadIfNeeded", "min_height": 20, "min_width": 16, "p": 1.0}])
def test_variant_of_another_size_is_an_error(transform: dict[str, Any]) -> None:
    with pytest.raises(ParamsError, match=r"^augment\.transforms turn \(16, 16, 3\) uint8 pixels into .*one size"):
        make_variant(picture(7), build(transform), 1, "web/a.png", 1)


def test_transform_that_fails_on_a_picture_names_it() -> None:
    with pytest.raises(ParamsError, match=r"^augment\.transforms: Crop fails on web/a\.png: ValueError: .*crop"):
        make_variant(picture(7), build({"name": "Crop", "x_max": 99, "y_max": 99, "p": 1.0}), 1, "web/a.png", 1)
