"""What is due when no advice is left: ensembles and a search, and never over a problem of the data."""

import time
from typing import Any

import pandas as pd
import pytest

from pipeline.diagnosis.next_steps import FIRST
from pipeline.diagnosis.param_changes import command_of
from pipeline.project.params_file import check_params
from pipeline.tools.improve.bench import Budget, Search
from pipeline.tools.improve.experiments import search_of
from pipeline.tools.improve.last_resorts import REMAINING, ensembles_of, is_due
from pipeline.tools.improve.loop import begin, ensembles_due, improve
from pipeline.tools.improve.moves import Move, settings_of
from pipeline.tools.tune.outcome import Outcome
from tests.examples import params_values
from tests.tools.improve.runs import Scripted, diagnosis, evaluate_params, state

EPOCHS, RATE = (params_values()["train"][name] for name in ("epochs", "learning_rate"))
# Stand-ins, which a scripted run knows by its epochs.
AVERAGE = Move(REMAINING, "average", {"train.epochs": 3 * EPOCHS})
SEEDS = Move(REMAINING, "seeds", {"train.epochs": 5 * EPOCHS}, fits_several=True)
FOUND = Search({"train.learning_rate": 3 * RATE}, "searched")
NO_HELP = {(3 * EPOCHS, RATE): state(0.6), (EPOCHS, 3 * RATE): state(0.6), (5 * EPOCHS, RATE): state(0.6)}


def tried(bench: Scripted, *named: str, error: float = 0.4, budget: Budget | None = None) -> tuple[list[str], str]:
    """What is tried from a run without advice, and why it ends."""
    progress = begin(state(0.6, named=named, error=error), evaluate_params())
    ending = improve(progress, bench, budget or Budget(10, None), "abc", lambda _: None)
    return [entry.why for entry in progress.entries], ending.words


def test_a_training_comes_before_a_search_and_a_search_before_several_trainings() -> None:
    bench = Scripted(NO_HELP, found=FOUND, combined=(AVERAGE, SEEDS))
    assert tried(bench) == (["average", "searched", "seeds"], "nothing is left to try")
    assert len(bench.searched) == 1


def test_ensembles_of_what_a_search_found_are_tried_as_well() -> None:
    better = {(EPOCHS, 3 * RATE): state(0.8), (3 * EPOCHS, 3 * RATE): state(0.9), (5 * EPOCHS, 3 * RATE): state(0.9)}
    bench = Scripted(NO_HELP | better, found=FOUND, combined=(AVERAGE, SEEDS))
    assert tried(bench)[0] == ["average", "searched", "average", "seeds"]


@pytest.mark.parametrize("named", FIRST)
def test_a_problem_of_the_data_is_not_hidden_by_an_ensemble_or_a_search(named: str) -> None:
    bench = Scripted({}, found=FOUND, combined=(AVERAGE, SEEDS))
    assert tried(bench, named)[0] == []
    assert bench.searched == []


def test_where_dev_hardly_errs_nothing_is_due() -> None:
    bench = Scripted({}, found=FOUND, combined=(AVERAGE, SEEDS))
    assert tried(bench, error=0.0) == ([], "nothing is left to try")
    assert is_due(diagnosis())
    assert not is_due({**diagnosis(), "levels": []})


def test_what_takes_longer_than_the_minutes_left_is_not_begun() -> None:
    bench = Scripted({}, combined=(AVERAGE, SEEDS))
    words = "all that is left to try takes longer than the minutes left"
    assert tried(bench, budget=Budget(None, time.monotonic() + 60)) == ([], words)


def test_a_plan_has_the_ensembles_that_are_due() -> None:
    progress = begin(state(0.6), evaluate_params())
    due = ensembles_due(progress, Scripted({}, combined=(AVERAGE, SEEDS)))
    assert [(one.move.words, one.promise.minutes) for one in due] == [("average", 2.0), ("seeds", 2.0)]


@pytest.mark.parametrize(
    ("now", "names"),
    [
        ({}, ["average_weights", "voting"]),
        ({"train.model": {"name": "majority_class"}}, []),
        ({"train.ensemble": {"name": "voting", "members": [{}], "seeds": 2}}, []),
        ({"train.epochs": 0}, []),
    ],
)
def test_ensembles_are_those_that_params_allow(now: dict[str, Any], names: list[str]) -> None:
    values = params_values(**now)
    found = ensembles_of(values)
    assert [move.changes["train.ensemble.name"] for move in found] == names
    for move in found:
        check_params(move.target(values), "an ensemble")
        assert settings_of(command_of(values, move.changes)) == move.changes
    assert [move.fits_several for move in found] == [False, True][: len(found)]


@pytest.mark.parametrize(("better", "changes"), [(False, {"train.learning_rate": 0.1}), (True, {})])
def test_a_search_without_a_winner_beyond_noise_says_so(better: bool, changes: dict[str, float]) -> None:
    said: list[str] = []
    outcome = Outcome("accuracy", [], pd.DataFrame(), {}, "4", changes, better, None, "")
    assert search_of(outcome, said.append) == Search({}, "")
    assert said == ["the search found no params that are better beyond noise"]


def test_a_search_with_a_winner_becomes_a_move() -> None:
    said: list[str] = []
    outcome = Outcome("accuracy", [], pd.DataFrame(), {}, "4", {"train.learning_rate": 0.1}, True, None, "")
    assert search_of(outcome, said.append) == Search({"train.learning_rate": 0.1}, "what a search found", 0.0)
    assert said == []
