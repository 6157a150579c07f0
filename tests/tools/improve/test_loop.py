"""The loop: what is tried, what is kept, and why it ends."""

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.tools.improve.bench import Budget, Search, State
from pipeline.tools.improve.log import Entry
from pipeline.tools.improve.loop import Ending, Progress, begin, improve, plan, take
from pipeline.tools.improve.outcome import outcome_lines, outcome_of
from tests.examples import params_values
from tests.tools.improve.runs import Scripted, evaluate_params, state, step

EPOCHS, RATE = (params_values()["train"][name] for name in ("epochs", "learning_rate"))
LONGER = step(f"dvc exp run -S train.epochs={2 * EPOCHS}", "too_few_epochs", "train longer")
FASTER = step(f"dvc exp run -S train.learning_rate={3 * RATE}", "avoidable_bias", "learn faster")
BOTH = (2 * EPOCHS, 3 * RATE)
TEN = Budget(10, None)


def improved(today: State, bench: Scripted, budget: Budget = TEN) -> tuple[Progress, Ending, list[Entry]]:
    kept: list[Entry] = []
    progress = begin(today, evaluate_params())
    ending = improve(progress, bench, budget, "abc", kept.append)
    return progress, ending, kept


def whys(entries: Sequence[Entry]) -> list[tuple[str, bool, str]]:
    return [(entry.why, entry.kept, entry.note) for entry in entries]


def test_what_helps_is_kept_and_the_next_move_begins_there() -> None:
    bench = Scripted({(2 * EPOCHS, RATE): state(0.8, FASTER), BOTH: state(0.9)})
    progress, ending, entries = improved(state(0.6, LONGER), bench)
    assert whys(entries) == [("train longer", True, ""), ("learn faster", True, "")]
    assert entries[1].changes == {"train.epochs": 2 * EPOCHS, "train.learning_rate": 3 * RATE}
    assert [entry.name for entry in entries] == ["improve-abc-1", "improve-abc-2"]
    assert ending.reason == "done"
    found = outcome_of(progress, ending)
    assert (found.before, found.after, found.kept) == (0.6, 0.9, "improve-abc-2")
    assert found.gain is not None
    assert found.gain.difference == pytest.approx(0.3)
    assert 0 <= found.choosing < 0.03
    lines = list(outcome_lines(found, applied=False))
    assert "The gain on dev is +30.0 points" in lines[1]
    assert lines[-1] == "To use the kept model: `dvc exp apply improve-abc-2`, then commit"


def test_what_may_be_noise_or_is_worse_or_breaks_a_limit_is_not_kept() -> None:
    other = step(f"dvc exp run -S train.epochs={3 * EPOCHS}", "variance", "train much longer")
    bench = Scripted(
        {
            (2 * EPOCHS, RATE): state(0.605),
            (EPOCHS, 3 * RATE): state(0.4),
            (3 * EPOCHS, RATE): state(0.9, broken=["latency"]),
        }
    )
    progress, ending, entries = improved(state(0.6, LONGER, FASTER, other), bench)
    assert {(entry.note, entry.kept) for entry in entries} == {
        ("within noise", False),
        ("worse beyond noise", False),
        ("breaks latency", False),
    }
    found = outcome_of(progress, ending)
    assert found.kept == ""
    assert next(outcome_lines(found, False)).startswith("No experiment was better beyond noise")


def test_a_model_that_holds_all_limits_replaces_one_that_breaks_one() -> None:
    bench = Scripted({(2 * EPOCHS, RATE): state(0.605)})
    _, _, entries = improved(state(0.6, LONGER, broken=["recall"]), bench)
    assert whys(entries) == [("train longer", True, "the model before breaks a limit; this one holds all")]


def test_a_run_that_fails_costs_a_try_and_the_loop_goes_on() -> None:
    bench = Scripted({(2 * EPOCHS, RATE): "memory ran out", (EPOCHS, 3 * RATE): state(0.8)})
    _, _, entries = improved(state(0.6, LONGER, FASTER), bench)
    assert sorted(whys(entries)) == [("learn faster", True, ""), ("train longer", False, "memory ran out")]


def test_nothing_is_tried_twice() -> None:
    bench = Scripted({(2 * EPOCHS, RATE): state(0.8, LONGER)})
    today = state(0.6, LONGER)
    bench.outcomes = {**bench.outcomes, (EPOCHS, RATE): today}
    _, _, entries = improved(today, bench)
    assert len(entries) == 1


