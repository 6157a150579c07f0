"""Rows of a manifest become pixels: the right ones, errors that name the row, exact statistics."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data import dataset as dataset_module
from pipeline.data import pictures
from pipeline.data.dataset import RowDataset, Variants, first_batch, worthwhile
from pipeline.data.order import KeyedOrder
from pipeline.data.statistics import channel_statistics
from pipeline.errors import DataError, MissingInputError, PipelineError
from pipeline.images.pixels import Pixels, decode, encode
from pipeline.stages.ingest.params import JpegEncoding
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine
from tests.examples import picture
from tests.stored import CLASSES, IMAGES, PNG, SIZE, dataset, stored, stored_bytes, with_copies

HERE = Engine(1)


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    return stored(tmp_path, IMAGES)


def numbered(pixels: Pixels, image_id: str, copy: int, epoch: int) -> Pixels:
    """A variant that says what it was made from."""
    made = pixels.copy()
    made[0, 0] = int(image_id[4:8]), copy, epoch
    return made


def test_row_gives_its_pixels_and_the_number_of_its_class(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(manifest, tmp_path)
    assert len(rows) == 20
    assert rows.labels.tolist() == [number % 3 for number in range(20)]
    for number, image in enumerate(IMAGES):
        np.testing.assert_array_equal(rows.pixels(number), image)


def test_rows_in_any_order_point_at_their_own_pixels(manifest: pd.DataFrame, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(20)
    rows = dataset(manifest.iloc[order].astype({"shard": "category", "label": "category"}), tmp_path)
    assert rows.labels.tolist() == [image % 3 for image in order]
    for number, image in enumerate(order):
        np.testing.assert_array_equal(rows.pixels(number), IMAGES[image])


def test_images_of_several_folders_are_found(tmp_path: Path) -> None:
    first = stored(tmp_path / "originals", IMAGES[:3])
    second = stored(tmp_path / "copies", IMAGES[3:6])
    reader = ShardReader(tmp_path / "originals", tmp_path / "copies")
    rows = RowDataset(pd.concat([second, first], ignore_index=True), reader, CLASSES, SIZE)
    np.testing.assert_array_equal(rows.batch(range(6)), np.stack([IMAGES[image] for image in (3, 4, 5, 0, 1, 2)]))


def test_images_stored_as_jpeg_are_read(tmp_path: Path) -> None:
    grey = np.full((SIZE, SIZE, 3), 90, np.uint8)
    rows = dataset(stored(tmp_path, [grey], JpegEncoding(name="jpeg", quality=95)), tmp_path)
    np.testing.assert_array_equal(rows.pixels(0), grey)


def test_a_batch_may_name_rows_more_than_once_and_be_written_where_one_says(
    manifest: pd.DataFrame, tmp_path: Path
) -> None:
    out = np.zeros((3, SIZE, SIZE, 3), np.uint8)
    batch = dataset(manifest, tmp_path).batch([3, 5, 3], out=out)
    assert batch is out
    np.testing.assert_array_equal(out, np.stack([IMAGES[3], IMAGES[5], IMAGES[3]]))


def test_labels_beyond_the_classes_are_refused_before_any_image_is_read(manifest: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model does not know the classes kiwi: it was trained on apple, fig, pear"):
        dataset(manifest.assign(label="kiwi"), tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(
            {"shard": "gone"},
            MissingInputError,
            r"^web/0001.png: shard gone is not under .*: run `dvc repro`",
            id="no shard",
        ),
        pytest.param(
            {"row": 999},
            DataError,
            r"^web/0001.png: shard \w+ has \d+ rows and no row 999: run `dvc repro`",
            id="no row",
        ),
    ],
)
def test_row_that_points_nowhere_is_named(
    manifest: pd.DataFrame, tmp_path: Path, change: dict[str, Any], error: type[PipelineError], message: str
) -> None:
    rows = dataset(manifest.assign(**change), tmp_path)
    with pytest.raises(error, match=message):
        rows.pixels(1)
    with pytest.raises(error, match=message.replace("0001", "0000")):
        channel_statistics(rows, HERE)


@pytest.mark.parametrize(
    ("file", "error"),
    [
        pytest.param(encode(IMAGES[1], PNG)[:-40], "OSError", id="cut short"),
        pytest.param(b"no image", "UnidentifiedImageError", id="no image"),
        pytest.param(b"", "UnidentifiedImageError", id="nothing"),
    ],
)
def test_row_that_cannot_be_decoded_is_named(tmp_path: Path, file: bytes, error: str) -> None:
    good = encode(IMAGES[0], PNG)
    rows = dataset(stored_bytes(tmp_path, [good, file, good]), tmp_path)
    message = rf"^web/0001.png: row 1 of shard \w+ is not an image \({error}\): run `pipeline doctor --fix`, then"
    with pytest.raises(DataError, match=message):
        rows.batch([0, 1])
    with pytest.raises(DataError, match=message):
        channel_statistics(rows, HERE)


def test_picture_of_another_size_is_named(tmp_path: Path) -> None:
    rows = dataset(stored(tmp_path, [IMAGES[0], picture(1, 16, 8)]), tmp_path)
    with pytest.raises(DataError, match=r"^web/0001.png: its picture is 8 x 16 pixels, not 16 x 16: run `dvc repro`$"):
        rows.batch([0, 1])


def test_only_variants_are_made_from_what_is_stored(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(with_copies(manifest, 2), tmp_path, numbered)
    for number in range(60):
        image, copy = divmod(number, 3)
        found = rows.pixels(number, epoch=5)
        assert (found[0, 0].tolist() == [image, copy, 5]) == (copy > 0)
        np.testing.assert_array_equal(found[1:], IMAGES[image][1:])


def test_stored_variants_stay_as_they_are(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(with_copies(manifest, 1), tmp_path)
    np.testing.assert_array_equal(rows.batch(range(40), epoch=3), np.repeat(np.stack(IMAGES), 2, axis=0))


def test_variants_made_while_training_are_more_work(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = with_copies(manifest, 2)
    stored_rows, online = dataset(rows, tmp_path), dataset(rows, tmp_path, numbered)
    assert [stored_rows.work(epochs) for epochs in (1, 5)] == [60, 300]
    assert [online.work(epochs) for epochs in (1, 5)] == [20 + 3 * 40, 5 * (20 + 3 * 40)]
    for each in (stored_rows, online):
        each.keep_pixels()
    assert stored_rows.work(5) == 20
    assert online.work(5) == 20 + 5 * 2 * 40


@pytest.mark.parametrize("variants", [None, numbered], ids=["stored", "online"])
def test_kept_pixels_are_decoded_once_and_are_the_same(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variants: Variants | None
) -> None:
    rows = with_copies(manifest, 2)
    plain, kept = dataset(rows, tmp_path, variants), dataset(rows, tmp_path, variants)
    expected = [plain.batch(range(60), epoch) for epoch in (0, 1)]
    statistics = channel_statistics(plain, HERE)
    asked: list[bytes] = []

    def watched(data: bytes, out: Pixels | None = None) -> Pixels:
        asked.append(data)
        return decode(data, out)

    monkeypatch.setattr(pictures, "decode", watched)
    kept.keep_pixels()
    assert kept.keeps_pixels
    for epoch in (0, 1):
        np.testing.assert_array_equal(kept.batch(range(60), epoch), expected[epoch])
        np.testing.assert_array_equal(kept.batch([5, 3, 5], epoch), expected[epoch][[5, 3, 5]])
        np.testing.assert_array_equal(kept.pixels(4, epoch), expected[epoch][4])
    np.testing.assert_array_equal(channel_statistics(kept, HERE), statistics)
    assert len(asked) == 20


def test_what_a_caller_does_to_its_pixels_reaches_no_other(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(manifest, tmp_path)
    rows.keep_pixels()
    for found in (rows.pixels(0), rows.batch([0, 1])):
        found[:] = 0
    np.testing.assert_array_equal(rows.batch(range(20)), np.stack(IMAGES))


def test_more_pixels_than_fit_are_not_kept_and_none_travel_to_workers(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dataset(with_copies(manifest, 2), tmp_path)
    monkeypatch.setattr(dataset_module, "MAX_KEPT_BYTES", 20 * SIZE**2 * 3 - 1)
    rows.keep_pixels()
    assert not rows.keeps_pixels
    monkeypatch.setattr(dataset_module, "MAX_KEPT_BYTES", 20 * SIZE**2 * 3)
    rows.keep_pixels()
    assert rows.keeps_pixels
    assert not pickle.loads(pickle.dumps(rows)).keeps_pixels


def test_the_first_batch_is_that_of_the_orders_epoch(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows, order = dataset(with_copies(manifest, 1), tmp_path, numbered), KeyedOrder(40, seed=2)
    order.set_epoch(4)
    pixels, labels = first_batch(rows, order, 7)
    first = list(order)[:7]
    np.testing.assert_array_equal(pixels, rows.batch(first, epoch=4))
    assert labels.tolist() == [number // 2 % 3 for number in first]


def test_statistics_are_those_of_all_pixels(manifest: pd.DataFrame, tmp_path: Path) -> None:
    mean, deviation = channel_statistics(dataset(manifest, tmp_path), HERE)
    scaled = np.stack(IMAGES).astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-14)
    np.testing.assert_allclose(deviation, scaled.std(axis=(0, 1, 2)), rtol=1e-14)


@pytest.mark.parametrize("value", [0, 39, 255])
def test_statistics_of_flat_pictures_are_exact(tmp_path: Path, value: int) -> None:
    rows = dataset(stored(tmp_path, [np.full((SIZE, SIZE, 3), value, np.uint8)] * 2), tmp_path)
    mean, deviation = channel_statistics(rows, HERE)
    assert mean.tolist() == [value / 255] * 3
    assert deviation.tolist() == [0.0] * 3


@given(rows=st.lists(st.integers(0, 19), min_size=1, max_size=50))
def test_statistics_count_a_picture_as_often_as_rows_point_at_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "repeated"
    manifest = stored(folder, IMAGES).iloc[rows]
    mean, deviation = channel_statistics(dataset(manifest, folder), HERE)
    scaled = np.stack([IMAGES[row] for row in rows]).astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(deviation, scaled.std(axis=(0, 1, 2)), rtol=1e-9)


def test_statistics_decode_a_picture_once_and_do_not_look_at_variants(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def watched(data: bytes, out: Pixels | None = None) -> Pixels:
        asked.append(data)
        return decode(data, out)

    monkeypatch.setattr(pictures, "decode", watched)
    online = channel_statistics(dataset(with_copies(manifest, 3), tmp_path, numbered), HERE)
    assert len(asked) == 20
    np.testing.assert_array_equal(online, channel_statistics(dataset(manifest, tmp_path), HERE))


def test_statistics_are_the_same_by_any_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "WORTH_A_WORKER", 1)
    manifest = stored(tmp_path, [picture(number) for number in range(300)])
    assert manifest["shard"].nunique() > 1
    rows = dataset(manifest.sample(frac=1, random_state=1), tmp_path)
    np.testing.assert_array_equal(channel_statistics(rows, Engine(2)), channel_statistics(rows, HERE))


@pytest.mark.parametrize(
    ("images", "size", "workers"),
    [
        pytest.param(0, 224, 1, id="nothing"),
        pytest.param(100_000, 28, 1, id="many, but tiny"),
        pytest.param(50_000, 224, 1, id="one worker's worth"),
        pytest.param(60_000, 224, 2, id="worth two"),
        pytest.param(1_000_000, 224, 4, id="worth many: all there are"),
    ],
)
def test_as_many_workers_as_the_work_is_worth(images: int, size: int, workers: int) -> None:
    assert worthwhile(Engine(4), images, size) == Engine(workers)
    assert worthwhile(HERE, images, size) == HERE
