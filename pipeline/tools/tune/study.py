"""The study of a search: its trials on disk, so that any number of processes join it and none is lost by a kill.

Optuna's journal keeps each trial's values as they come. It does not know which process runs a trial: each trial names
its own, and whoever opens the study fails those of processes that are gone and puts their values in line again.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.errors import DataError, PipelineError, StorageError
from pipeline.randomness import keyed_seed
from pipeline.store.checked import crc_of
from pipeline.store.reading import check_regular, read_bytes
from pipeline.store.refusals import refusal_words
from pipeline.store.writing import replacing, write_bytes
from pipeline.tools.tune.trial import Report, TrialResult
from pipeline.tuning.methods import METHODS
from pipeline.tuning.params import TuneParams
from pipeline.tuning.ranges import RANGES, value_of
from pipeline.workers.process_ids import is_alive, process_id

NAME, JOURNAL = "tune", "journal.log"
PROCESS, REASON, SECONDS, EPOCHS, RETRIED = "process", "reason", "seconds", "epochs", "retried"
CHECKSUM = "checksum"
# Trials before the first one that may be ended early.
PRUNE_AFTER = 5
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Budget:
    """When to stop: at so many trials that ended in this study, or at a time (of time.monotonic); None: no limit."""

    trials: int | None
    until: float | None


class Study:
    """The trials of one search, in a folder.

    Args:
        folder: with the journal and the predictions of each trial.
        maximise: whether a higher value of the optimizing metric is better.
    """

    def __init__(self, folder: Path, tune: TuneParams, maximise: bool) -> None:
        optuna.logging.set_verbosity(logging.ERROR)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._tune = folder, tune
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if tune.prune:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=PRUNE_AFTER, n_warmup_steps=1)
        check_regular(folder / JOURNAL)
        try:
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
                study_name=NAME,
                direction="maximize" if maximise else "minimize",
                pruner=pruner,
                load_if_exists=True,
            )
        except OSError as error:
            raise StorageError(f"{folder / JOURNAL}: {refusal_words(error)}, then run the command again") from error
        except Exception as error:
            # What damage makes of its lines may raise anything.
            raise DataError(
                f"{folder / JOURNAL} is damaged ({type(error).__name__}): remove {folder} and run `pipeline tune` again"
            ) from error
        self.distributions: dict[str, BaseDistribution] = {
            place: RANGES.of(one).distribution(one) for place, one in tune.space.items()
        }

    def begin(self, planned: Sequence[Mapping[str, Any]]) -> None:
        """Put in line what killed processes left, and what trials draw where that is settled beforehand."""
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING and not is_alive(trial.user_attrs.get(PROCESS)):
                self._study.tell(trial.number, state=TrialState.FAIL)
                self._study.enqueue_trial(dict(trial.params), user_attrs={RETRIED: trial.number})
        for values in planned:
            self._study.enqueue_trial(dict(values), skip_if_exists=True)

    def trials(self) -> list[FrozenTrial]:
        """All trials that ended, in order; those that a killed process left and that were run again are left out."""
        trials = self._study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get(RETRIED) for trial in trials}
        return [trial for trial in trials if trial.state in ENDED and trial.number not in retried]

    def run(
        self,
        budget: Budget,
        fit: Callable[[Mapping[str, Any], Report], TrialResult],
        done: Callable[[FrozenTrial], None],
        planned: bool,
    ) -> None:
        """Run trials until the budget is spent.

        Args:
            fit: runs a trial, by the values of the places that vary.
            done: called with each trial that ended, however it ended.
            planned: whether to end with the trials that are in line.
        """
        while (trial := self._next(budget, planned)) is not None:
            try:
                values = {place: value_of(one, self._drawn(trial, place)) for place, one in self._tune.space.items()}
                result = fit(values, self._reporter(trial))
            except optuna.TrialPruned:
                self._study.tell(trial, state=TrialState.PRUNED)
            except PipelineError as error:
                # Values that training cannot bear: another rate, a smaller batch. The search goes on.
                trial.set_user_attr(REASON, str(error))
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._keep(trial, result)
            done(next(one for one in self._study.get_trials(deepcopy=False) if one.number == trial.number))

    def predictions(self, trial: FrozenTrial) -> npt.NDArray[np.float32]:
        """What a trial's model says of dev, shape (n, k).

        Raises:
            DataError: the file is damaged.
        """
        data = read_bytes(self._file(trial.number))
        shape = trial.user_attrs["shape"]
        # Trials of older versions have no checksum.
        known = trial.user_attrs.get(CHECKSUM)
        right = known is None or known == _checksum(data, trial.params, trial.value, trial.user_attrs["broken"])
        if len(data) != 4 * int(np.prod(shape)) or not right:
            raise DataError(
                f"{self._file(trial.number)} is damaged: remove {self._folder} and run `pipeline tune` again"
            )
        return np.frombuffer(data, np.float32).reshape(shape)

    def importances(self) -> dict[str, float]:
        """How much of the differences between trials each place explains, in [0, 1]; none of fewer than two trials."""
        done = [trial for trial in self.trials() if trial.state == TrialState.COMPLETE]
        if len(done) < 2 or len({trial.value for trial in done}) < 2:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self._tune.seed)
        return optuna.importance.get_param_importances(self._study, evaluator=evaluator)

    def _next(self, budget: Budget, planned: bool) -> Trial | None:
        trials = self._study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get(RETRIED) for trial in trials}
        begun = [trial for trial in trials if trial.state != TrialState.WAITING and trial.number not in retried]
        waiting = any(trial.state == TrialState.WAITING for trial in trials)
        if planned and not waiting:
            return None
        if budget.trials is not None and len(begun) >= budget.trials:
            return None
        if budget.until is not None and time.monotonic() >= budget.until:
            return None
        # A sampler a trial, so that a search that was stopped goes on with the draws that it would have had.
        self._study.sampler = METHODS.of(self._tune.method).sampler(keyed_seed(self._tune.seed, "tune", len(trials)))
        trial = self._study.ask()
        trial.set_user_attr(PROCESS, process_id())
        return trial

    def _drawn(self, trial: Trial, place: str) -> Any:
        match self.distributions[place]:
            case FloatDistribution(low=low, high=high, log=log):
                return trial.suggest_float(place, low, high, log=log)
            case IntDistribution(low=low, high=high, step=step):
                return trial.suggest_int(place, low, high, step=step)
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(place, choices)
        raise AssertionError(place)

    def _reporter(self, trial: Trial) -> Report:
        def report(epoch: int, value: float) -> None:
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        return report

    def _keep(self, trial: Trial, result: TrialResult) -> None:
        """The predictions first: a trial that is told as done has them."""
        data = result.probabilities.tobytes()
        with replacing(self._file(trial.number)) as half:
            write_bytes(data, half)
        broken = sorted(name for name, excess in result.broken.items() if excess > 0)
        trial.set_user_attr(CHECKSUM, _checksum(data, trial.params, result.value, broken))
        trial.set_user_attr("shape", list(result.probabilities.shape))
        trial.set_user_attr(SECONDS, round(result.seconds, 2))
        trial.set_user_attr(EPOCHS, result.epochs)
        trial.set_user_attr("broken", broken)
        for name, excess in result.broken.items():
            trial.set_constraint(name, excess)
        self._study.tell(trial, result.value)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.predictions"


def _checksum(predictions: bytes, values: Mapping[str, Any], value: float | None, broken: Sequence[str]) -> str:
    """Of what a trial left, in its own file and in the journal, which has no checksums."""
    return crc_of(json.dumps([values, value, list(broken)], sort_keys=True).encode() + predictions)


def values_of_trial(trial: FrozenTrial, tune: TuneParams) -> Mapping[str, Any]:
    """The value of each place that a trial had."""
    return {place: value_of(tune.space[place], drawn) for place, drawn in trial.params.items() if place in tune.space}
