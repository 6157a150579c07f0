"""Contact sheets as PNG files: the pictures that training sees.

Which images are shown is a matter of keyed chance, evenly over classes, raw and production in turn.
A sheet says how many it leaves out. No time or name of a machine stands in it. sheets/drawing.py draws.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import listing
from pipeline.images.pixels import Pixels
from pipeline.manifest import PRODUCTION, RAW, counts_per_label
from pipeline.randomness import keyed_uniform
from pipeline.sheets.drawing import SIDE, Cell, Section, Sheet, Strip, sheet_png
from pipeline.transforms.params import AnyTransform, Transform, expand

# They bound the size of a sheet: about 1,000 pixels wide and 5,000 high at most.
MAX_CLASSES, MAX_IMAGES, MAX_VARIANTS, MAX_BATCH_IMAGES, MAX_GALLERY_IMAGES = 10, 2, 5, 60, 120
MAX_LINES = 12
# Fewer would cut the words; more, and the sheet is wider than screens are.
MIN_COLUMNS, BATCH_COLUMNS, MAX_COLUMNS = 4, 6, 8


@dataclass(frozen=True)
class Shown:
    """An image beside its variants, each with a caption."""

    name: str
    heading: str
    role: str | None
    original: Pixels
    variants: Sequence[tuple[str, Pixels]]


def variants_sheet(
    rows: pd.DataFrame,
    read_picture: Callable[[int], Pixels],
    mode: Literal["materialise", "online"],
    transforms: Sequence[AnyTransform],
    match_production: bool,
    seed: int,
) -> bytes:
    """Images of each class of train, as many raw as production ones, beside their first variants.

    Args:
        rows: of train, sorted by id and copy number, as the stage augment writes them.
        read_picture: a position in rows -> the picture that training sees of it, in epoch 0.
        match_production: variants of raw images were degraded before the transforms.
    """
    starts = np.flatnonzero(rows["copy"] == 0)
    counts = np.diff(starts, append=len(rows)) - 1
    originals = rows[["id", "label", "role"]].iloc[starts]
    heads = _class_lines(rows)
    shown = []
    for place in choose_images(originals, seed, better=counts > 0):
        image = originals.iloc[place]
        first, variants = int(starts[place]), int(counts[place])
        among = f" ({MAX_VARIANTS} of {variants} variants)" if variants > MAX_VARIANTS else ""
        seen = [(_copy(number), read_picture(first + number)) for number in range(1, 1 + min(variants, MAX_VARIANTS))]
        shown.append(Shown(image["id"] + among, heads[image["label"]], image["role"], read_picture(first), seen))
    lines = [
        "Made again in every epoch of training; shown as in epoch 0."
        if mode == "online"
        else "Made once: the same in every epoch of training.",
        *(
            ["Raw images are degraded first, as match_production chose: see reports/augment/metrics.json."]
            * match_production
        ),
        *transform_lines(expand(transforms)),
        *_left_out(len(heads) - len({image.heading for image in shown}), "class", "classes"),
    ]
    return variants_png("Training images beside their variants", lines, shown)


def variants_png(title: str, lines: Sequence[str], shown: Sequence[Shown]) -> bytes:
    """A sheet with one strip per image; consecutive strips with the same heading form a section."""
    sections = [
        Section(heading, [_strip(image) for image in images])
        for heading, images in groupby(shown, key=lambda image: image.heading)
    ]
    widest = max((1 + len(image.variants) for image in shown), default=0)
    reduced = _reduced(max((len(image.original) for image in shown), default=0))
    return sheet_png(Sheet(title, [*lines, *reduced], sections, min(max(widest, MIN_COLUMNS), MAX_COLUMNS)))


def batch_sheet(rows: pd.DataFrame, pixels: Pixels, mixing: str) -> bytes:
    """A sheet with the pictures of a batch in order, as many as fit.

    Args:
        rows: all of the batch, in its order, with label, role, copy and weight.
        pixels: of the first rows, shape (n, height, width, 3), before they are normalised and mixed.
        mixing: the name of what training does with pairs of them.
    """
    shown = rows[["label", "role", "copy", "weight"]].iloc[:MAX_BATCH_IMAGES].itertuples(index=False)
    weighed = rows["weight"].nunique() > 1
    cells = [
        Cell(picture, (label, f"{role}, {_copy(copy)}", *([f"weight {weight:.3g}"] if weighed else [])), role)
        for picture, (label, role, copy, weight) in zip(pixels, shown, strict=False)
    ]
    copies = int((rows["copy"] > 0).sum())
    production, originals = int((rows["role"] == PRODUCTION).sum()), len(rows) - copies
    lines = [
        f"{_counted(len(rows), 'row', 'rows')} of epoch 0, before pixels are normalised: "
        f"{len(rows) - production:,} raw and {production:,} production; "
        f"{_counted(originals, 'original', 'originals')} and {_counted(copies, 'variant', 'variants')}.",
        f"By class: {listing([f'{label}: {count:,}' for label, count in counts_per_label(rows).items()], 20)}.",
        *([f"Training then mixes them in pairs ({mixing}), which is not shown."] if mixing != "none" else []),
        *_reduced(pixels.shape[1]),
        *_left_out(len(rows) - len(cells), "row", "rows"),
    ]
    return sheet_png(Sheet("The first batch of training", lines, [Section("", [Strip("", cells)])], BATCH_COLUMNS))


def gallery(title: str, lines: Sequence[str], cells: Sequence[Cell], count: int) -> bytes:
    """Pictures in their order, the first ones of `count` in all."""
    left_out = _left_out(count - len(cells), "image", "images")
    return sheet_png(Sheet(title, [*lines, *left_out], [Section("", [Strip("", cells)])], BATCH_COLUMNS))


def choose_images(
    originals: pd.DataFrame,
    seed: int,
    better: npt.NDArray[np.bool_] | None = None,
    classes: int = MAX_CLASSES,
    images: int = MAX_IMAGES,
) -> list[int]:
    """Positions of the rows to show, by class, raw before production.

    Args:
        originals: columns id (unique), label and role.
        better: shape (n,); a row that is not comes only where there are too few that are.
        classes, images: at most so many classes, and rows of each class. Which ones, their keys say: other
            classes or rows may take the place of one, and change nothing else.
    """
    labels = originals["label"].astype("category").cat.remove_unused_categories().cat
    names = labels.categories.astype(str).to_numpy(dtype=object)
    worse = np.zeros(len(originals)) if better is None else ~better
    chosen: list[int] = []
    for code in sorted(np.argsort(keyed_uniform(seed, "sheet class", names), kind="stable")[:classes]):
        by_role = []
        for role in (RAW, PRODUCTION):
            places = np.flatnonzero((labels.codes == code).to_numpy() & (originals["role"] == role).to_numpy())
            keys = keyed_uniform(seed, "sheet image", originals["id"].iloc[places].astype(str)) + worse[places]
            by_role.append(places[np.argsort(keys, kind="stable")[:images]].tolist())
        turns = [place for pair in zip_longest(*by_role) for place in pair if place is not None]
        chosen += [place for places in by_role for place in places if place in turns[:images]]
    return chosen


def transform_lines(transforms: Sequence[Transform]) -> list[str]:
    """Each transform with its arguments on a line, as many as a sheet holds."""
    lines = [transform_line(item) for item in transforms]
    return [*lines[:MAX_LINES], *_left_out(len(lines) - MAX_LINES, "transform", "transforms")] or ["No transforms."]


def transform_line(transform: Transform) -> str:
    """A transform with its arguments."""
    return " ".join([transform.name, *(f"{name}={json.dumps(value)}" for name, value in transform.arguments.items())])


def _strip(image: Shown) -> Strip:
    cells = [Cell(image.original, (_copy(0),)), *(Cell(pixels, (caption,)) for caption, pixels in image.variants)]
    return Strip("  ".join(filter(None, [image.role, image.name])), cells, image.role)


def _class_lines(rows: pd.DataFrame) -> dict[str, str]:
    """What each class holds, in words."""
    labels = rows["label"].astype("category").cat.remove_unused_categories().cat
    original = (rows["copy"] == 0).to_numpy()
    kinds = {role: original & (rows["role"] == role).to_numpy() for role in (RAW, PRODUCTION)} | {"variants": ~original}
    names = labels.categories.astype(str).to_list()
    counts = {kind: np.bincount(labels.codes[those], minlength=len(names)) for kind, those in kinds.items()}
    return {
        name: f"{name}: " + ", ".join(f"{count[number]:,} {kind}" for kind, count in counts.items())
        for number, name in enumerate(names)
    }


def _copy(number: int) -> str:
    return f"variant {number}" if number else "original"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _left_out(count: int, one: str, many: str) -> list[str]:
    return [f"{_counted(count, f'more {one}', f'more {many}')} not shown."] if count > 0 else []


def _reduced(side: int) -> list[str]:
    """That pictures of so many pixels per side are shown smaller, if they are."""
    return [f"Averaged from {side} to {SIDE} pixels per side: grain is softer here than in training."] * (side > SIDE)
