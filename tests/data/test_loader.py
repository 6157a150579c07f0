"""Batches: every row once, in order, and the same bytes whoever decodes; predictions of them."""

import itertools
import multiprocessing
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.utils.data._utils import signal_handling

from pipeline.data.loader import Loader, batches, weighted_batches
from pipeline.data.order import KeyedOrder
from pipeline.data.predictions import PREDICTION_BATCH, predict_rows
from pipeline.errors import DataError, WorkerError
from pipeline.images.pixels import encode
from pipeline.manifest import PREDICTIONS
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel
from pipeline.models.network import Network
from pipeline.store.shards import ShardReader
from pipeline.transforms.online import online_variants
from pipeline.transforms.params import Transform
from pipeline.workers.engine import Engine
from pipeline.workers.pool import stop_all
from tests.data.at_work import numbered
from tests.examples import params
from tests.stored import CLASSES, IMAGES, PNG, SIZE, dataset, stored, stored_bytes, with_copies

HERE = Engine(1)
TRANSFORMS = [
    Transform.model_validate({"name": "Affine", "rotate": [-20, 20], "p": 1.0}),
    Transform.model_validate({"name": "RandomBrightnessContrast", "p": 0.5}),
]
Numbers = npt.NDArray[np.int64]


@pytest.fixture(autouse=True)
def _no_idle_workers() -> None:
    """Those that an engine keeps would be taken for the loader's."""
    stop_all()


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    return stored(tmp_path, IMAGES)


def compared(batches_of_rows: Iterable[tuple[Tensor, list[int]]]) -> list[tuple[bytes, list[int]]]:
    """Pixels as they lie in memory, and row numbers; after all batches came, as each must keep its own."""
    return [(bytes(pixels.untyped_storage()), numbers) for pixels, numbers in list(batches_of_rows)]


@pytest.mark.parametrize("batch_size", [1, 7, 20, 64])
def test_batches_hold_every_row_once_in_order(manifest: pd.DataFrame, tmp_path: Path, batch_size: int) -> None:
    loader = batches(dataset(manifest, tmp_path), batch_size, HERE)
    found = list(loader)
    pixels, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
    assert [len(batch) for batch, _ in found] == [min(batch_size, 20 - start) for start in range(0, 20, batch_size)]
    assert len(loader) == len(found)
    assert (pixels.dtype, labels.dtype) == (torch.uint8, torch.int64)
    np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), np.stack(IMAGES))
    assert labels.tolist() == [number % 3 for number in range(20)]


def test_batches_follow_the_order_given(manifest: pd.DataFrame, tmp_path: Path) -> None:
    order = KeyedOrder(20, seed=3)
    loader = weighted_batches(dataset(manifest, tmp_path), np.arange(20, dtype=np.float32), 6, order, HERE)
    pixels, labels, weights = (torch.cat(parts) for parts in zip(*loader, strict=True))
    rows = list(order)
    np.testing.assert_array_equal(pixels.permute(0, 2, 3, 1).numpy(), np.stack([IMAGES[row] for row in rows]))
    assert labels.tolist() == [row % 3 for row in rows]
    assert weights.tolist() == rows
    assert weights.dtype == torch.float32


def test_batches_keep_channels_last_as_the_network_wants_them(manifest: pd.DataFrame, tmp_path: Path) -> None:
    pixels, _ = next(iter(batches(dataset(manifest, tmp_path), 4, HERE)))
    assert pixels.shape == (4, 3, SIZE, SIZE)
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_bytes_are_the_same_by_any_number_of_workers(manifest: pd.DataFrame, tmp_path: Path) -> None:
    """Also online, in every epoch; and training that goes on in an epoch gets that epoch's batches."""
    rows = dataset(with_copies(manifest, 2), tmp_path, online_variants(TRANSFORMS, seed=1))
    whole = []
    for workers in (0, 2):
        with Loader(rows, 7, workers, KeyedOrder(60, seed=2), numbered) as loader:
            whole.append((compared(loader), compared(loader.epoch(1))))
    assert whole[0] == whole[1]
    for workers in (0, 1):
        with Loader(rows, 7, workers, KeyedOrder(60, seed=2), numbered) as loader:
            assert compared(loader.epoch(1, 3)) == whole[0][1][3:]
            assert compared(loader.epoch(0)) == whole[0][0]


def test_online_only_variants_change_with_the_epoch(manifest: pd.DataFrame, tmp_path: Path) -> None:
    rows = dataset(with_copies(manifest, 2), tmp_path, online_variants(TRANSFORMS, seed=1))
    with Loader(rows, 60, 0, range(60), lambda pixels, _: pixels.permute(0, 2, 3, 1).numpy()) as loader:
        (stored_order,) = loader
    first, second = (rows.batch(range(60), epoch) for epoch in (0, 1))
    np.testing.assert_array_equal(stored_order, first)
    unchanged = [(one == other).all() for one, other in zip(first, second, strict=True)]
    assert unchanged == [number % 3 == 0 for number in range(60)]
    np.testing.assert_array_equal(first[::3], np.stack(IMAGES))
    assert len({pixels.tobytes() for pixels in [*first, *second]}) == 20 + 40 + 40


