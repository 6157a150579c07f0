"""Does `pipeline tune` keep its promises: no trial is lost by a kill, and no winner breaks a limit?

    python -m benchmarks.tuning kills [--count N]
    python -m benchmarks.tuning limits [--count N]

kills: a search whose trials are cheap stand-ins is killed so often, each time after another fraction of a second, and
begun again. Every trial that a process told as done must be there at the end, once, with its value and its predictions;
none may be running for ever; and what was cut off must have been run again with its values.

limits: in a project of a few pictures so often another search, of stand-ins whose best models all break a limit by a
little. The winner must hold all limits, or there must be none.
"""

import argparse
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from pipeline.project.params_file import params_values
from pipeline.tools.tune import tune as tuning
from pipeline.tools.tune.outcome import TODAY
from pipeline.tools.tune.study import RETRIED, Budget, Study
from pipeline.tools.tune.trial import Report, TrialResult
from pipeline.tuning.params import TuneParams
from pipeline.workers.engine import Engine
from tests.running import run_in, write_params

SPACE = {
    "train.learning_rate": {"name": "log", "low": 0.001, "high": 0.1},
    "train.model.width": {"name": "int", "low": 4, "high": 64, "step": 1},
}
TUNE = {"seed": 1, "method": {"name": "random"}, "space": SPACE, "epochs": None, "prune": False}
# Seconds until a kill, from when a study is open, at most; of a stand-in's trial.
LONGEST, TRIAL = 0.3, 0.02
IMAGES, CLASSES = 50, 3


def main() -> None:
    """Run one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kills", "limits"))
    parser.add_argument("--count", type=int, default=100)
    asked = parser.parse_args()
    (kills if asked.what == "kills" else limits)(asked.count)


def kills(count: int) -> None:
    """Kill a search so often, and count what is wrong at its end."""
    generator = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        # What a process imports at its first trial is there for all that are forked.
        search(Path(name) / "first", 1)
        folder = Path(name) / "killed"
        for _ in range(count):
            ready, begun = os.pipe()
            child = os.fork()
            if child == 0:
                search(folder, None, begun)
            os.close(begun)
            os.read(ready, 1)  # its study is open
            os.close(ready)
            time.sleep(float(generator.uniform(0, LONGEST)))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        told = (folder / "told").read_text().splitlines() if (folder / "told").exists() else []
        study = search(folder, len(told) + 20)
        trials = {trial.number: trial for trial in study.trials()}
        every = study._study.get_trials(deepcopy=False)
        running = [one.number for one in every if one.state in (TrialState.RUNNING, TrialState.WAITING)]
        cut_off = [one for one in every if one.state == TrialState.FAIL]
        again = Counter(one.user_attrs.get(RETRIED) for one in every)
        # A last line may be cut off in the middle.
        lost = [line for line in told if line.endswith(".") and not is_there(line, trials, study)]
        other = [one.number for one in cut_off if not with_its_values(one, every)]
        print(f"{count} kills: {len(told)} trials were told as done before them, {len(trials)} are there in all")
        print(f"lost {len(lost)}, running for ever {len(running)}, cut off {len(cut_off)}")
        print(f"cut off and not run again just once {sum(again[one.number] != 1 for one in cut_off)}")
        print(f"cut off and run again with other values {len(other)}")


def is_there(line: str, trials: Mapping[int, FrozenTrial], study: Study) -> bool:
    """Whether a trial that was told as done is there, with its value and predictions."""
    number, value = line.rstrip(".").split(" ", 1)
    trial = trials.get(int(number))
    kept = trial is not None and trial.state == TrialState.COMPLETE and repr(trial.value) == value
    return bool(kept) and study.predictions(trial).shape == (IMAGES, CLASSES)  # type: ignore[arg-type]


def with_its_values(trial: FrozenTrial, every: list[FrozenTrial]) -> bool:
    """Whether what was cut off was run again with the values that it had drawn by then."""
    again = [one for one in every if one.user_attrs.get(RETRIED) == trial.number]
    return all(trial.params.items() <= one.params.items() for one in again)


def search(folder: Path, trials: int | None, begun: int | None = None) -> Study:
    """A search of stand-ins in this process, until it is killed or has so many trials; tells that it has begun."""
    study = Study(folder, TuneParams.model_validate(TUNE), maximise=True)
    if begun is not None:
        os.write(begun, b".")
    study.begin([])

    def fit(values: Mapping[str, Any], report: Report) -> TrialResult:
        time.sleep(TRIAL)
        return stand_in(values, {}, IMAGES)

    def done(trial: FrozenTrial) -> None:
        with (folder / "told").open("a") as file:
            file.write(f"{trial.number} {trial.value!r}.\n")

    study.run(Budget(trials, None), fit, done, planned=False)
    return study


def stand_in(values: Mapping[str, Any], broken: dict[str, float], images: int) -> TrialResult:
    """What a trial with these values brings: wider is better."""
    chance = np.full((images, CLASSES), 1 / CLASSES, np.float32)
    return TrialResult(values["train.model.width"] / 100, broken, 1, TRIAL, chance)


def limits(count: int) -> None:
    """Search so often where the best models break a limit by a little."""
    wrong, none, today, winners = 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = run_in(Path(name), "ingest", "curate", "split", "balance", "augment", **{"augment.copies.count": 0})
        with chdir(folder):
            for case in range(count):
                winner, held = case_of(folder, case)
                none += winner == ""
                today += winner == TODAY
                winners += winner not in ("", TODAY)
                wrong += winner != "" and not held
                if (case + 1) % 10 == 0 or case + 1 == count:
                    print(f"{case + 1} cases: {wrong} winners break a limit; a trial won {winners}, ", end="")
                    print(f"today's params {today}, none {none}", flush=True)


def case_of(folder: Path, case: int) -> tuple[str, bool]:
    """One search: the winner, and whether it holds the limit by the width that it has."""
    generator = np.random.default_rng(case)
    most = int(generator.integers(2, 60))
    method = {"name": ["tpe", "random"][case % 2]}
    write_params(
        folder,
        **{
            "augment.copies.count": 0,
            "tune": {**TUNE, "seed": case, "method": method},
            "train.model.width": int(generator.integers(2, 64)),
            "evaluate.satisficing": {"size": {"metric": "model_megabytes", "min": None, "max": float(most)}},
        },
    )

    def run_trial(params: Any, shared: Any, report: Report) -> TrialResult:
        width = params.train.model.width
        labels = shared.of(params).dev.labels
        # The wider, the more images are right.
        right = np.random.default_rng(width).random(len(labels)) < width / 64
        chosen = np.where(right, labels, (labels + 1) % CLASSES)
        said = np.full((len(labels), CLASSES), 0.1, np.float32)
        said[np.arange(len(labels)), chosen] = 0.8
        value = float(right.mean())
        return TrialResult(value, {"size": float(width - most) if width > most else 0.0}, 1, TRIAL, said)

    with patch.object(tuning, "run_trial", run_trial):
        found = tuning.tune(8, None, Engine(1), lambda _: None)
    width = found.changes.get("train.model.width", params_values()["train"]["model"]["width"])
    return found.winner, width <= most


if __name__ == "__main__":
    main()
