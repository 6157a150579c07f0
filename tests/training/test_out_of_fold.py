"""Predictions out of fold: frozen layers see each picture once, and folds give what they give without that."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.manifest import DEV, TRAIN
from pipeline.store.shards import ShardReader
from pipeline.training import fitting, out_of_fold
from pipeline.training.features import computed_features
from pipeline.training.out_of_fold import FoldedRows, by_own_model
from pipeline.workers.engine import Engine
from tests.examples import params, striped
from tests.fits import ADAMW
from tests.stored import CLASSES, SIZE, stored

FROZEN = {"name": "efficientnet_lite0", "trained": "head", "input": 32, "dropout": {"head": 0.2}}
COUNT = 48


@pytest.fixture
def folded(tmp_path: Path) -> FoldedRows:
    rows = stored(tmp_path, [striped(number % 3, seed=number) for number in range(COUNT)])
    rows = rows.assign(split=[DEV if number % 4 == 3 else TRAIN for number in range(COUNT)])
    chosen = params(**{"ingest.size": SIZE})
    folds = np.arange(COUNT) // 3 % 3
    return FoldedRows(rows, folds, ShardReader(tmp_path), CLASSES, chosen.ingest, chosen.problem)


def found(folded: FoldedRows) -> npt.NDArray[np.float64]:
    values = {"model": FROZEN, "epochs": 2, "batch_size": 16, "learning_rate": 0.01, "optimizer": ADAMW, "threads": 1}
    chosen = params(**{f"train.{name}": value for name, value in values.items()})
    return by_own_model(chosen.train, folded, chosen.evaluate.optimizing, Engine(1))


def test_frozen_layers_see_each_picture_once_for_all_folds(folded: FoldedRows, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(frozen: Any, dataset: Any, *others: Any) -> Any:
        asked.append(len(dataset))
        return computed_features(frozen, dataset, *others)

    monkeypatch.setattr(out_of_fold, "computed_features", counted)
    monkeypatch.setattr(fitting, "computed_features", counted)
    shared = found(folded)
    assert asked == [COUNT]
    assert np.allclose(shared.sum(axis=1), 1)
    monkeypatch.setattr(out_of_fold, "features_stay", lambda *_: False)
    assert np.allclose(shared, found(folded), atol=1e-4)
    # Of train and of dev in each of the three folds.
    assert len(asked) == 1 + 6
