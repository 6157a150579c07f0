"""A model's time is measured once for a model and a machine, and taken over."""

from typing import Any

import numpy as np
import pytest

from pipeline.models import latency as timing
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel
from pipeline.models.latency import latency_of, machine
from pipeline.models.untrained_networks import Cnn
from tests.examples import params

CNN = params(**{"train.model.width": 4}).train.model
assert isinstance(CNN, Cnn)
INGEST = params(**{"ingest.size": 16}).ingest
MODEL = TrainedModel(build_model(CNN, 3, 16, np.zeros(3), np.ones(3), 1), ("a", "b", "c"), INGEST, CNN)


def test_time_is_measured_and_says_of_what() -> None:
    found = latency_of(MODEL, "abc", 1, None)
    assert found["latency_p95_ms"] > 0
    assert {**found, "latency_p95_ms": 0} == {
        "model": "abc", "machine": machine(), "threads": 1, "latency_p95_ms": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "taken"),
    [({}, True), ({"model": "x"}, False), ({"machine": "x"}, False), ({"threads": 2}, False), ({"rubbish": 1}, True)],
)
def test_the_same_model_on_the_same_machine_is_not_measured_again(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], taken: bool
) -> None:
    monkeypatch.setattr(timing, "p95_milliseconds", lambda *_: 7.0)
    kept = {"model": "abc", "machine": machine(), "threads": 1, "latency_p95_ms": 3.0, **change}
    assert latency_of(MODEL, "abc", 1, kept)["latency_p95_ms"] == (3.0 if taken else 7.0)


@pytest.mark.parametrize("kept", [{}, {"latency_p95_ms": 3.0}, {"model": "abc", "machine": machine(), "threads": 1}])
def test_what_is_kept_in_parts_counts_for_nothing(monkeypatch: pytest.MonkeyPatch, kept: dict[str, Any]) -> None:
    monkeypatch.setattr(timing, "p95_milliseconds", lambda *_: 7.0)
    assert latency_of(MODEL, "abc", 1, kept)["latency_p95_ms"] == 7.0
