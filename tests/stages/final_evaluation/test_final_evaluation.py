"""test: what a look shows, what it adds to the ledger, and that a refused one sees nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import FinalEvaluationError
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel, save_model
from pipeline.models.network import Network
from pipeline.stages.final_evaluation import stage
from pipeline.store.ledger import LedgerEntry
from pipeline.store.reading import digest_of
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine
from tests.examples import params
from tests.stored import CLASSES, IMAGES, SIZE, stored


def model(seed: int = 1) -> bytes:
    """A model's file, its weights random."""
    chosen = params(**{"ingest.size": SIZE, "train.model.width": 4})
    assert isinstance(chosen.train.model, Network)
    network = build_model(chosen.train.model, len(CLASSES), SIZE, np.full(3, 0.4), np.full(3, 0.1), seed)
    return save_model(TrainedModel(network.eval(), CLASSES, chosen.ingest, chosen.train.model))


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    return stored(tmp_path, IMAGES).assign(split="test")


def entry(
    manifest: pd.DataFrame, folder: Path, ledger: list[LedgerEntry], data: bytes, accepted: bool = True, **rules: Any
) -> stage.FinalEvaluationOutputs:
    fast = {"metric": "latency_p95_ms", "min": None, "max": 0.001}
    changes = {"evaluate.bootstrap": 200, "evaluate.satisficing": {"fast": fast}}
    chosen = params(
        **changes, **{f"final_evaluation.{name}": value for name, value in {"max_test_evaluations": 2, **rules}.items()}
    )
    verdict = {"model": digest_of(data), "accepted": accepted, "broken": [] if accepted else ["size"]}
    return stage.final_evaluation(
        manifest,
        ShardReader(folder),
        data,
        verdict,
        ledger,
        stage.AccessParams(chosen.final_evaluation, chosen.evaluate, threads=1, own=chosen.train.model),
        Engine(1),
    )


def test_each_model_adds_a_line_and_widens_the_interval(manifest: pd.DataFrame, tmp_path: Path) -> None:
    first = entry(manifest, tmp_path, [], model(1))
    second = entry(manifest, tmp_path, first.ledger, model(2))
    assert [line.model for line in second.ledger] == [digest_of(model(1)), digest_of(model(2))]
    assert second.ledger[:1] == first.ledger
    assert (first.metrics["looks"], second.metrics["looks"]) == (1, 2)
    assert (first.metrics["corrected"]["level"], second.metrics["corrected"]["level"]) == (0.95, 0.975)
    assert second.ledger[1].value == second.metrics["test"]["accuracy"] == second.metrics["optimizing"]
    # Time is measured beside dev; it is no matter of images.
    assert second.metrics["limits"] == {}
    assert second.ledger[1].when.endswith("Z")


def test_the_same_again_adds_nothing_and_shows_the_same(manifest: pd.DataFrame, tmp_path: Path) -> None:
    first = entry(manifest, tmp_path, [], model())
    again = entry(manifest.sample(frac=1, random_state=1), tmp_path, first.ledger, model())
    assert again.ledger == first.ledger
    assert again.metrics["test"] == pytest.approx(first.metrics["test"])


def test_other_images_add_a_line_and_are_the_same_models_look(manifest: pd.DataFrame, tmp_path: Path) -> None:
    first = entry(manifest, tmp_path, [], model())
    fewer = entry(manifest.iloc[:-2], tmp_path, first.ledger, model())
    assert len(fewer.ledger) == 2
    assert fewer.metrics["looks"] == 1


@pytest.mark.parametrize("accepted", [True, False])
def test_a_refused_look_sees_nothing(
    manifest: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepted: bool
) -> None:
    ledger = entry(manifest, tmp_path, [], model(1)).ledger if accepted else []
    monkeypatch.setattr(stage, "predict_rows", lambda *_: pytest.fail("test was looked at"))
    with pytest.raises(
        FinalEvaluationError, match="already evaluated with 1 models" if accepted else "the model is not accepted"
    ):
        entry(manifest, tmp_path, ledger, model(2), accepted, max_test_evaluations=1)


def test_what_was_told_is_noted(manifest: pd.DataFrame, tmp_path: Path) -> None:
    told = entry(manifest, tmp_path, [], model(), accepted=False, rejected_model="allow")
    assert [line.told for line in told.ledger] == ["rejected_model"]
