"""Weights that all architectures share: what is shared, what ranks, and that a stopped training goes on."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.data.dataset import RowDataset
from pipeline.errors import DataError
from pipeline.images.pixels import Pixels
from pipeline.manifest import BALANCED
from pipeline.metrics.metric import Metric
from pipeline.models.shared_network import SharedNetwork, skeleton_of
from pipeline.problem.framing import UNRELATED
from pipeline.store.shards import ShardReader
from pipeline.training.architectures import distinct_networks, held_back
from pipeline.training.fit_data import TrainingData
from pipeline.training.shared_weights import Learnt, SharedTask, learn_shared, likeliest
from pipeline.tuning.architectures import MODEL_PARAMS, architectures_of, decisions_of
from pipeline.tuning.methods import Architecture
from pipeline.tuning.params import TuneParams
from pipeline.workers.engine import Engine
from tests.examples import params, with_columns
from tests.fits import metric_named, train_params
from tests.stored import stored
from tests.tuning.test_architectures import BLOCKS
from tests.tuning.test_ranges import BASE

SIDE, PICTURES = 16, 240
# Of 12 networks, those with a kernel of 5 alone see how far pairs of bright pixels lie apart.
SPACE = {
    "train.model.kernels": {"name": "list", "values": [1, 3, 5], "length": 1},
    "train.model.width": {"name": "choice", "values": [4, 8]},
    "train.model.shortcuts": {"name": "list", "values": [False, True], "length": 1},
}


def pairs(down: int, generator: np.random.Generator) -> Pixels:
    """Ten pairs of bright pixels, 4 apart: side by side, or one above the other."""
    pixels = generator.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    for row, column in generator.integers(0, SIDE, (10, 2)):
        other = ((row + 4) % SIDE, column) if down else (row, (column + 4) % SIDE)
        pixels[row, column] = pixels[other] = 255
    return pixels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Pictures of two classes in train; dev is not there, because nothing may read it."""
    folder = tmp_path_factory.mktemp("pairs")
    generator = np.random.default_rng(1)
    images = [pairs(number % 2, generator) for number in range(PICTURES)]
    rows = stored(folder, images).assign(label=["across", "down"] * (PICTURES // 2), split="train")
    rows = with_columns(rows.assign(copy=np.int32(0), weight=np.float32(1), role="raw"), BALANCED)
    classes = ("across", "down")
    ingest = params(**{"ingest.size": SIDE}).ingest
    train = RowDataset(rows, ShardReader(folder), classes, SIDE)
    return TrainingData(rows, rows[:0], classes, ingest, train, train.part(np.zeros(PICTURES, bool)))


def task(data: TrainingData, epochs: int, sampling: str = "controller", metric: Metric | None = None) -> SharedTask:
    """A training of shared weights."""
    method = {"name": "architecture", "epochs": epochs, "candidates": 2, "sampling": sampling}
    tune = TuneParams.model_validate({**BASE, "method": method, "space": SPACE})
    networks = distinct_networks(architectures_of({**BLOCKS, "depth": 1}, tune.space), 2, SIDE, UNRELATED)
    chosen = Architecture.model_validate(method)
    train = train_params(learning_rate=0.01, batch_size=30)
    metric = metric or metric_of_two()
    return SharedTask(data, train, metric, networks, decisions_of(tune.space), chosen, seed=1)


def metric_of_two() -> Metric:
    return metric_named("accuracy")


def test_what_only_one_kernel_sees_is_found(data: TrainingData) -> None:
    lines: list[str] = []
    asked = task(data, 20)
    learnt = learn_shared(asked, Engine(1), tell=lines.append)
    kernels = [asked.networks.architectures[score.number].model.model_dump()["kernels"] for score in learnt.scores]
    assert kernels[:2] == [[5], [5]]
    assert learnt.scores[0].value > 0.8
    assert learnt.scores[-1].value < 0.7
    # The controller has seen it, too.
    assert learnt.likely[0].argmax() == 2
    assert "kernels[1] 5" in likeliest(asked.decisions, learnt.likely)
    assert lines[0].startswith("shared weights: epoch 2 of 20, loss ")
    assert "likeliest: kernels[1] " in lines[-1]


def test_a_stopped_training_goes_on_to_the_same_scores(data: TrainingData) -> None:
    class StopError(Exception):
        pass

    class Kept:
        """Keeps the state of each epoch, and ends the training after the second."""

        state: Any = None
        stops = True

        def load(self) -> Any:
            return self.state

        def due(self) -> bool:
            return False

        def save(self, state: Mapping[str, Any]) -> None:
            self.state = copy.deepcopy(dict(state))
            if self.stops and state["epoch"] == 2:
                raise StopError

    whole = learn_shared(task(data, 4), Engine(1))
    kept = Kept()
    with pytest.raises(StopError):
        learn_shared(task(data, 4), Engine(1), kept)
    kept.stops = False
    resumed = learn_shared(task(data, 4), Engine(1), kept)
    assert same(whole) == same(resumed)
    assert kept.state["epoch"] == 4
    other = learn_shared(replace(task(data, 4), seed=2), Engine(1))
    assert same(other) != same(whole)


def same(learnt: Learnt) -> Any:
    """All that does not depend on the clock."""
    return learnt.scores, [part.tolist() for part in learnt.likely], learnt.work


def test_groups_that_measure_teach_nothing(data: TrainingData) -> None:
    rows = data.rows.assign(group=[f"g{number // 3}" for number in range(PICTURES)])
    rows = pd.concat([rows, rows.assign(copy=np.int32(1))], ignore_index=True)
    taught, measured = held_back(rows, 1, 7)
    assert not set(rows["group"][taught]) & set(rows["group"][measured])
    assert (rows["copy"][measured] == 0).all()
    assert 0.15 < measured.sum() / PICTURES < 0.35
    assert taught.sum() % 7 != 1
    # Where there are enough production images, they alone measure.
    many = pd.concat([rows.assign(id=rows["id"] + str(number)) for number in range(4)], ignore_index=True)
    many["role"] = np.where(np.arange(len(many)) % 2, "production", "raw")
    assert set(many["role"][held_back(many, 1, 7)[1]]) == {"production"}
    with pytest.raises(DataError, match="train has 1 groups, too few to hold a quarter of them back"):
        held_back(rows.assign(group="one"), 1, 7)


def test_architectures_share_tensors_and_norms_take_the_statistics_of_the_batch() -> None:
    models = [
        MODEL_PARAMS.validate_python({**BLOCKS, "kernels": [3], "width": width, "shortcuts": [shortcut]})
        for width, shortcut in ((4, False), (8, False), (8, True))
    ]
    skeletons = [skeleton_of(one, 3, SIDE, UNRELATED) for one in models]  # type: ignore[arg-type]
    network = SharedNetwork(["block_cnn"] * 3, skeletons, np.full(3, 0.5), np.full(3, 0.2), None, seed=1).eval()
    pixels = torch.randint(0, 256, (6, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    first = "block_cnn 0-main-0-weight 3x3"
    assert network.weights[first].shape == (8, 3, 3, 3)
    network.choose(0)
    narrow = network(pixels)
    network(pixels).sum().backward()
    gradient = network.weights[first].grad
    assert gradient is not None
    assert gradient[4:].abs().sum() == 0 < gradient[:4].abs().sum()
    assert network.weights["block_cnn 0-shortcut-0-weight 1x1"].grad is None
    # Another batch, other statistics: a picture's logits depend on those beside it.
    assert not torch.allclose(network(pixels[:3]), narrow[:3])
    for number in (1, 2):
        network.choose(number)
        assert network(pixels).shape == (6, 3)
        assert not torch.allclose(network(pixels), narrow)
