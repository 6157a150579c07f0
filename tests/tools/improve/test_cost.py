"""How long a run with other params takes, by what each stage took last time."""

import pytest

from pipeline.store.timing import Timing
from pipeline.tools.improve.cost import minutes_of, plain_stages, stages_again
from tests.examples import params_values

TIMES = [Timing(name, "", 60.0) for name in plain_stages() if name != "ingest"]


def test_the_stages_behind_a_change_run_again() -> None:
    assert stages_again({"train.epochs": 3}) == ["train", "evaluate", "label_issues", "diagnose"]
    assert stages_again({"balance.strategy.name": "none"})[0] == "balance"
    assert stages_again({"sources": {}})[0] == "ingest"
    assert stages_again({"tune.seed": 3}) == []


def test_a_longer_training_takes_longer_and_the_rest_as_long_as_before() -> None:
    before = params_values()
    same = params_values(**{"train.learning_rate": 0.01})
    epochs = before["train"]["epochs"]
    longer = params_values(**{"train.epochs": 3 * epochs})
    one, three = (minutes_of(before, after, TIMES, epochs) for after in (same, longer))
    assert one is not None
    assert three == pytest.approx(one + 2)
    assert minutes_of(before, same, [], epochs) is None