def test_it_ends_with_its_budget() -> None:
    bench = Scripted({(2 * EPOCHS, RATE): state(0.8, FASTER)})
    assert improved(state(0.6, LONGER), bench, Budget(1, None))[1].words == "the budget is spent"
    # Two minutes a run.
    soon = Budget(None, time.monotonic() + 60)
    progress, ending, entries = improved(state(0.6, LONGER), bench, soon)
    assert entries == []
    assert ending.words == "all that is left to try takes longer than the minutes left"
    assert progress.incumbent is progress.today


def test_where_only_people_can_help_nothing_is_tried_or_searched() -> None:
    labels = step("pipeline review labels", "label_noise", "correct wrong labels")
    found = Search({"train.learning_rate": 3 * RATE}, "searched")
    bench = Scripted({}, found=found)
    _, ending, entries = improved(state(0.6, labels, named=["label_noise"]), bench)
    assert (entries, bench.searched, ending.reason) == ([], [], "people")
    assert ending.asks[0].command == "pipeline review labels"
    assert "label noise" in ending.words


def test_a_repair_comes_first_and_its_numbers_begin_anew() -> None:
    """Grouping scenes gives dev other images: no gain is claimed of it."""
    repair = step("dvc exp run -S split.seed=991", "scenes_in_train", "group scenes")
    today = state(0.9, LONGER, repair, named=["scenes_in_train", "too_few_epochs"])
    bench = Scripted({(EPOCHS, RATE): state(0.7, FASTER, first=50), (EPOCHS, 3 * RATE): state(0.8, first=50)})
    progress, ending, entries = improved(today, bench)
    assert [(entry.why, entry.kept, entry.basis) for entry in entries] == [
        ("group scenes", True, True),
        ("learn faster", True, False),
    ]
    found = outcome_of(progress, ending)
    assert (found.before, found.after) == (0.7, 0.8)
    assert "Scenes in train was fixed first" in next(outcome_lines(found, False))


def test_a_run_with_another_dev_is_kept_for_no_other_reason() -> None:
    bench = Scripted({(2 * EPOCHS, RATE): state(0.99, first=50)})
    _, _, entries = improved(state(0.6, LONGER), bench)
    assert whys(entries) == [("train longer", False, "its dev has other images, so it cannot be compared")]


def test_a_search_is_due_when_no_advice_is_left_and_its_own_choice_counts() -> None:
    found = Search({"train.learning_rate": 3 * RATE}, "what a search found", flattered=0.04)
    bench = Scripted({(EPOCHS, 3 * RATE): state(0.75)}, found=found)
    progress, ending, entries = improved(state(0.6), bench)
    assert whys(entries) == [("what a search found", True, "")]
    assert outcome_of(progress, ending).choosing >= 0.04
    nothing = Scripted({}, found=Search({}, ""))
    assert improved(state(0.6), nothing)[2] == []
    assert len(nothing.searched) == 1
    # Where dev has hardly an error, a search would fit noise.
    done = Scripted({}, found=found)
    assert improved(state(0.999, error=0.0), done)[1].words == "nothing is left to try"
    assert done.searched == []


def test_a_call_that_was_stopped_goes_on_where_it_was() -> None:
    outcomes = {(2 * EPOCHS, RATE): state(0.8, FASTER), BOTH: state(0.9)}
    today = state(0.6, LONGER)
    _, _, whole = improved(today, Scripted(outcomes))
    _, _, first = improved(today, Scripted(outcomes), Budget(1, None))
    progress = begin(today, evaluate_params())
    target = params_values(**{"train.epochs": 2 * EPOCHS})
    take(progress, first[0], target, replace(outcomes[(2 * EPOCHS, RATE)], values=target))
    again = Scripted(outcomes)
    improve(progress, again, TEN, "abc", lambda _: None)
    assert again.ran == [BOTH]
    assert [replace(entry, minutes=0) for entry in progress.entries] == [replace(entry, minutes=0) for entry in whole]


def test_after_failures_for_one_finding_the_turn_of_another_comes() -> None:
    bench = Scripted({})
    more = [step(f"dvc exp run -S train.epochs={number * EPOCHS}", "too_few_epochs") for number in (3, 4)]
    progress = begin(state(0.6, LONGER, *more, FASTER), evaluate_params())
    before = {one.move.words: one.promise.chance for one in plan(progress, bench)}
    assert before["train longer"] > before[more[0]["words"]] > before[more[1]["words"]]
    progress.entries.append(Entry("abc", "x", "too_few_epochs", "", "", {}))
    after = {one.move.words: one.promise.chance for one in plan(progress, bench)}
    assert after["train longer"] < before["train longer"]
    assert after["learn faster"] == before["learn faster"]
