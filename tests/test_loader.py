"""Rows of a manifest become batches: right pixels, right labels, right order, from shards on disk."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from pipeline.core.imaging import Pixels, encode
from pipeline.core.manifest import PREDICTIONS, SPLIT
from pipeline.core.models import TrainedModel, build_model
from pipeline.core.training import KeyedOrder
from pipeline.engine import Engine
from pipeline.errors import DataError, MissingInputError
from pipeline.loader import PREDICTION_BATCH, RowDataset, batches, channel_statistics, predict_rows, weighted_batches
from pipeline.params import JpegEncoding, PngEncoding
from pipeline.shards import Row, ShardReader, ShardStore
from tests.examples import params, striped, with_columns

CLASSES = ("apple", "fig", "pear")
IMAGES = [striped(number % 3, seed=number) for number in range(20)]


def stored(folder: Path, images: list[Pixels], encoding: PngEncoding | JpegEncoding | None = None) -> pd.DataFrame:
    """The images in shards, and the manifest rows that point at them."""
    chosen = encoding or PngEncoding(name="png")
    rows = [
        Row(f"{number:04}", f"{number} {zlib.crc32(pixels.tobytes())}", encode(pixels, chosen))
        for number, pixels in enumerate(images)
    ]
    schema = pa.schema([("image", pa.binary())])
    places = ShardStore(folder).build(rows, lambda data: {"image": data}, schema, Engine(1), "test").to_pandas()
    names = [f"web/{number:04}.png" for number in range(len(images))]
    labels = [CLASSES[number % 3] for number in range(len(images))]
    return with_columns(places.assign(id=names, group=names, label=labels, split="dev"), SPLIT)


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    return stored(tmp_path, IMAGES)


def dataset(manifest: pd.DataFrame, folder: Path) -> RowDataset:
    return RowDataset(manifest, ShardReader(folder), CLASSES)


def model(**changes: Any) -> TrainedModel:
    small = params(**{"train.model.width": 4, **changes}).train.model
    network = build_model(small, len(CLASSES), 16, np.full(3, 0.2), np.full(3, 0.2), seed=1)
    return TrainedModel(network.eval(), CLASSES, 16, small)


def predictions(manifest: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return predict_rows(model(), manifest, ShardReader(folder), threads=1, title="test")


def test_row_gives_its_pixels_and_the_number_of_its_class(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(manifest, tmp_path)
    assert len(rows) == 20
    for number, image in enumerate(IMAGES):
        pixels, label = rows[number]
        np.testing.assert_array_equal(pixels, image)
        assert label == number % 3


def test_rows_in_any_order_point_at_their_own_pixels(manifest: pd.DataFrame, tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(20)
    rows = dataset(manifest.iloc[order].astype({"shard": "category", "label": "category"}), tmp_path)
    for number, image in enumerate(order):
        pixels, label = rows[number]
        np.testing.assert_array_equal(pixels, IMAGES[image])
        assert label == image % 3


def test_row_may_stand_more_than_once(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(manifest.iloc[[3, 3]], tmp_path)
    np.testing.assert_array_equal(rows[0][0], rows[1][0])


def test_images_of_several_folders_are_found(tmp_path: Path) -> None:
    first = stored(tmp_path / "originals", IMAGES[:3])
    second = stored(tmp_path / "copies", IMAGES[3:6])
    reader = ShardReader(tmp_path / "originals", tmp_path / "copies")
    rows = RowDataset(pd.concat([second, first], ignore_index=True), reader, CLASSES)
    for number, image in enumerate([3, 4, 5, 0, 1, 2]):
        np.testing.assert_array_equal(rows[number][0], IMAGES[image])


def test_labels_beyond_the_classes_are_refused_before_any_image_is_read(manifest: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the model does not know the classes kiwi: it was trained on apple, fig, pear"):
        dataset(manifest.assign(label="kiwi"), tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        pytest.param(
            {"shard": "gone"}, MissingInputError, r"shard gone is not under .*: run `dvc repro`", id="no shard"
        ),
        pytest.param({"row": 999}, DataError, r"has \d+ rows, no row 999: run `dvc repro`", id="no such row"),
    ],
)
def test_row_that_points_nowhere_is_explained(
    manifest: pd.DataFrame, tmp_path: Path, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    rows = dataset(manifest.assign(**change), tmp_path)
    with pytest.raises(error, match=message):
        rows[0]


@pytest.mark.parametrize("batch_size", [1, 7, 20, 64])
def test_batches_hold_every_row_once_in_order(manifest: pd.DataFrame, tmp_path: Path, batch_size: int) -> None:
    found = list(batches(dataset(manifest, tmp_path), batch_size))
    pixels, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
    assert [len(batch) for batch, _ in found] == [min(batch_size, 20 - start) for start in range(0, 20, batch_size)]
    assert (pixels.dtype, labels.dtype) == (torch.uint8, torch.int64)
    np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), np.stack(IMAGES))
    assert labels.tolist() == [number % 3 for number in range(20)]


def test_batches_follow_the_order_given(manifest: pd.DataFrame, tmp_path: Path) -> None:
    order = KeyedOrder(20, seed=3)
    loader = weighted_batches(dataset(manifest, tmp_path), np.arange(20, dtype=np.float32), 6, order)
    labels, weights = (torch.cat(parts).tolist() for parts in list(zip(*loader, strict=True))[1:])
    assert labels == [number % 3 for number in order]
    assert weights == [float(number) for number in order]
    assert labels != [number % 3 for number in range(20)]


def test_batches_keep_channels_last_as_the_network_wants_them(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(manifest, tmp_path)
    pixels, _ = next(iter(batches(rows, 4)))
    assert pixels.shape == (4, 3, 16, 16)
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_statistics_are_those_of_all_pixels(manifest: pd.DataFrame, tmp_path: Path) -> None:
    mean, deviation = channel_statistics(dataset(manifest, tmp_path))
    scaled = np.stack(IMAGES).astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(deviation, scaled.std(axis=(0, 1, 2)))


# 39 is a value whose mean of squares comes out below the square of its mean.
@pytest.mark.parametrize("value", [0, 39, 255])
def test_statistics_of_flat_pictures_have_no_deviation_and_no_nan(tmp_path: Path, value: int) -> None:
    rows = dataset(stored(tmp_path, [np.full((16, 16, 3), value, np.uint8)] * 2), tmp_path)
    mean, deviation = channel_statistics(rows)
    np.testing.assert_allclose(mean, value / 255)
    np.testing.assert_allclose(deviation, 0, atol=1e-6)


def test_predictions_have_the_columns_and_order_of_the_rows(manifest: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = manifest.sample(frac=1, random_state=1)
    found = predictions(shuffled, tmp_path)
    assert list(found.columns) == PREDICTIONS.names
    assert found["id"].tolist() == shuffled["id"].tolist()
    assert found["label"].tolist() == shuffled["label"].tolist()


def test_prediction_is_the_likeliest_class_and_its_probability(manifest: pd.DataFrame, tmp_path: Path) -> None:
    found = predictions(manifest, tmp_path)
    with torch.inference_mode():
        logits = model().network(torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2))
    confidence, called = logits.softmax(dim=1).max(dim=1)
    assert found["predicted"].tolist() == [CLASSES[number] for number in called]
    np.testing.assert_allclose(found["confidence"], confidence.numpy(), rtol=1e-4)
    assert len(set(found["predicted"])) > 1


def test_prediction_of_an_image_stays_its_own_over_many_batches(tmp_path: Path) -> None:
    many = [IMAGES[number % 20] for number in range(PREDICTION_BATCH + 30)]
    found = predictions(stored(tmp_path, many), tmp_path)
    assert len(found) == len(many)
    assert found["predicted"].tolist() == [found["predicted"][number % 20] for number in range(len(many))]


def test_prediction_does_not_depend_on_the_labels_of_the_rows(manifest: pd.DataFrame, tmp_path: Path) -> None:
    blind = predictions(manifest.assign(label="apple"), tmp_path)
    pd.testing.assert_series_equal(blind["predicted"], predictions(manifest, tmp_path)["predicted"])


def test_images_stored_as_jpeg_are_read(tmp_path: Path) -> None:
    rows = dataset(
        stored(tmp_path, [np.full((16, 16, 3), 90, np.uint8)], JpegEncoding(name="jpeg", quality=95)), tmp_path
    )
    np.testing.assert_array_equal(rows[0][0], 90)
