"""The table of `pipeline compare`: what stands beside each model, and which rows are shown."""

import io
from typing import Any

import pytest
from rich.console import Console

from pipeline.errors import MissingInputError
from pipeline.metrics.comparison import Row
from pipeline.tools import compare
from tests.examples import params


def row(name: str, **changes: Any) -> Row:
    values: dict[str, Any] = {"kind": "experiment", "rev": name, "value": 0.9, "low": 0.8, "high": 0.95}
    return Row(**{"name": name, "accepted": True, "broken": (), **values, **changes})


def printed(*rows: Row) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    compare.print_table(rows, params().evaluate, console)
    return console.export_text()


def test_params_that_differ_stand_below_and_many_are_counted() -> None:
    changed = {f"train.{name}": number for number, name in enumerate("abcdef")}
    shown = printed(row("first", standing="best"), row("other", standing="worse", changed=changed))
    assert (
        "other: unlike first, train.a 0, train.b 1, train.c 2, train.d 3, and 2 more params (--json has all)" in shown
    )
    assert "first: unlike" not in shown
    assert "x absent" in printed(row("first", standing="best"), row("other", changed={"x": None}))


def test_the_time_of_training_stands_beside_each_model_that_it_is_known_of() -> None:
    shown = printed(row("a", standing="best", seconds=41.0), row("b", standing="worse", seconds=300.0), row("c"))
    assert "training" in shown
    lines = {line.split()[1]: line for line in shown.splitlines() if "│" in line}
    assert ("41 s" in lines["a"], "5.0 min" in lines["b"]) == (True, True)
    assert "training" not in printed(row("a", standing="best"))


def test_rejected_models_have_their_standing_and_the_words_say_that_none_is_accepted() -> None:
    rejected = {"accepted": False, "broken": ("size",)}
    shown = printed(row("a", standing="best", **rejected), row("b", standing="worse", **rejected))
    assert "rejected, best" in shown
    assert "rejected, worse" in shown
    assert "No model is accepted" in shown
    assert "No model is accepted" not in printed(row("a", standing="best"))


def test_results_of_another_project_are_shown_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("mine"), row("theirs", own=False)]
    monkeypatch.setattr(compare, "results", lambda commits: rows)
    monkeypatch.setattr(compare, "compare", lambda results, evaluate: results)
    assert [each.name for each in compare.comparison(params().evaluate, 5)] == ["mine"]
    assert [each.name for each in compare.comparison(params().evaluate, 5, foreign=True)] == ["mine", "theirs"]
    rows[:] = []
    with pytest.raises(MissingInputError):
        compare.comparison(params().evaluate, 5)
