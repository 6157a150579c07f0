"""`pipeline tune`: the search from params.yaml to its winner, compared with today's params."""

import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from optuna.trial import FrozenTrial, TrialState

from pipeline import catalogue
from pipeline.data.predictions import prediction_table
from pipeline.diagnosis.param_changes import changed, command_of
from pipeline.errors import DataError, ParamsError, listing
from pipeline.manifest import DEV
from pipeline.metrics.comparison import Result, compare
from pipeline.metrics.intervals import metric_interval
from pipeline.metrics.metric import check_defined, metric_of
from pipeline.metrics.predictions import checked_predictions
from pipeline.models.thresholds import halves_for
from pipeline.project.params_file import PARAMS_FILE, Params, check_params, params_values
from pipeline.store.shard_plan import digest
from pipeline.store.writing import alone
from pipeline.tools.training_data import fit_params
from pipeline.tools.tune.architecture import Plan, planned_architectures
from pipeline.tools.tune.beside_random import beside_random
from pipeline.tools.tune.outcome import TODAY, Outcome, how_it_ended, trials_table
from pipeline.tools.tune.space import check_space, settings, value_at
from pipeline.tools.tune.study import REASON, Budget, Study, values_of_trial
from pipeline.tools.tune.tables import write_search
from pipeline.tools.tune.trial import Report, Shared, TrialResult, run_trial
from pipeline.training.checkpoint import Checkpoint, KeyedCheckpoint
from pipeline.training.fit_data import TrainingData
from pipeline.training.semi_supervised import key_of
from pipeline.tuning.methods import METHODS
from pipeline.tuning.selection import after_selection
from pipeline.workers.engine import Engine
from pipeline.workers.progress import say

# Models that are compared with each other.
MAX_COMPARED = 200


def tune(trials: int | None, minutes: float | None, engine: Engine, show: Callable[[str], None]) -> Outcome:
    """Search by the section `tune` of params.yaml, and judge what was found.

    Args:
        trials: how many in all, with those of an earlier call that was stopped; None: no limit.
        minutes: when to begin no more; None: no limit.
        show: takes a line for each trial.

    Raises:
        ParamsError: nothing may vary, a range does not fit params, or there is neither limit.
        DataError: no trial ended with a model.
    """
    search = Search(params_values())
    if trials is None and minutes is None and not search.ends:
        raise ParamsError("a search needs an end: give --trials, --minutes, or both")
    with alone(search.folder, "pipeline tune"):
        study = search.study()
        search.run_today(show)
        search.prepare(show)
        study.begin(search.planned)
        until = None if minutes is None else time.monotonic() + 60 * minutes
        budget = Budget(trials, until)
        if engine.workers == 1:
            search.run(study, budget, show)
        else:
            work = partial(_join, search.values, budget)
            engine.map(work, list(range(engine.workers)), "tune")
        found = search.outcome(study)
        write_search(found, search.metric.maximise)
    return found


def apply(found: Outcome) -> int:
    """Run the winner as one experiment of DVC; returns DVC's exit code."""
    return subprocess.run(shlex.split(found.command), check=False).returncode  # noqa: S603 - written here


