"""What modules of metrics, diagnosis and split hand on cannot be changed by who receives it."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import pipeline.diagnosis
import pipeline.metrics
import pipeline.stages.split

MODULES = [
    found.name
    for package in (pipeline.diagnosis, pipeline.metrics, pipeline.stages.split)
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_values_are_frozen(name: str) -> None:
    module = importlib.import_module(name)
    for each in vars(module).values():
        if inspect.isclass(each) and each.__module__ == name and dataclasses.is_dataclass(each):
            assert each.__dataclass_params__.frozen, each  # type: ignore[attr-defined]
