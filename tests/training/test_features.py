"""Frozen layers: their features are computed once, and training on them gives the model that it gives without."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pipeline.data import dataset as dataset_module
from pipeline.data.dataset import RowDataset
from pipeline.metrics.metric import metric_of
from pipeline.models.efficientnet import CUT, EfficientNetLite0, Part, load_imagenet_weights
from pipeline.models.files import TrainedModel, load_model, save_model
from pipeline.models.layers import split_frozen
from pipeline.store.shards import ShardReader
from pipeline.training import fitting
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fit_data import FitParams, TrainingData, training_data
from pipeline.training.fitting import features_stay, fit_model
from pipeline.training.loop import TrainingLoop
from pipeline.training.loss_functions import Losses
from pipeline.training.losses import entropies
from pipeline.training.training import Fit
from pipeline.workers.engine import Engine
from tests.examples import params, striped
from tests.fits import ADAMW, SGD, network_for, train_params, weights
from tests.stored import SIZE, stored, with_copies

HEAD = {"name": "efficientnet_lite0", "trained": "head", "input": 32, "dropout": {"head": 0.2}}
LAST = {**HEAD, "trained": "last"}
MIXUP = {"name": "mixup", "alpha": 0.2}
TURN = {"name": "Rotate", "limit": [-40, 40], "p": 1.0}
IMAGES = [striped(number % 3, seed=number) for number in range(60)]
Fitted = tuple[TrainedModel, Fit]


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    return stored(tmp_path, IMAGES)


def data(manifest: pd.DataFrame, folder: Path, copies: int = 0, mode: str = "materialise") -> TrainingData:
    chosen = params(**{"augment.mode": mode, "augment.transforms": [TURN], "ingest.size": SIZE})
    rows = with_copies(manifest, copies).assign(weight=np.float32(1))
    shaping = FitParams(settings(), chosen.augment.variants, chosen.ingest, chosen.evaluate.optimizing, chosen.problem)
    return training_data(rows, manifest, ShardReader(folder), shaping)


def settings(**changes: Any) -> Any:
    values = {"model": HEAD, "epochs": 4, "batch_size": 16, "learning_rate": 0.01, "optimizer": ADAMW, "threads": 1}
    changed = {f"train.{name}": value for name, value in {**values, **changes}.items()}
    return params(**changed).train


def fit(of: TrainingData, engine: Engine | None = None, **changes: Any) -> Fitted:
    return fit_model(of, settings(**changes), metric_of(params().evaluate.optimizing, of.classes), engine or Engine(1))


def backbone(of: nn.Module) -> Part:
    return next(layer for layer in of.modules() if isinstance(layer, Part))


def imagenet() -> EfficientNetLite0:
    network = EfficientNetLite0()
    load_imagenet_weights(network)
    return network


@pytest.mark.parametrize("model", [HEAD, LAST], ids=lambda model: str(model["trained"]))
def test_features_once_give_the_model_of_features_in_each_batch(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: dict[str, Any]
) -> None:
    """Dropout of the head as well: its random numbers are keyed by batch."""
    # AdamW makes as long a step of a gradient that is all rounding as of any other.
    steps: dict[str, Any] = {"model": model, **({"epochs": 1, "optimizer": SGD} if model is LAST else {})}
    near = 1e-4 if model is HEAD else 2e-3
    once, seen = fit(data(manifest, tmp_path, copies=1), **steps)
    monkeypatch.setattr(fitting, "MAX_FEATURE_NUMBERS", 0)
    each, seen_each = fit(data(manifest, tmp_path, copies=1), **steps)
    for one, other in zip(seen.epochs, seen_each.epochs, strict=True):
        assert one == pytest.approx(other, rel=10 * near, abs=near)
    for name, tensor in once.network.state_dict().items():
        torch.testing.assert_close(tensor, each.network.state_dict()[name], rtol=10 * near, atol=near)
    assert model is LAST or seen.epochs[-1]["train/loss"] < 0.7 * seen.epochs[0]["train/loss"]


@pytest.mark.parametrize("mixing", [{"name": "none"}, MIXUP], ids=lambda mixing: str(mixing["name"]))
def test_the_frozen_backbone_keeps_imagenets_weights_and_statistics(
    manifest: pd.DataFrame, tmp_path: Path, mixing: dict[str, Any]
) -> None:
    model, _ = fit(data(manifest, tmp_path), mixing=mixing, epochs=1)
    assert weights(backbone(model.network)) == weights(imagenet())


def test_with_all_trained_the_backbone_changes(manifest: pd.DataFrame, tmp_path: Path) -> None:
    model, _ = fit(data(manifest, tmp_path), model={**HEAD, "trained": "all"}, epochs=1)
    start = weights(imagenet())
    assert {name for name, value in weights(backbone(model.network)).items() if value == start[name]} == set()


def test_with_the_last_blocks_trained_those_before_stay_and_all_of_them_change(
    manifest: pd.DataFrame, tmp_path: Path
) -> None:
    """Statistics of norms as well."""
    model, _ = fit(data(manifest, tmp_path), model=LAST, epochs=1)
    start = weights(imagenet())
    first, last = (weights(layer) for layer in model.network.modules() if isinstance(layer, Part))
    assert {*first, *last} == {*start}
    assert all(value == start[name] for name, value in first.items())
    assert not [name for name, value in last.items() if value == start[name]]
    assert {int(name.split(".")[1]) for name in last if name.startswith("blocks.")} == set(range(CUT, 16))


@pytest.mark.parametrize("trained", ["last", "all"])
def test_the_backbone_is_trained_at_its_share_of_the_rate(trained: str) -> None:
    """One step of SGD moves its weights by so much less."""
    moved = []
    for share in (1.0, 0.1):
        chosen = settings(model={**HEAD, "trained": trained, "backbone_rate": share}, optimizer=SGD, learning_rate=0.5)
        loop = TrainingLoop(network_for(chosen), chosen, Losses(entropies, entropies))
        before = [parameter.detach().clone() for parameter in loop.network.parameters()]
        pixels = torch.from_numpy(np.stack(IMAGES[:8])).permute(0, 3, 1, 2)
        batch = pixels, torch.arange(8) % 3, torch.ones(8)
        list(loop.epoch(0, [batch], lambda _: 0.5))
        moved.append(
            [
                float((after.detach() - start).abs().max())
                for after, start in zip(loop.network.parameters(), before, strict=True)
            ]
        )
    *layers, weight, bias = zip(*moved, strict=True)
    assert weight[0] == weight[1] > 0
    assert bias[0] == bias[1] > 0
    ratios = [less / more for more, less in layers if more > 1e-4]
    assert len(ratios) > 10
    assert ratios == pytest.approx([0.1] * len(ratios), rel=0.02)


@pytest.mark.parametrize("chosen", [HEAD, LAST], ids=lambda chosen: str(chosen["trained"]))
def test_the_model_file_holds_the_whole_network(manifest: pd.DataFrame, tmp_path: Path, chosen: dict[str, Any]) -> None:
    model, _ = fit(data(manifest, tmp_path), epochs=1, model=chosen)
    file = save_model(model)
    loaded = load_model(file)
    pixels = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert torch.equal(loaded.network(pixels), model.network(pixels))
    assert save_model(loaded) == file
    assert loaded.params == settings(model=chosen).model


def test_workers_change_nothing(manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, _ = fit(data(manifest, tmp_path, copies=1), epochs=1)
    monkeypatch.setattr(dataset_module, "WORTH_A_WORKER", 1)
    assert save_model(fit(data(manifest, tmp_path, copies=1), Engine(2), epochs=1)[0]) == save_model(alone)


def test_each_stored_picture_is_read_once(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all epochs together, once for train and once for dev, however many rows point at it."""
    read: list[int] = []
    batch = RowDataset.batch

    def counted(self: RowDataset, numbers: Any, *rest: Any, **named: Any) -> Any:
        read.extend(numbers)
        return batch(self, numbers, *rest, **named)

    monkeypatch.setattr(RowDataset, "batch", counted)
    fit(data(manifest, tmp_path, copies=2), epochs=3)
    assert len(read) == 2 * len(IMAGES)


