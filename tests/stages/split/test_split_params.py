"""What params of the stage split may say, at the limits."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.section import Section
from pipeline.stages.split.params import Folds, ProductionShares


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (Folds, {"count": 2, "dev": 0}, None),
        (Folds, {"count": 100, "dev": 99}, None),
        (Folds, {"count": 1, "dev": 0}, "greater than or equal to 2"),
        (Folds, {"count": 101, "dev": 0}, "less than or equal to 100"),
        (Folds, {"count": 5, "dev": -1}, "greater than or equal to 0"),
        (Folds, {"count": 5, "dev": 5}, "dev must be a fold from 0 to 4, got 5"),
        (ProductionShares, {"train": 0.0, "dev": 0.5, "test": 0.5}, None),
        (ProductionShares, {"train": 0.2, "dev": 0.5, "test": 0.3}, None),
        (ProductionShares, {"train": 0.2, "dev": 0.5, "test": 0.31}, r"train \+ dev \+ test must sum to 1, got 1.01"),
        (ProductionShares, {"train": 0.2, "dev": 0.5, "test": 0.29}, r"train \+ dev \+ test must sum to 1, got 0.99"),
        (ProductionShares, {"train": 1.0, "dev": 0.5, "test": 0.5}, "less than 1"),
        (ProductionShares, {"train": -0.1, "dev": 0.6, "test": 0.5}, "greater than or equal to 0"),
    ],
)
def test_shares_and_folds_are_checked(section: type[Section], values: dict[str, Any], message: str | None) -> None:
    if message is None:
        assert section.model_validate(values).model_dump() == values
        return
    with pytest.raises(ValidationError, match=message):
        section.model_validate(values)
