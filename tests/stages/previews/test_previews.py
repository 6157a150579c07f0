"""look: the pictures on the sheets are those that training gets."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from pipeline.data.dataset import RowDataset
from pipeline.data.loader import weighted_batches
from pipeline.data.order import KeyedOrder
from pipeline.images.pixels import Pixels
from pipeline.manifest import BALANCED
from pipeline.sheets import contact_sheets as sheets
from pipeline.sheets.drawing import Sheet
from pipeline.stages.previews.stage import previews
from pipeline.store.shards import ShardReader
from pipeline.transforms.transforms import build_transform, make_variant
from pipeline.workers.engine import Engine
from tests.examples import params, with_columns
from tests.stored import CLASSES, IMAGES, SIZE, stored, with_copies

CHOSEN = params(**{"augment.seed": 4, "augment.transforms": [{"name": "Rotate", "limit": [-40, 40], "p": 1.0}]}).augment


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    """Images and two variants of each, which point at the pixels of the image."""
    manifest = stored(tmp_path, IMAGES).assign(role="raw", weight=np.float32(1))
    return with_columns(with_copies(manifest, 2), BALANCED)


def run(rows: pd.DataFrame, folder: Path, mode: Literal["materialise", "online"], **changes: Any) -> None:
    reader = ShardReader(folder)
    settings = {"seed": CHOSEN.seed, "size": SIZE, "batch_size": 16, "order_seed": 9, **changes}
    settings |= {"match_production": False, "mixing": params().train.mixing}
    previews(rows, reader, reader, mode=mode, transforms=CHOSEN.transforms, **settings)


def pictures(sheet: Sheet) -> dict[str, list[Pixels]]:
    """Image id -> its pictures on the sheet of variants."""
    strips = [strip for section in sheet.sections for strip in section.strips]
    return {strip.caption.split("  ")[1]: [cell.pixels for cell in strip.cells] for strip in strips}


def test_materialised_variants_are_shown_as_they_are_stored(
    rows: pd.DataFrame, tmp_path: Path, drawn: list[Sheet]
) -> None:
    own = rows.assign(row=(rows["row"] + rows["copy"]) % 20)  # each variant has pixels of its own
    run(own, tmp_path, "materialise")
    places = own.groupby("id")["row"].agg(list)
    shown = pictures(drawn[0])
    assert len(shown) == 6
    for image, seen in shown.items():
        np.testing.assert_array_equal(seen, [IMAGES[place] for place in places[image]])


def test_online_variants_are_shown_as_epoch_0_makes_them(
    rows: pd.DataFrame, tmp_path: Path, drawn: list[Sheet]
) -> None:
    run(rows, tmp_path, "online")
    turn = build_transform(CHOSEN.transforms)
    for image, (original, *variants) in pictures(drawn[0]).items():
        np.testing.assert_array_equal(original, IMAGES[rows["row"][rows["id"] == image].iloc[0]])
        expected = [make_variant(original, turn, CHOSEN.seed, image, copy, epoch=0) for copy in (1, 2)]
        np.testing.assert_array_equal(variants, expected)
        assert not np.array_equal(variants[0], variants[1])


@pytest.mark.parametrize("mode", ["materialise", "online"])
def test_the_batch_is_the_first_that_training_gets(
    mode: Literal["materialise", "online"], rows: pd.DataFrame, tmp_path: Path, drawn: list[Sheet]
) -> None:
    from pipeline.transforms.online import online_variants

    run(rows, tmp_path, mode)
    variants = online_variants(CHOSEN.transforms, CHOSEN.seed) if mode == "online" else None
    data = RowDataset(rows, ShardReader(tmp_path), CLASSES, SIZE, variants)
    weights = np.ones(len(rows), np.float32)
    with weighted_batches(data, weights, 16, KeyedOrder(len(rows), 9), Engine(1)) as loader:
        pixels, labels, _ = next(iter(loader))
    cells = drawn[1].sections[0].strips[0].cells
    np.testing.assert_array_equal([cell.pixels for cell in cells], pixels.permute(0, 2, 3, 1).numpy())
    assert [cell.captions[0] for cell in cells] == [CLASSES[label] for label in labels]


def test_a_batch_larger_than_the_sheet_is_read_in_part(
    rows: pd.DataFrame, tmp_path: Path, drawn: list[Sheet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "MAX_BATCH_IMAGES", 10)
    run(rows, tmp_path, "materialise", batch_size=50)
    assert len(drawn[1].sections[0].strips[0].cells) == 10
    assert drawn[1].lines[0].startswith("50 rows ")
    assert drawn[1].lines[-1] == "40 more rows not shown."