@pytest.mark.parametrize(
    ("copies", "mode", "changes", "stay"),
    [
        (1, "materialise", {}, True),
        (1, "online", {}, False),
        (0, "online", {}, True),
        (1, "materialise", {"mixing": MIXUP}, False),
        (1, "materialise", {"model": LAST}, True),
        (1, "materialise", {"model": {**HEAD, "trained": "all"}}, False),
        (1, "materialise", {"model": params().train.model.model_dump()}, False),
    ],
)
def test_features_are_kept_where_no_epoch_changes_them(
    manifest: pd.DataFrame, tmp_path: Path, copies: int, mode: str, changes: dict[str, Any], stay: bool
) -> None:
    assert features_stay(data(manifest, tmp_path, copies, mode), settings(**changes)) == stay


def test_online_variants_are_trained_through_the_frozen_backbone(manifest: pd.DataFrame, tmp_path: Path) -> None:
    model, _ = fit(data(manifest, tmp_path, copies=1, mode="online"), epochs=1)
    stored_once, _ = fit(data(manifest, tmp_path, copies=1), epochs=1)
    assert weights(backbone(model.network)) == weights(imagenet())
    assert save_model(model) != save_model(stored_once)


def test_pixels_are_normalised_as_imagenets_were() -> None:
    """What the layers of the model make of pixels is what the network with its own normalisation does."""
    network = network_for(train_params(model={**HEAD, "input": 16 * 2})).eval()
    alone = EfficientNetLite0().eval()
    alone.load_state_dict(backbone(network).state_dict())
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(split_frozen(network)[0](pixels), alone(pixels), rtol=1e-3, atol=1e-4)


class KilledError(Exception):
    pass


class KillingCheckpoint(Checkpoint):
    """Ends the run right after so many saves."""

    left = 2

    def save(self, key: str, state: Any) -> None:
        super().save(key, state)
        self.left -= 1
        if not self.left:
            raise KilledError


def test_a_killed_fit_goes_on_to_the_same_bytes(manifest: pd.DataFrame, tmp_path: Path) -> None:
    """The features are computed anew, and the epochs that were done are not."""
    metric = metric_of(params().evaluate.optimizing, ("apple", "fig", "pear"))
    whole, _ = fit(data(manifest, tmp_path, copies=1))
    killing, path = data(manifest, tmp_path, copies=1), tmp_path / "checkpoint.pt"
    with pytest.raises(KilledError):
        fit_model(killing, settings(), metric, Engine(1), KillingCheckpoint(path).under("key"))
    went_on = data(manifest, tmp_path, copies=1)
    model, seen = fit_model(went_on, settings(), metric, Engine(1), Checkpoint(path).under("key"))
    assert seen.done_before == (2, 0)
    assert save_model(model) == save_model(whole)
