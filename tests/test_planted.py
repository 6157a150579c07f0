"""Diseases planted by benchmarks/diagnosis.py, at the strongest dose, are named first; a healthy run has none."""

import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.examples import REPOSITORY

# Lightning warns of few batches, and of its own use of torch.
pytestmark = pytest.mark.filterwarnings("ignore:::lightning.*")
# Letters, which odd seeds take, need no further package.
SEED = 1


@pytest.fixture(scope="module")
def planted() -> Iterator[ModuleType]:
    """benchmarks/planted.py as a module, which finds the files beside it as it does when the benchmark runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "benchmarks")
        yield importlib.import_module("planted")


@pytest.mark.parametrize("disease", ["small model", "few epochs", "little data", "label noise", "blur", "rescaled"])
def test_a_strong_disease_is_named_first(planted: ModuleType, disease: str) -> None:
    found, _ = planted.diagnosed(planted.sick(disease, 2, SEED), SEED)
    assert planted.in_order(found.gaps, found.findings)[0].name in planted.DISEASES[disease].names
    assert found.steps


def test_a_healthy_run_has_no_disease(planted: ModuleType) -> None:
    found, _ = planted.diagnosed(planted.drawn("letters", SEED), SEED)
    assert [each.name for each in planted.in_order(found.gaps, found.findings)] == []


def test_advice_is_followed_as_dvc_would(planted: ModuleType) -> None:
    """A model of one unit is widened; what changes nothing that is fitted here is not followed."""
    result = planted.run_one(("small model", 2, SEED))
    assert planted.changes_of(result["step"]) == {"train.model.width": 4}
    assert (result["first"], result["helped"]) == (True, True)
    command = "dvc exp run -S +train.l2=0.1 -S '~train.optimizer.beta1' -S 'train.mixing={name: mixup,alpha: 0.2}'"
    changes = planted.changes_of(command)
    assert changes == {
        "train.l2": 0.1,
        "train.optimizer.beta1": planted.DROPPED,
        "train.mixing": {"name": "mixup", "alpha": 0.2},
    }
