"""`pipeline gate`: limits and a comparison decide, and what cannot be judged does not pass."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline import cli
from pipeline.errors import DataError, GateError, MissingInputError, ParamsError
from pipeline.metrics.comparison import Result
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.tools import gate as gates
from tests.examples import params
from tests.running import write_params

EVALUATE = params(**{"evaluate.satisficing": {}, "evaluate.optimizing": "accuracy"}).evaluate
SIZE = {"value": 3.0, "min": None, "max": 2.0, "held": False}


def result(wrong: int, images: int = 300, ids: str = "dev", broken: bool = False) -> Result:
    """A run whose first images of dev are misclassified."""
    labels = np.array(["apple", "fig"] * (images // 2))
    called = labels.copy()
    called[:wrong] = np.where(labels[:wrong] == "apple", "fig", "apple")
    names = [f"{ids}{number:04}" for number in range(images)]
    dev = pd.DataFrame({"id": names, "group": names, "split": "dev", "label": labels, "predicted": called})
    dev = dev.assign(**{f"probability_{name}": np.where(called == name, 0.9, 0.1) for name in ("apple", "fig")})
    report = {"accepted": not broken, "dev": {"accuracy": 1 - wrong / images}, "limits": {}}
    if broken:
        report["limits"] = {"size": SIZE}
    return Result("main", "commit", "main", report, dev)


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Callable[..., gates.Gate]:
    def judged(
        own: Result | None, other: Result | None = None, tolerance: float = 0.0, beyond_noise: bool = False, **more: Any
    ) -> gates.Gate:
        monkeypatch.setattr(gates, "workspace_result", lambda: own)
        monkeypatch.setattr(gates, "revision_result", lambda revision: other)
        evaluate: EvaluateParams = more.get("evaluate", EVALUATE)
        return gates.gate(evaluate, None if other is None else "main", tolerance, beyond_noise)

    return judged


def test_a_model_that_holds_its_limits_passes(judge: Callable[..., gates.Gate]) -> None:
    found = judge(result(30))
    assert (found.broken, found.value, found.comparison) == ((), 0.9, None)


def test_a_broken_limit_is_named_with_its_rule(judge: Callable[..., gates.Gate]) -> None:
    limited = params(**{"evaluate.satisficing": {"size": {"metric": "model_megabytes", "min": None, "max": 2.0}}})
    found = judge(result(30, broken=True), evaluate=limited.evaluate)
    assert found.broken == ("limit size is broken: 3.0000, must be at most 2",)


@pytest.mark.parametrize(("largest", "passes"), [(2.9, False), (3.0, True)])
def test_a_bound_that_was_moved_since_is_judged_anew(
    judge: Callable[..., gates.Gate], largest: float, passes: bool
) -> None:
    limited = params(**{"evaluate.satisficing": {"size": {"metric": "model_megabytes", "min": None, "max": largest}}})
    for held in (False, True):
        made = result(30, broken=True)
        then = replace(made, report={**made.report, "limits": {"size": {**SIZE, "held": held}}})
        assert bool(judge(then, evaluate=limited.evaluate).broken) != passes


def test_a_limit_that_measures_something_else_now_is_not_judged(
    judge: Callable[..., gates.Gate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    then = {"optimizing": "accuracy", "satisficing": {"size": {"metric": {"name": "model_megabytes"}, "max": 2.0}}}
    stage = {"cmd": "x", "params": {"params.yaml": {"evaluate": then}}}
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"evaluate": stage}}))
    limit = {"metric": "model_megabytes", "min": None, "max": 4.0}
    evaluate = params(**{"evaluate.satisficing": {"size": limit}, "evaluate.optimizing": "accuracy"}).evaluate
    write_params(tmp_path, **{"evaluate.satisficing": {"size": limit}, "evaluate.optimizing": "accuracy"})
    assert judge(result(30, broken=True), evaluate=evaluate).broken == ()
    for place, metric in (("satisficing.size.metric", "accuracy"), ("optimizing", {"name": "class_f1", "label": "a"})):
        write_params(tmp_path, **{"evaluate.satisficing": {"size": {**limit}}, f"evaluate.{place}": metric})
        with pytest.raises(DataError, match=rf"measured something else .* \(evaluate\.{place}\): run `dvc repro`"):
            judge(result(30, broken=True), evaluate=evaluate)


@pytest.mark.parametrize(
    ("own", "tolerance", "beyond_noise", "passes"),
    [
        (30, 0.0, False, True),  # equal
        (20, 0.0, False, True),  # better
        (33, 0.0, False, False),  # one point worse
        (33, 1.5, False, True),  # within the tolerance
        (36, 1.5, False, False),
        (31, 0.0, True, True),  # one image is chance
        (60, 0.0, True, False),
        (60, 9.0, True, True),  # 10 points worse; the interval's better end is below 9
    ],
)
def test_a_model_worse_than_the_other_one_is_stopped(
    judge: Callable[..., gates.Gate], own: int, tolerance: float, beyond_noise: bool, passes: bool
) -> None:
    found = judge(result(own), result(30), tolerance, beyond_noise)
    assert bool(found.broken) != passes
    assert found.comparison is not None
    assert found.comparison.worse == pytest.approx((own - 30) / 3)
    if own != 30:
        assert found.comparison.low is not None
        assert found.comparison.high is not None
        assert found.comparison.low < found.comparison.worse < found.comparison.high


def test_of_a_loss_more_is_worse(judge: Callable[..., gates.Gate]) -> None:
    def of(wrong: int) -> Result:
        made = result(wrong)
        return replace(made, report={**made.report, "dev": {"log_loss": 0.3}})

    evaluate = params(**{"evaluate.satisficing": {}, "evaluate.optimizing": "log_loss"}).evaluate
    worse = judge(of(60), of(30), evaluate=evaluate)
    better = judge(of(30), of(60), evaluate=evaluate)
    assert worse.broken
    assert not better.broken
    assert better.comparison is not None
    assert better.comparison.worse < 0


def test_a_rejected_model_is_compared_all_the_same(judge: Callable[..., gates.Gate]) -> None:
    own = replace(result(20), report={**result(20).report, "accepted": False})
    found = judge(own, result(30))
    assert found.comparison is not None
    assert found.comparison.worse == pytest.approx(-10 / 3)


def test_models_are_measured_on_the_images_that_both_have(judge: Callable[..., gates.Gate]) -> None:
    own, other = result(10, images=200), result(10, images=300)
    found = judge(own, other)
    assert found.comparison is not None
    assert (found.comparison.images, found.comparison.own, found.comparison.other) == (200, 200, 300)
    assert found.comparison.worse == 0
    assert gates.lines(found)[-1].endswith(": equal")
    assert "(of 200 here and 300 there)" in gates.lines(found)[-1]
    with pytest.raises(DataError, match="no labelled image in common"):
        judge(own, result(10, ids="elsewhere"))


def test_what_cannot_be_judged_does_not_pass(judge: Callable[..., gates.Gate]) -> None:
    with pytest.raises(MissingInputError, match="has no evaluation"):
        judge(None)
    with pytest.raises(DataError, match="of another model"):
        judge(replace(result(0), predictions=None, missing="its predictions are of another model"))
    with pytest.raises(DataError, match="did not measure macro_f1"):
        judge(result(0), evaluate=params(**{"evaluate.optimizing": "macro_f1", "evaluate.satisficing": {}}).evaluate)
    with pytest.raises(DataError, match="does not have the limits of params"):
        judge(result(0), evaluate=params().evaluate)
    with pytest.raises(ParamsError, match="nan"):
        judge(result(90), result(0), float("nan"))


def test_the_command_ends_with_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = gates.Comparison("main", 0.8, 0.9, 10.0, 6.0, 14.0, 300, 300, 300)
    found = gates.Gate("accuracy", 0.8, {}, comparison, ("the model is 10.0 points worse",))
    monkeypatch.setattr(gates, "gate", lambda *arguments: found)
    ended = CliRunner().invoke(cli.app, ["gate", "--against", "main"])
    assert type(ended.exception) is GateError
    assert GateError.exit_code == 11
    assert "10.0 points worse (95 % interval 6.0 to 14.0)" in ended.stdout
    alone = CliRunner().invoke(cli.app, ["gate", "--tolerance", "1"])
    assert type(alone.exception) is ParamsError