class Search:
    """A search by the values of params.yaml.

    Raises:
        ParamsError: the space does not fit the params.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.params = check_params(values, str(PARAMS_FILE))
        self.tune = self.params.tune
        check_space(values, self.params)
        self._method = METHODS.of(self.tune.method)
        self.planned: Sequence[Mapping[str, Any]] = self._method.planned(self.tune.method, self.tune.space)
        self._shared: Shared | None = None
        self.architectures: Plan | None = None
        self.metric = metric_of(self.params.evaluate.optimizing, self.data.classes)
        check_defined(self.metric, self.data.dev.labels, self.data.classes, DEV)
        key = key_of(self.data, fit_params(self.params))
        limits = {name: limit.model_dump() for name, limit in self.params.evaluate.satisficing.items()}
        self.folder = Path(catalogue.TUNE) / digest(key, self.tune.model_dump_json(), str(sorted(limits.items())))[:16]

    @property
    def shared(self) -> Shared:
        """The data of all trials, read at first use."""
        if self._shared is None:
            self._shared = Shared(self.params)
        return self._shared

    @property
    def data(self) -> TrainingData:
        """Train and dev of today's params."""
        return self.shared.of(self.params)

    @property
    def _today(self) -> KeyedCheckpoint:
        return Checkpoint(self.folder / "today.pt").under(TODAY)

    @property
    def ends(self) -> bool:
        """Whether the method settles the number of trials."""
        return bool(self.planned) or self._method.shares_weights

    def prepare(self, show: Callable[[str], None]) -> None:
        """Learn the weights that architectures share, if the method does so, unless an earlier call did."""
        if self._method.shares_weights:
            self.architectures = planned_architectures(self.trial_params({}), self.values, self.data, self.folder, show)
            self.planned = self.architectures.drawn

    def study(self) -> Study:
        """The study in this search's folder."""
        return Study(self.folder, self.tune, self.metric.maximise)

    def trial_params(self, values: Mapping[str, Any]) -> Params:
        """The params of a trial."""
        epochs = {} if self.tune.epochs is None else {"train.epochs": self.tune.epochs}
        return check_params(changed(self.values, {**epochs, **values}), "a trial's params")

    def run_today(self, show: Callable[[str], None]) -> None:
        """Fit today's params, unless an earlier call did."""
        if self._today.load() is not None:
            return
        result = run_trial(self.trial_params({}), self.shared, lambda epoch, value: None)
        self._today.save(
            {
                "probabilities": torch.from_numpy(result.probabilities.copy()),
                "broken": [name for name, excess in result.broken.items() if excess > 0],
            }
        )
        show(f"today's params: {self.metric.key} {result.value:.4f} ({result.seconds:.1f} s)")

    def run(self, study: Study, budget: Budget, show: Callable[[str], None]) -> None:
        """Run trials in this process until the budget is spent; `show` takes a line for each."""

        def fit(values: Mapping[str, Any], report: Report) -> TrialResult:
            return run_trial(self.trial_params(values), self.shared, report)

        study.run(budget, fit, lambda trial: show(self._line(trial, study, budget)), bool(self.planned))

    def _line(self, trial: FrozenTrial, study: Study, budget: Budget) -> str:
        """How a trial ended, the best so far, and how long the search may still take."""
        trials = study.trials()
        words = f"trial {trial.number}: {how_it_ended(trial, self.metric.key)}"
        holding = [one for one in trials if one.state == TrialState.COMPLETE and not one.user_attrs["broken"]]
        if holding:
            sign = -1 if self.metric.maximise else 1
            best = min(holding, key=lambda one: (sign * (one.value or 0.0), one.number))
            rows = _shown(self._result(str(best.number), study.predictions(best), []))
            seen = checked_predictions(rows, self.data.classes)
            ends = metric_interval(self.metric, seen, rows["group"])
            interval = f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
            words += f"; best so far {best.value:.4f}{interval}, trial {best.number}"
        left = _left(trials, budget)
        return f"{words}; {left}" if left else words

    def outcome(self, study: Study) -> Outcome:
        """What the trials so far say."""
        trials = study.trials()
        done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if not done:
            reasons = listing({trial.user_attrs[REASON] for trial in trials if REASON in trial.user_attrs}, 3)
            raise DataError(f"none of {len(trials)} trials ended with a model{f': {reasons}' if reasons else ''}")
        # The best and no more: each is compared with each.
        done.sort(key=lambda trial: (trial.value or 0.0) * (-1 if self.metric.maximise else 1))
        kept = sorted(done[:MAX_COMPARED], key=lambda trial: trial.number)
        today = self._today.load()
        results = [self._result(TODAY, today["probabilities"].numpy(), today["broken"])]
        results += [self._result(str(one.number), study.predictions(one), one.user_attrs["broken"]) for one in kept]
        rows = compare(results, self.params.evaluate)
        best = next((row.name for row in rows if row.standing == "best" and row.accepted), "")
        changes = self._changes(next((one for one in kept if str(one.number) == best), None))
        standing = next(row.standing for row in rows if row.name == TODAY)
        rejected = not next(row.accepted for row in rows if row.name == TODAY)
        judged = [checked_predictions(_shown(result), self.data.classes) for result in results if _accepted(result)]
        evaluate, groups = self.params.evaluate, self.data.dev_rows["group"]
        beside = None
        if self.architectures is not None:
            said = {result.name: seen for result, seen in zip(filter(_accepted, results), judged, strict=True)}
            beside = beside_random(self.architectures, trials, said, self.metric, groups, evaluate)
        return Outcome(
            metric=self.metric.key,
            rows=rows,
            trials=trials_table(trials, self.tune),
            importances=study.importances(),
            winner=best,
            changes=changes,
            better=bool(best) and best != TODAY and (standing == "worse" or rejected),
            selection=after_selection(self.metric, judged, groups, evaluate.bootstrap, evaluate.seed)
            if judged
            else None,
            command=command_of(self.values, settings(self.values, changes)) if changes else "",
            beside=beside,
        )

    def _result(self, name: str, probabilities: Any, broken: Sequence[str]) -> Result:
        halves = halves_for(self.data.classes, self.params.evaluate.optimizing)
        frame = prediction_table(self.data.dev_rows, self.data.classes, probabilities, self.data.framing, halves)
        report = {"accepted": not broken, "limits": {limit: {"held": False} for limit in broken}}
        return Result(name, "experiment", name, report, frame.reset_index(drop=True))

    def _changes(self, trial: FrozenTrial | None) -> dict[str, Any]:
        if trial is None:
            return {}
        values = values_of_trial(trial, self.tune)
        return {place: value for place, value in values.items() if value_at(self.values, place) != value}


def _join(values: Mapping[str, Any], budget: Budget, number: int) -> None:
    """Run trials in a process of their own, with its own view of the study."""
    search = Search(values)
    search.prepare(lambda _: None)  # an earlier call did
    search.run(search.study(), budget, say)


def _left(trials: Sequence[FrozenTrial], budget: Budget) -> str:
    """How many trials are left, and about how long they take."""
    if budget.trials is None:
        return "" if budget.until is None else f"{max(0.0, budget.until - time.monotonic()) / 60:.1f} minutes left"
    left = max(0, budget.trials - len(trials))
    took = [trial.duration.total_seconds() for trial in trials if trial.duration is not None]
    return f"{left} left, about {left * sum(took) / len(took) / 60:.1f} minutes" if took else f"{left} left"


def _shown(result: Result) -> pd.DataFrame:
    assert result.predictions is not None  # noqa: S101
    return result.predictions


def _accepted(result: Result) -> bool:
    return bool(result.report["accepted"])