def test_a_pass_leaves_the_global_generator_alone(manifest: pd.DataFrame, tmp_path: Path) -> None:
    """Dropout draws from it, so that weights would depend on the loader."""
    for workers in (0, 1):
        with Loader(dataset(manifest, tmp_path), 7, workers, range(20), numbered) as loader:
            before = torch.get_rng_state()
            list(loader)
            assert torch.equal(torch.get_rng_state(), before)


def test_a_pass_that_was_given_up_leaves_nothing_to_the_next(manifest: pd.DataFrame, tmp_path: Path) -> None:
    with Loader(dataset(manifest, tmp_path), 2, 1, range(20), numbered) as loader:
        given_up = compared(itertools.islice(loader, 3))
        whole = compared(loader)
    assert given_up == whole[:3]
    assert [numbers for _, numbers in whole] == [[number, number + 1] for number in range(0, 20, 2)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_row_that_cannot_be_read_is_named_whoever_reads_it(tmp_path: Path, workers: int) -> None:
    files = [encode(pixels, PNG) for pixels in IMAGES]
    rows = dataset(stored_bytes(tmp_path, [*files[:9], b"broken", *files[10:]]), tmp_path)
    message = r"^web/0009.png: row \d+ of shard \w+ is not an image \(UnidentifiedImageError\): run [^\n]*$"
    with (
        pytest.raises(DataError, match=message),
        Loader(rows, 4, workers, range(20), numbered) as loader,
    ):
        list(loader)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("waiting", ["for a batch", "elsewhere"])
def test_a_killed_worker_is_an_error_with_advice(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: str
) -> None:
    # torch sets its own handler only once a process, and other tests put back the one that they found.
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    rule = (
        r"^a process that decodes images died, .*: run the command again with fewer workers \(--workers or "
        r"PIPELINE_WORKERS\)$"
    )

    def train() -> None:
        with Loader(dataset(manifest, tmp_path), 1, 2, range(20), numbered) as loader:
            iterator = iter(loader)
            next(iterator)
            for worker in multiprocessing.active_children():
                worker.kill()
            if waiting == "for a batch":
                list(iterator)
            time.sleep(60)  # the end of a worker interrupts whatever goes on

    with pytest.raises(WorkerError, match=rule):
        train()
    assert multiprocessing.active_children() == []


def test_other_errors_inside_stay_what_they_are(manifest: pd.DataFrame, tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"^something else$"),
        Loader(dataset(manifest, tmp_path), 1, 0, range(20), numbered),
    ):
        raise RuntimeError("something else")


@pytest.mark.parametrize(
    ("engine", "epochs", "free", "workers"),
    [
        pytest.param(Engine(2), 1, 10**9, 0, id="not worth it"),
        pytest.param(Engine(2), 10**6, 10**9, 2, id="worth it"),
        pytest.param(HERE, 10**6, 10**9, 0, id="one worker is this process"),
        pytest.param(Engine(4), 10**6, 2 * 20 * SIZE**2 * 3 * 5, 2, id="shared memory for two alone"),
        pytest.param(Engine(4), 10**6, 1000, 0, id="too little shared memory"),
    ],
)
def test_workers_are_started_where_they_pay_and_have_room(
    manifest: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    epochs: int,
    free: int,
    workers: int,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))
    rows = dataset(manifest, tmp_path)
    assert batches(rows, 64, engine, epochs).workers == workers
    assert weighted_batches(rows, np.ones(20, np.float32), 64, KeyedOrder(20, 1), engine, epochs).workers == workers


class Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def model(**changes: Any) -> TrainedModel:
    small = params(**{"train.model.width": 4, **changes}).train.model
    assert isinstance(small, Network)
    network = build_model(small, len(CLASSES), 16, np.full(3, 0.2), np.full(3, 0.2), seed=1)
    return TrainedModel(network.eval(), CLASSES, params(**{"ingest.size": 16}).ingest, small)


def predictions(manifest: pd.DataFrame, folder: Path) -> pd.DataFrame:
    return predict_rows(model(), manifest, ShardReader(folder), 1, HERE, "test")


def test_predictions_have_the_columns_and_order_of_the_rows(manifest: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = manifest.sample(frac=1, random_state=1)
    found = predictions(shuffled, tmp_path)
    probabilities = [f"probability_{name}" for name in CLASSES]
    assert list(found.columns) == [*PREDICTIONS.names, *probabilities]
    np.testing.assert_allclose(found[probabilities].sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(found[probabilities].max(axis=1), found["confidence"])
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
