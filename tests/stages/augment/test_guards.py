"""Blank and unchanged variants are marked and counted; past the limit the transforms to blame are named."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ParamsError
from pipeline.images.pixels import Pixels
from pipeline.stages.augment import guards
from pipeline.stages.augment.guards import count_failures, is_blank, marks, refuse_failures, sample
from pipeline.stages.augment.params import AugmentParams
from pipeline.transforms.transforms import build_transform, make_variant
from tests.examples import params, picture

GREY = np.full((16, 16, 3), 90, np.uint8)
BLACKEN = {"name": "RandomBrightnessContrast", "brightness_limit": [-1, -1], "contrast_limit": 0, "p": 1.0}
FLIP = {"name": "HorizontalFlip", "p": 0.5}
NOTHING = {"name": "XYMasking", "p": 1.0}


def augment(*transforms: dict[str, Any], **changes: Any) -> AugmentParams:
    places = {f"augment.{name}": value for name, value in {"transforms": list(transforms), **changes}.items()}
    return params(**places).augment


def test_a_picture_without_contrast_is_blank() -> None:
    assert is_blank(GREY)
    assert is_blank(np.stack([GREY[..., 0], GREY[..., 0] + 9, GREY[..., 0] + 99], axis=2))
    assert not is_blank(picture(1))


@given(row=st.integers(0, 15), column=st.integers(0, 15), channel=st.integers(0, 2), step=st.integers(-9, 9))
def test_a_single_pixel_that_differs_is_contrast(row: int, column: int, channel: int, step: int) -> None:
    pixels = GREY.copy()
    pixels[row, column, channel] = 90 + step
    assert is_blank(pixels) == (abs(step) <= guards.FLAT)


@pytest.mark.parametrize(
    ("original", "variant", "blank", "unchanged"),
    [
        (picture(1), picture(2), False, False),
        (picture(1), GREY, True, False),
        (GREY, GREY + 9, False, False),
        (picture(1), picture(1), False, True),
        (GREY, GREY, False, True),
    ],
    ids=["another", "blank", "its original was blank", "the same", "blank and the same"],
)
def test_marks(original: Pixels, variant: Pixels, blank: bool, unchanged: bool) -> None:
    assert marks(original, variant) == {"blank": blank, "unchanged": unchanged}


def planned(**copies: int) -> pd.DataFrame:
    """So many variants of each image, beside itself; its label is the first letter of its name."""
    rows = [(name, name[0], copy) for name, count in copies.items() for copy in range(count + 1)]
    return pd.DataFrame(rows, columns=["id", "label", "copy"]).assign(shard="s", row=0)


def pictures(rows: pd.DataFrame) -> list[Pixels]:
    return [picture(row) for row in rows["row"]]


def looked_at(rows: pd.DataFrame, blank: set[tuple[str, int]], unchanged: set[tuple[str, int]]) -> pd.DataFrame:
    variants = rows[rows["copy"] > 0]
    keys = list(zip(variants["id"], variants["copy"], strict=True))
    failed = {"blank": blank, "unchanged": unchanged}
    return variants.assign(**{mark: np.array([key in chosen for key in keys], bool) for mark, chosen in failed.items()})


def test_failures_are_counted_in_all_and_per_class() -> None:
    rows = planned(a1=2, a2=2, b1=1, c1=0)
    checked = looked_at(rows, {("a1", 1), ("a1", 2)}, {("a1", 1), ("a2", 1), ("a2", 2), ("b1", 1)})
    assert count_failures(rows, checked) == {
        "originals": 4,
        "variants": 5,
        "checked": 5,
        "blank": 2,
        "blank_share": 0.4,
        "unchanged": 2,
        "unchanged_share": pytest.approx(2 / 3),
        "per_class": {
            "a": {"originals": 2, "variants": 4, "blank": 2, "unchanged": 1},
            "b": {"originals": 1, "variants": 1, "blank": 0, "unchanged": 1},
            "c": {"originals": 1, "variants": 0, "blank": 0, "unchanged": 0},
        },
    }


def test_without_variants_nothing_failed() -> None:
    rows = planned(a1=0)
    counts = count_failures(rows, looked_at(rows, set(), set()))
    assert (counts["variants"], counts["blank_share"], counts["unchanged_share"]) == (0, 0.0, 0.0)


@given(
    copies=st.dictionaries(st.text("ab", min_size=1, max_size=3), st.integers(1, 4), min_size=1),
    most=st.integers(1, 20),
)
def test_a_sample_has_all_variants_of_as_few_images_as_give_enough(copies: dict[str, int], most: int) -> None:
    rows = planned(**copies)
    variants = rows[rows["copy"] > 0]
    chosen = sample(variants, 1, most)
    sizes = chosen.groupby("id").size()
    assert sizes.to_dict() == {name: copies[name] for name in sizes.index}
    assert len(chosen) >= min(most, len(variants))
    assert len(chosen) - sizes.max() < most
    pd.testing.assert_frame_equal(sample(variants.sample(frac=1, random_state=1), 1, most).sort_index(), chosen)


def refusal(chosen: AugmentParams, images: int = 30) -> str:
    """The error after making one variant of so many images, one by one."""
    rows = planned(**{f"{'ab'[number % 2]}{number}": 1 for number in range(images)})
    rows["row"] = rows.groupby("id", sort=False).ngroup()
    variants, transform = rows[rows["copy"] > 0], build_transform(chosen.transforms)
    made = [
        marks(picture(row), make_variant(picture(row), transform, chosen.seed, image, copy))
        for image, copy, row in variants[["id", "copy", "row"]].itertuples(index=False)
    ]
    checked = variants.assign(**pd.DataFrame(made, index=variants.index))
    with pytest.raises(ParamsError) as caught:
        refuse_failures(count_failures(rows, checked), checked, chosen, pictures, None)
    return str(caught.value)


def test_blank_variants_name_the_transform_after_which_nothing_was_left() -> None:
    invert = {"name": "InvertImg", "p": 1.0}
    assert refusal(augment(FLIP, BLACKEN, invert)) == (
        "30 of 30 variants are blank (100.0%, augment.max_failed is 1.0%): a 15, b 15; first a0, b1, a2 "
        "and 17 more. Responsible transforms: RandomBrightnessContrast (augment.transforms.1) for 20 of the 20 "
        "checked. Weaken or remove them, or raise augment.max_failed"
    )


def test_blank_variants_of_two_transforms_name_both() -> None:
    words = refusal(augment({**BLACKEN, "p": 0.5}, {"preset": "light"}, {**BLACKEN, "p": 0.5}))
    assert "RandomBrightnessContrast (augment.transforms.0) for " in words
    assert "RandomBrightnessContrast (augment.transforms.2) for " in words
    assert "light" not in words
    assert "Affine" not in words


def test_blank_variants_that_were_blank_before_any_transform_name_match_production() -> None:
    rows = planned(a1=1, a2=1)
    checked = looked_at(rows, {("a1", 1), ("a2", 1)}, set())
    with pytest.raises(
        ParamsError,
        match=r"Responsible transforms: augment\.match_production for 2 of the 2 "
        r"checked\.",
    ):
        refuse_failures(
            count_failures(rows, checked), checked, augment(FLIP), lambda failed: [GREY] * len(failed), None
        )


def test_unchanged_images_name_what_changes_nothing_and_what_acts_too_seldom() -> None:
    words = refusal(augment(NOTHING, {**FLIP, "p": 0.05}), images=40)
    assert "images are unchanged by augmentation (" in words
    assert (
        "Responsible transforms: XYMasking (augment.transforms.0) changes none of the 20 checked, "
        "HorizontalFlip (augment.transforms.1) acts only with p 0.05. "
        "Raise p or augment.copies, remove transforms that change nothing, or raise augment.max_failed"
    ) in words


def test_an_image_with_one_changed_variant_is_no_failure() -> None:
    rows = planned(a1=2, a2=2)
    checked = looked_at(rows, set(), {("a1", 1), ("a2", 1), ("a2", 2)})
    with pytest.raises(ParamsError, match=r"^1 images are unchanged by augmentation \(50\.0%, .*: a 1; first a2\."):
        refuse_failures(count_failures(rows, checked), checked, augment(FLIP), pictures, None)


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_as_many_failures_as_are_allowed_pass(share: float) -> None:
    rows = planned(a1=1, a2=1, a3=1, a4=1, a5=1)
    checked = looked_at(rows, {("a1", 1)}, {("a2", 1)})
    counts = count_failures(rows, checked)
    refuse_failures(counts, checked, augment(FLIP, max_failed=share), pictures, None)


def test_variants_of_an_epoch_are_made_again_for_that_epoch() -> None:
    """Half of the variants are black; which, the epoch says."""
    chosen = augment({**BLACKEN, "p": 0.5})
    rows = planned(**{f"a{number}": 1 for number in range(40)})
    variants, transform = rows[rows["copy"] > 0], build_transform(chosen.transforms)
    made = [
        marks(picture(0), make_variant(picture(0), transform, chosen.seed, image, 1, epoch=0))
        for image in variants["id"]
    ]
    checked = variants.assign(**pd.DataFrame(made, index=variants.index))
    counts = count_failures(rows, checked)
    with pytest.raises(ParamsError, match=r"for (\d+) of the \1 checked"):
        refuse_failures(counts, checked, chosen, pictures, 0)
    with pytest.raises(ParamsError) as caught:
        refuse_failures(counts, checked, chosen, pictures, None)
    assert "for 20 of the 20" not in str(caught.value)
