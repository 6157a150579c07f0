"""Diseases planted by benchmarks/diagnosis.py, at the strongest dose, are named first; a healthy run has none."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from tests.examples import REPOSITORY

# Letters, which odd seeds take, need no further package.
SEED = 1


@pytest.fixture(scope="module")
def planted() -> Iterator[ModuleType]:
    """benchmarks/planted.py as a module, which finds the files beside it as it does when the benchmark runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY / "benchmarks")
        yield importlib.import_module("planted")


# Where 40 % of the labels are wrong, a forest on so few pixels cannot tell: a fifth it can.
@pytest.mark.parametrize(
    ("disease", "dose"),
    [("small model", 2), ("few epochs", 2), ("little data", 2), ("label noise", 1), ("blur", 2), ("rescaled", 2)],
)
def test_a_strong_disease_is_named_first(planted: ModuleType, disease: str, dose: int) -> None:
    found, _ = planted.diagnosed(planted.sick(disease, dose, SEED), SEED)
    assert planted.in_order(found.gaps, found.findings)[0].name in planted.DISEASES[disease].names
    assert found.steps


def test_a_healthy_run_has_no_disease(planted: ModuleType) -> None:
    found, _ = planted.diagnosed(planted.drawn("letters", SEED), SEED)
    assert [each.name for each in planted.in_order(found.gaps, found.findings)] == []


def test_photos_of_the_web_alone_are_trained_on(planted: ModuleType, tmp_path: Path) -> None:
    for folder, grey in (("web", 250), ("phone", 50)):
        for label, extra in (("apple", 0), ("pear", 5)):
            (tmp_path / folder / label).mkdir(parents=True)
            for number in range(20):
                pixels = np.full((40, 60, 3), grey + extra, np.uint8)
                cv2.imwrite(str(tmp_path / folder / label / f"{number}.png"), pixels)
    case = planted.sick(planted.ALONE, 0, SEED, (tmp_path / "web", tmp_path / "phone"))
    sizes = {split: len(pixels) for split, pixels in case.pixels.items()}
    assert sizes == {"train": 30, "train_dev": 10, "dev": 16, "test": 8, "pool": 16}
    for split, pixels in case.pixels.items():
        greys = (250 if split.startswith("train") else 50) + 5 * case.labels[split]
        assert (pixels == greys[:, None, None, None]).all()
    assert case.values["split"]["production_train_fraction"] == 0.0


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
