"""Who may look at test, how looks are counted, and how much wider they make the interval."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import FinalEvaluationError
from pipeline.stages.final_evaluation.access import (
    check_access,
    corrected,
    evaluations_with,
    params_digest,
    rows_digest,
)
from pipeline.store.ledger import LedgerEntry
from tests.examples import params

ACCEPTED = {"model": "new", "accepted": True, "broken": []}
REJECTED = {"model": "new", "accepted": False, "broken": ["size", "night"]}


def evaluations(*models: str) -> list[LedgerEntry]:
    return [LedgerEntry("2026", model, "p", "t", "accuracy", 0.9, 0.8, 1.0, True, "") for model in models]


def rules(**changes: Any) -> Any:
    return params(
        **{f"final_evaluation.{name}": value for name, value in {"max_test_evaluations": 2, **changes}.items()}
    ).final_evaluation


@pytest.mark.parametrize(
    ("before", "count"), [([], 1), (["new"], 1), (["a"], 2), (["a", "a", "b"], 3), (["a", "new", "b"], 3)], ids=str
)
def test_looks_are_counted_by_model(before: list[str], count: int) -> None:
    assert evaluations_with(evaluations(*before), "new") == count


@pytest.mark.parametrize("before", [[], ["a"], ["a", "a"], ["a", "new"], ["a", "b", "new"]], ids=str)
def test_a_look_that_is_left_or_was_taken_is_allowed(before: list[str]) -> None:
    assert check_access(evaluations(*before), "new", ACCEPTED, rules()) == ""


def test_too_many_looks_are_refused_unless_told() -> None:
    with pytest.raises(
        FinalEvaluationError,
        match=r"^the test set stays closed: .* already evaluated with 2 models .*max_test_evaluations: 2",
    ):
        check_access(evaluations("a", "b"), "new", ACCEPTED, rules())
    assert (
        check_access(evaluations("a", "b"), "new", ACCEPTED, rules(beyond_max_test_evaluations="allow"))
        == "beyond_max_test_evaluations"
    )


def test_a_rejected_model_is_refused_unless_told() -> None:
    with pytest.raises(FinalEvaluationError, match=r"the model is not accepted: on dev it breaks size, night\. "):
        check_access([], "new", REJECTED, rules())
    assert check_access([], "new", REJECTED, rules(rejected_model="allow")) == "rejected_model"


def test_all_reasons_to_refuse_are_named_and_all_that_was_told_is_noted() -> None:
    with pytest.raises(FinalEvaluationError, match=r"not accepted.*; the test set was already evaluated with 2 models"):
        check_access(evaluations("a", "b"), "new", REJECTED, rules())
    told = rules(rejected_model="allow", beyond_max_test_evaluations="allow")
    assert check_access(evaluations("a", "b"), "new", REJECTED, told) == "rejected_model,beyond_max_test_evaluations"


def test_a_verdict_on_another_model_is_none() -> None:
    with pytest.raises(
        FinalEvaluationError, match="the last evaluation is of a different model: run `dvc repro evaluate`"
    ):
        check_access([], "newer", ACCEPTED, rules(rejected_model="allow"))


def predictions(images: int = 400) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    frame = pd.DataFrame({"label": generator.choice(["a", "b"], images), "split": "test"})
    wrong = generator.random(images) < 0.2
    other = frame["label"].map({"a": "b", "b": "a"})
    return frame.assign(
        predicted=frame["label"].where(~wrong, other), group=[f"{number:04}" for number in range(images)]
    )


def test_interval_grows_with_the_looks_as_bonferroni_has_it() -> None:
    frame, evaluate = predictions(), params(**{"evaluate.bootstrap": 2000}).evaluate
    found = [corrected(frame, ("a", "b"), count, evaluate) for count in (1, 2, 10)]
    assert [each["level"] for each in found] == pytest.approx([0.95, 0.975, 0.995])
    widths = [float(each["high"] or 0) - float(each["low"] or 0) for each in found]
    # Quantiles of the normal distribution at 1 - 0.05 / (2 * looks).
    assert np.array(widths) / widths[0] == pytest.approx([1.0, 2.2414 / 1.96, 2.8070 / 1.96], rel=0.08)


def test_digest_of_rows_is_of_images_and_labels_in_any_order() -> None:
    rows = pd.DataFrame({"id": ["x", "y"], "sha256": ["1", "2"], "label": ["a", "b"], "split": "test"})
    assert rows_digest(rows) == rows_digest(rows.iloc[::-1])
    for name in ("id", "sha256", "label"):
        assert rows_digest(rows.assign(**{name: "other"})) != rows_digest(rows)


def test_digest_of_params_is_of_their_values() -> None:
    assert params_digest(params().evaluate) == params_digest(params().evaluate)
    assert params_digest(params(**{"evaluate.seed": 2}).evaluate) != params_digest(params().evaluate)
