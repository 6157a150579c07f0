"""Diseases planted by benchmarks/diagnosis.py, at the strongest dose, are named first; a healthy run has none."""

import importlib.util
import sys
from types import ModuleType

import pytest

from tests.examples import REPOSITORY

# Lightning warns of few batches, and of its own use of torch.
pytestmark = pytest.mark.filterwarnings("ignore:::lightning.*")
# Letters, which odd seeds take, need no further package.
SEED = 1


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("planted", REPOSITORY / "benchmarks/diagnosis.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["planted"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("disease", ["small model", "few epochs", "little data", "label noise", "blur", "rescaled"])
def test_a_strong_disease_is_named_first(benchmark: ModuleType, disease: str) -> None:
    chosen = benchmark.DISEASES[disease]
    generator = benchmark.keyed_generator(SEED, "planted", disease, 2, "letters")
    case = chosen.plant(benchmark.drawn("letters", SEED), chosen.doses[2], generator)
    found, _ = benchmark.diagnosed(case, SEED)
    assert benchmark.in_order(found.gaps, found.findings)[0].name in chosen.names
    assert found.steps


def test_a_healthy_run_has_no_disease(benchmark: ModuleType) -> None:
    found, _ = benchmark.diagnosed(benchmark.drawn("letters", SEED), SEED)
    assert [each.name for each in benchmark.in_order(found.gaps, found.findings)] == []
