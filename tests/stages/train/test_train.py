"""train: what the loader's settings may change in the model, and what they may not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch

from pipeline.data import dataset as dataset_module
from pipeline.errors import DataError, ParamsError
from pipeline.manifest import BALANCED
from pipeline.stages.train.stage import FitProgress, train
from pipeline.store.shards import ShardReader
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fit_data import FitParams
from pipeline.workers.engine import Engine
from tests.examples import params, with_columns
from tests.stored import IMAGES, SIZE, stored, with_copies

SMALL = {"train.model.width": 4, "train.model.dropout.blocks": 0.25, "train.epochs": 2, "train.batch_size": 16}
TURN = {"name": "Rotate", "limit": [-40, 40], "p": 1.0}


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    return stored(tmp_path, IMAGES)


def model(
    manifest: pd.DataFrame,
    folder: Path,
    copies: int,
    engine: Engine | None = None,
    seen: pd.DataFrame | None = None,
    **augment: Any,
) -> bytes:
    """The file of a model that was trained on the images, or on `seen`, and so many variants of each."""
    changes = {f"augment.{name}": value for name, value in {"transforms": [TURN], **augment}.items()}
    chosen = params(**SMALL, **changes)
    reader = ShardReader(folder)
    return train(
        with_columns(with_copies(manifest if seen is None else seen, copies), BALANCED),
        manifest,
        reader,
        reader,
        manifest.head(0),
        params=FitParams(
            chosen.train,
            chosen.augment.variants,
            chosen.ingest.model_copy(update={"size": SIZE}),
            chosen.evaluate.optimizing,
            chosen.problem,
        ),
        progress=FitProgress(Checkpoint(folder / "checkpoint.pt"), folder / "members"),
        engine=engine or Engine(1),
    ).model


def test_online_the_variants_are_made_while_training(manifest: pd.DataFrame, tmp_path: Path) -> None:
    as_stored, online, again, keyed_otherwise = (
        model(manifest, tmp_path, 2, **changes)
        for changes in ({}, {"mode": "online"}, {"mode": "online"}, {"mode": "online", "seed": 2})
    )
    assert online == again
    assert len({as_stored, online, keyed_otherwise}) == 3


def test_online_originals_stay_as_they_are(manifest: pd.DataFrame, tmp_path: Path) -> None:
    assert model(manifest, tmp_path, 0, mode="online") == model(manifest, tmp_path, 0)


def test_workers_change_nothing(manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Online and with dropout, so that pixels and torch's random numbers must be the same."""
    alone = model(manifest, tmp_path, 2, mode="online")
    monkeypatch.setattr(dataset_module, "WORTH_A_WORKER", 1)
    assert model(manifest, tmp_path, 2, Engine(2), mode="online") == alone


def test_a_model_normalises_by_the_pixels_of_train(manifest: pd.DataFrame, tmp_path: Path) -> None:
    """And by those of no others."""
    tensors = safetensors.torch.load(model(manifest, tmp_path, 1, seen=manifest.head(12)))
    [(mean, std)] = [
        (values, tensors[f"{name.removesuffix('mean')}std"])
        for name, values in tensors.items()
        if name.endswith(".mean")
    ]
    pixels = np.stack(IMAGES[:12]) / 255
    np.testing.assert_allclose(mean.flatten(), pixels.mean(axis=(0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(std.flatten(), pixels.std(axis=(0, 1, 2)), rtol=1e-5)


def test_a_transform_that_cannot_be_made_stops_training_before_it_begins(
    manifest: pd.DataFrame, tmp_path: Path
) -> None:
    with pytest.raises(ParamsError, match="no transform 'Rotat', did you mean Rotate"):
        model(manifest, tmp_path / "gone", 1, mode="online", transforms=[{"name": "Rotat"}])


def test_a_row_that_cannot_be_read_is_named(manifest: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^web/0000.png: shard \w+ has \d+ rows and no row 999"):
        model(manifest.assign(row=999), tmp_path, 1)
