"""Runs that stand in for fitted models: predictions of a made-up dev, and diagnoses with the steps of a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import DataError
from pipeline.metrics.comparison import Result
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.tools.improve.bench import Search, State
from pipeline.tools.improve.moves import Move, as_key
from tests.examples import params, params_values

IMAGES = 400


def evaluate_params() -> EvaluateParams:
    return params(**{"evaluate.satisficing": {}, "evaluate.bootstrap": 400}).evaluate


def predictions(right: float, seed: int = 0, first: int = 0, flips: float = 0.0) -> pd.DataFrame:
    """Dev's images, of which a share is predicted rightly: the same ones for the same share, but for some flips."""
    order = np.random.default_rng(7).permutation(IMAGES)
    hit = order < right * IMAGES
    hit ^= np.random.default_rng(seed).random(IMAGES) < flips
    ids = [f"web/{number:04}.png" for number in range(first, first + IMAGES)]
    label = np.where(np.arange(IMAGES) % 2, "cat", "dog")
    other = np.where(label == "cat", "dog", "cat")
    found = {"id": ids, "group": ids, "split": "dev", "label": label, "predicted": np.where(hit, label, other)}
    return pd.DataFrame(found)


def step(command: str | None, finding: str = "avoidable_bias", words: str = "") -> dict[str, Any]:
    return {"finding": finding, "command": command, "words": words or f"do {command}", "source": "", "cost": ""}


def diagnosis(*steps: Mapping[str, Any], error: float = 0.3, named: Sequence[str] = ()) -> dict[str, Any]:
    """A diagnosis report as far as the loop reads it."""
    return {
        "named": list(named) or list(dict.fromkeys(one["finding"] for one in steps)),
        "steps": list(steps),
        "levels": [
            {"name": "human", "error": 0.0, "low": 0.0, "high": 0.0, "images": None},
            {"name": "dev", "error": error, "low": error / 2, "high": 1.5 * error, "images": IMAGES},
        ],
        "gaps": [{"name": "avoidable_bias", "value": error, "low": error / 2, "high": 2 * error, "verdict": "present"}],
        "findings": [],
    }


def state(right: float, *steps: Mapping[str, Any], values_of: Mapping[str, Any] | None = None, **more: Any) -> State:
    """A run with this share of dev right.

    more: accepted, broken (limits), first (number of its first image), named, error; seed and flips of predictions.
    """
    broken = more.pop("broken", ())
    report = {"accepted": not broken, "limits": {name: {"held": False} for name in broken}}
    named, error = more.pop("named", ()), more.pop("error", 1 - right)
    result = Result("run", "experiment", None, report, predictions(right, **more))
    return State(
        result, diagnosis(*steps, error=error, named=named), params_values() if values_of is None else values_of
    )


@dataclass
class Scripted:
    """A bench whose runs are known beforehand: by train.epochs and train.learning_rate, what comes of it."""

    outcomes: Mapping[tuple[Any, Any], State | str]
    found: Search | None = None
    combined: Sequence[Move] = ()
    ran: list[tuple[Any, Any]] = field(default_factory=list)
    searched: list[str] = field(default_factory=list)

    def run(self, name: str, target: Mapping[str, Any]) -> State:
        key = (target["train"]["epochs"], target["train"]["learning_rate"])
        self.ran.append(key)
        outcome = self.outcomes[key]
        if isinstance(outcome, str):
            raise DataError(outcome)
        return State(outcome.result, outcome.diagnosis, target)

    def minutes(self, before: Mapping[str, Any], after: Mapping[str, Any], diagnosed: State) -> float | None:
        return 2.0

    def search(self, around: State, name: str, minutes: float | None) -> Search | None:
        self.searched.append(as_key(around.values))
        return self.found

    def ensembles(self, around: State) -> Sequence[Move]:
        return self.combined

    def command(self, target: Mapping[str, Any], name: str) -> str:
        return f"dvc exp run --name {name}"
