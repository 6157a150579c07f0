"""Sheets: which images they show, and what they say of those that they leave out."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.images.pixels import Pixels
from pipeline.manifest import PRODUCTION, RAW
from pipeline.sheets.contact_sheets import (
    Shown,
    batch_sheet,
    choose_images,
    transform_lines,
    variants_png,
    variants_sheet,
)
from pipeline.sheets.drawing import Sheet
from pipeline.transforms.params import Transform
from tests.examples import params, picture

UNMIXED = "none"
TURN = Transform.model_validate({"name": "Rotate", "limit": [-40, 40], "p": 1.0})


def originals(raw: dict[str, int], production: dict[str, int]) -> pd.DataFrame:
    """So many images of each class and role."""
    rows = [
        (f"{source}/{label}/{number}.png", label, role)
        for source, role, counts in (("phone", PRODUCTION, production), ("web", RAW, raw))
        for label, count in counts.items()
        for number in range(count)
    ]
    return pd.DataFrame(rows, columns=["id", "label", "role"]).astype({"label": "category", "role": "category"})


def train_rows(rows: pd.DataFrame, variants: int | list[int]) -> pd.DataFrame:
    """The rows and so many variants of each, as augment writes them."""
    counts = np.broadcast_to(variants, len(rows))
    repeated = rows.loc[rows.index.repeat(1 + counts)].sort_values("id", kind="stable", ignore_index=True)
    return repeated.assign(copy=repeated.groupby("id").cumcount().astype(np.int32), weight=np.float32(1))


def numbered(number: int) -> Pixels:
    """A picture that says which row it stands for."""
    return np.full((8, 8, 3), number % 256, np.uint8)


def show(
    rows: pd.DataFrame, mode: Any = "materialise", seed: int = 1, transforms: Any = (TURN,), degraded: bool = False
) -> bytes:
    return variants_sheet(rows, numbered, mode, transforms, degraded, seed)


def chosen(rows: pd.DataFrame, **settings: Any) -> list[str]:
    return rows["id"].iloc[choose_images(rows, **{"seed": 1, **settings})].tolist()


CLASSES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5), min_size=1)


@settings(deadline=None, max_examples=50)
@given(raw=CLASSES, production=CLASSES, classes=st.integers(1, 9), images=st.integers(1, 4), seed=st.integers(0, 9))
def test_classes_and_roles_are_shown_evenly(
    raw: dict[str, int], production: dict[str, int], classes: int, images: int, seed: int
) -> None:
    rows = originals(raw, production)
    shown = rows.iloc[choose_images(rows, seed, classes=classes, images=images)]
    assert shown["id"].is_unique
    assert shown["label"].nunique() == min(classes, rows["label"].nunique())
    for label, part in shown.groupby(shown["label"].astype(str)):
        there = {RAW: raw.get(label, 0), PRODUCTION: production.get(label, 0)}
        assert len(part) == min(images, sum(there.values()))
        some = (part["role"] == RAW).sum(), (part["role"] == PRODUCTION).sum()
        if abs(some[0] - some[1]) > 1:  # one of them had no more
            fewer = RAW if some[0] < some[1] else PRODUCTION
            assert min(some) == there[fewer]
        elif some[0] != some[1]:
            assert some[0] > some[1] or some[0] == there[RAW]
    assert shown["label"].astype(str).is_monotonic_increasing
    assert all(part["role"].astype(str).is_monotonic_decreasing for _, part in shown.groupby("label", observed=True))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), shuffle=st.integers(0, 9))
def test_the_order_of_rows_changes_nothing(seed: int, shuffle: int) -> None:
    rows = originals({"a": 9, "b": 9}, {"a": 3})
    mixed = rows.sample(frac=1, random_state=shuffle, ignore_index=True)
    assert chosen(rows, seed=seed) == chosen(mixed, seed=seed)


def test_another_seed_shows_others() -> None:
    rows = originals({"a": 99, "b": 99, "c": 99}, {})
    assert len({tuple(chosen(rows, seed=seed)) for seed in range(5)}) == 5
    assert len({chosen(rows, seed=seed, classes=1)[0].split("/")[1] for seed in range(20)}) == 3


def test_shown_images_stay_when_others_go() -> None:
    rows = originals({"a": 20, "b": 20}, {"a": 20})
    shown = chosen(rows)
    fewer = rows[rows["id"].isin(shown) | (rows.index % 3 == 0)]
    assert chosen(fewer) == shown


def test_images_without_variants_come_last() -> None:
    rows = originals({"a": 50}, {})
    better = rows["id"].isin(["web/a/3.png", "web/a/7.png"]).to_numpy()
    assert set(chosen(rows, better=better)) == {"web/a/3.png", "web/a/7.png"}
    assert {"web/a/3.png", "web/a/7.png"} < set(chosen(rows, better=better, images=4))


def test_each_image_stands_beside_its_own_variants(drawn: list[Sheet]) -> None:
    rows = train_rows(originals({"a": 3, "b": 1}, {"a": 2}), [2, 1, 3, 0, 2, 4])
    show(rows)
    for section in drawn[0].sections:
        for strip in section.strips:
            role, image = strip.caption.split("  ")
            places = np.flatnonzero(rows["id"] == image).tolist()
            assert [cell.pixels[0, 0, 0] for cell in strip.cells] == places
            assert [rows["copy"][place] for place in places] == list(range(len(places)))
            captions = ["original", *(f"variant {number}" for number in range(1, len(places)))]
            assert [cell.captions for cell in strip.cells] == [(caption,) for caption in captions]
            assert role == strip.role == rows["role"][places[0]]
    assert [section.heading for section in drawn[0].sections] == [
        "a: 3 raw, 2 production, 8 variants",
        "b: 1 raw, 0 production, 4 variants",
    ]
    assert [len(section.strips) for section in drawn[0].sections] == [2, 1]


def test_images_with_variants_are_shown_rather_than_others(drawn: list[Sheet]) -> None:
    show(train_rows(originals({"a": 20}, {}), [*[0] * 17, 1, 0, 1]))
    assert [len(strip.cells) for strip in drawn[0].sections[0].strips] == [2, 2]


def test_what_is_left_out_is_said(drawn: list[Sheet]) -> None:
    classes = {f"class {number}": 1 for number in range(22)}
    show(train_rows(originals(classes, classes), 7))
    assert drawn[0].lines[-1] == "12 more classes not shown."
    assert len(drawn[0].sections) == 10
    strip = drawn[0].sections[0].strips[0]
    assert strip.caption.endswith(" (5 of 7 variants)")
    assert len(strip.cells) == 6
    show(train_rows(originals({f"class {number}": 1 for number in range(11)}, {}), 5))
    assert drawn[1].lines[-1] == "1 more class not shown."
    assert drawn[1].sections[0].strips[0].caption.endswith(".png")
    show(train_rows(originals({f"class {number}": 1 for number in range(10)}, {}), 5))
    assert "not shown" not in " ".join(drawn[2].lines)


def test_the_height_of_a_sheet_has_an_end() -> None:
    many = train_rows(originals({f"{number:04}": 3 for number in range(300)}, {"0001": 3}), 9)
    image = Image.open(io.BytesIO(show(many)))
    assert image.width < 1100
    assert image.height < 5000


@pytest.mark.parametrize(
    ("mode", "words"),
    [("materialise", "the same in every epoch"), ("online", "again in every epoch of training; shown as in")],
)
def test_the_sheet_says_when_variants_are_made(mode: str, words: str, drawn: list[Sheet]) -> None:
    show(train_rows(originals({"a": 1}, {}), 1), mode)
    assert words in drawn[0].lines[0]


def test_the_sheet_names_each_transform_with_its_arguments(drawn: list[Sheet]) -> None:
    show(
        train_rows(originals({"a": 1}, {}), 1),
        transforms=params(**{"augment.transforms": [{"preset": "light"}]}).augment.transforms,
    )
    assert drawn[0].lines[1].startswith("Affine rotate=[-5, 5] translate_percent=[-0.05, 0.05]")
    assert drawn[0].lines[2].startswith("RandomBrightnessContrast ")
    assert transform_lines([]) == ["No transforms."]
    assert transform_lines([TURN] * 14) == [*["Rotate limit=[-40, 40] p=1.0"] * 12, "2 more transforms not shown."]


def batch(copies: list[int], weights: list[float] | None = None) -> pd.DataFrame:
    """Rows of a batch; raw and production take turns."""
    count = len(copies)
    return pd.DataFrame(
        {
            "label": [f"c{number % 3}" for number in range(count)],
            "role": [RAW if number % 2 else PRODUCTION for number in range(count)],
            "copy": copies,
            "weight": np.array(weights or [1] * count, np.float32),
        }
    )


def test_a_batch_is_shown_in_its_order_with_its_mix(drawn: list[Sheet]) -> None:
    pixels = np.stack([picture(number) for number in range(5)])
    batch_sheet(batch([0, 2, 0, 1, 1]), pixels, UNMIXED)
    cells = drawn[0].sections[0].strips[0].cells
    np.testing.assert_array_equal([cell.pixels for cell in cells], pixels)
    assert [cell.captions for cell in cells] == [
        ("c0", "production, original"),
        ("c1", "raw, variant 2"),
        ("c2", "production, original"),
        ("c0", "raw, variant 1"),
        ("c1", "production, variant 1"),
    ]
    assert [cell.role for cell in cells] == [PRODUCTION, RAW, PRODUCTION, RAW, PRODUCTION]
    assert drawn[0].lines == [
        "5 rows of epoch 0, before pixels are normalised: 2 raw and 3 production; 2 originals and 3 variants.",
        "By class: c0: 2, c1: 2, c2: 1.",
    ]


def test_a_large_batch_is_counted_whole_and_shown_in_part(drawn: list[Sheet]) -> None:
    batch_sheet(batch([0] * 100), np.zeros((80, 8, 8, 3), np.uint8), UNMIXED)
    assert len(drawn[0].sections[0].strips[0].cells) == 60
    assert drawn[0].lines[0].startswith("100 rows of epoch 0")
    assert drawn[0].lines[-1] == "40 more rows not shown."


def test_what_training_does_beyond_the_sheets_is_said(drawn: list[Sheet]) -> None:
    batch_sheet(batch([0, 1]), np.zeros((2, 8, 8, 3), np.uint8), "mixup")
    assert drawn[0].lines[-1] == "Training then mixes them in pairs (mixup), which is not shown."
    show(train_rows(originals({"a": 1}, {}), 1), degraded=True)
    line = "Raw images are degraded first, as match_production chose: see reports/augment/metrics.json."
    assert drawn[1].lines[1] == line
    show(train_rows(originals({"a": 1}, {}), 1))
    assert "match_production" not in " ".join(drawn[2].lines)


@pytest.mark.parametrize("side", [96, 160, 161, 224])
def test_pictures_that_are_shown_smaller_than_they_are_say_so(side: int, drawn: list[Sheet]) -> None:
    large = np.zeros((2, side, side, 3), np.uint8)
    batch_sheet(batch([0, 1]), large, UNMIXED)
    variants_png("t", ["line"], [Shown("x", "h", None, large[0], [("v", large[1])])])
    line = f"Averaged from {side} to 160 pixels per side: grain is softer here than in training."
    assert [line in sheet.lines for sheet in drawn] == [side > 160] * 2


def test_weights_are_shown_where_they_differ(drawn: list[Sheet]) -> None:
    batch_sheet(batch([0, 1], [0.5, 1.25]), np.zeros((2, 8, 8, 3), np.uint8), UNMIXED)
    assert [cell.captions[2:] for cell in drawn[0].sections[0].strips[0].cells] == [("weight 0.5",), ("weight 1.25",)]


@pytest.mark.parametrize(("variants", "columns"), [(0, 4), (3, 4), (5, 6), (20, 8)])
def test_a_sheet_is_as_wide_as_it_must_be(variants: int, columns: int, drawn: list[Sheet]) -> None:
    variants_png("t", [], [Shown("x", "h", None, picture(1), [("v", picture(2))] * variants)])
    assert drawn[0].columns == columns


@pytest.mark.parametrize(
    "make",
    [
        lambda: show(train_rows(originals({"a": 3}, {"a": 2}), 2)),
        lambda: batch_sheet(batch([0, 1]), np.zeros((2, 8, 8, 3), np.uint8), UNMIXED),
    ],
)
def test_a_sheet_is_a_png_without_anything_but_pixels(make: Callable[[], bytes]) -> None:
    data = make()
    assert data == make()
    chunks, at = [], 8
    while at < len(data):
        chunks.append(data[at + 4 : at + 8])
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}
