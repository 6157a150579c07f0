"""Predictions, levels and gaps of known errors."""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from pipeline.diagnosis.error_levels import HUMAN, Level, given, levels_of, metric_of_errors
from pipeline.diagnosis.findings import Finding
from pipeline.diagnosis.gaps import PAIRS, Gap, Needs, Verdict, find_gaps
from pipeline.diagnosis.next_steps import Step, next_steps
from pipeline.diagnosis.run import Run
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.evaluate.params import EvaluateParams
from tests.examples import params

CLASSES = ("apple", "fig")


def evaluate(optimizing: Any = "accuracy") -> EvaluateParams:
    """Params of evaluate with few resamples."""
    return params(**{"evaluate.optimizing": optimizing, "evaluate.bootstrap": 300}).evaluate


def diagnosing(human: float = 0.01, relevant: float = 0.05) -> DiagnoseParams:
    """Params of diagnose."""
    return params(**{"diagnose.human_error": human, "diagnose.relevant_gap": relevant}).diagnose


def predictions(**wrong: tuple[int, int]) -> pd.DataFrame:
    """So many images of each split, half of them apples, of which so many are misclassified."""
    rows = [
        (split, CLASSES[number % 2], CLASSES[(number + (number < count)) % 2], f"{split}/{number:05}")
        for split, (images, count) in wrong.items()
        for number in range(images)
    ]
    frame = pd.DataFrame(rows, columns=["split", "label", "predicted", "group"])
    return frame.assign(id=frame["group"])


def levels(human: float = 0.01, **wrong: tuple[int, int]) -> dict[str, Level]:
    """The levels of such predictions."""
    return {HUMAN: given(HUMAN, human), **levels_of(predictions(**wrong), evaluate())}


def gaps_of(human: float = 0.01, relevant: float = 0.05, **wrong: tuple[int, int]) -> list[Gap]:
    """The gaps of such predictions."""
    metric = metric_of_errors(evaluate(), CLASSES)
    return find_gaps(levels(human, **wrong), metric, diagnosing(human, relevant), evaluate())


def level(name: str, value: float, low: float, high: float, images: int = 10_000) -> Level:
    """A level with a given spread of its resamples."""
    resampled = np.linspace(low, high, 300)
    return Level(name, value, low, high, images, resampled, None, pd.Series([name]).repeat(images))


def gap(name: str, verdict: Verdict, value: float = 0.123, needs: int | None = None) -> Gap:
    """A gap with an interval of ten points."""
    upper, lowers = PAIRS[name]
    asked = None if needs is None else Needs(needs, (upper,))
    return Gap(name, upper, lowers[0], value, value - 0.05, value + 0.05, verdict, asked)


def run_of(**changes: Any) -> Run:
    """What a run did, with these params."""
    now = params(**{"evaluate.bootstrap": 300, **changes})
    return Run(now.curate, now.split, now.balance, now.augment, now.train, now.evaluate)


LEVELS = levels(train=(400, 4), train_dev=(100, 4), dev=(200, 20))


def found_for(*names: str, **changes: Any) -> list[Step]:
    """Steps for gaps that are present, or findings."""
    gaps = [gap(name, "present") for name in names if name in PAIRS]
    found = [Finding(name, "", {"needs": 300}) for name in names if name not in PAIRS]
    return next_steps(gaps, found, LEVELS, run_of(**changes))


def steps(*names: str, **changes: Any) -> list[str]:
    """Commands, or words where there is none."""
    return [step.command or step.words for step in found_for(*names, **changes)]


def settings_of(step: str) -> Sequence[tuple[str, Any]]:
    """What a `dvc exp run` changes; nothing for advice in words, and for commands that add or drop params."""
    words = shlex.split(step)
    if words[0] != "dvc" or any(setting[0] in "+~" for setting in words[4::2]):
        return []
    pairs = [setting.split("=", 1) for setting in words[4::2]]
    return [(place, YAML(typ="safe", pure=True).load(value)) for place, value in pairs]
