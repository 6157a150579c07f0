"""Production that is harder, and production that is different: errors by split and role."""

import pandas as pd
import pytest

from pipeline.diagnosis.error_levels import HUMAN, given, levels_of, metric_of_errors
from pipeline.diagnosis.findings import HARDER, Finding
from pipeline.diagnosis.gaps import MISMATCH, Gap, find_gaps
from pipeline.diagnosis.next_steps import in_order
from pipeline.diagnosis.role_gaps import (
    LEARNT_HARDER,
    PRODUCTION_NEW,
    _differs,
    differences_of,
    harder,
    role_levels,
    roles_table,
)
from tests.diagnosis.cases import CLASSES, diagnosing, evaluate, level, predictions

Cells = dict[tuple[str, str], tuple[int, int]]


def tables(cells: Cells) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of so many images of each cell, so many of them wrong, and their manifest."""
    frames = []
    for (split, role), counts in cells.items():
        frame = predictions(**{split: counts})
        names = [f"{role}/{name}" for name in frame["id"]]
        frames.append(frame.assign(id=names, group=names, role=role))
    both = pd.concat(frames, ignore_index=True)
    return both.drop(columns="role"), both[["id", "role", "split", "group"]]


def judged(cells: Cells) -> tuple[list[Gap], list[Finding]]:
    called, manifest = tables(cells)
    metric = metric_of_errors(evaluate(), CLASSES)
    levels = {HUMAN: given(HUMAN, 0.01), **levels_of(called, evaluate())}
    gaps = find_gaps(levels, metric, diagnosing(relevant=0.02), evaluate())
    roles = role_levels(called, manifest, metric, CLASSES, evaluate())
    return harder(gaps, roles, differences_of(roles, metric, 0.02, evaluate()), 0.02)


HARD: Cells = {
    ("train", "raw"): (3000, 30),
    ("train", "production"): (600, 90),
    ("train_dev", "raw"): (400, 6),
    ("train_dev", "production"): (60, 9),
    ("dev", "production"): (600, 96),
}


def mismatch_of(gaps: list[Gap]) -> Gap:
    return next(gap for gap in gaps if gap.name == MISMATCH)


def test_production_that_is_as_hard_when_it_was_learnt_is_harder_and_no_mismatch() -> None:
    gaps, (found,) = judged(HARD)
    assert mismatch_of(gaps).verdict == "explained"
    assert found.name == HARDER
    assert found.words == (
        "production images are harder, or more of their labels are wrong: the model misclassifies 15.0% of those that "
        "it was trained on, and 1.0% of the raw ones"
    )
    assert next(each.name for each in in_order(gaps, [found])) == HARDER
    assert MISMATCH not in [each.name for each in in_order(gaps, [found])]


def test_production_that_is_learnt_well_and_fails_when_it_is_new_is_a_mismatch() -> None:
    gaps, found = judged({**HARD, ("train", "production"): (600, 6)})
    assert (mismatch_of(gaps).verdict, found) == ("present", [])


def test_production_may_be_harder_and_different() -> None:
    gaps, (found,) = judged({**HARD, ("dev", "production"): (600, 240)})
    assert mismatch_of(gaps).verdict == "present"
    assert [each.name for each in in_order(gaps, [found])][:2] == [HARDER, MISMATCH]


def test_without_learnt_production_nobody_can_tell_and_it_is_called_mismatch() -> None:
    cells = {cell: counts for cell, counts in HARD.items() if cell[1] == "raw" or cell[0] == "dev"}
    gaps, found = judged(cells)
    assert (mismatch_of(gaps).verdict, found) == ("present", [])


def test_few_learnt_images_of_production_tell_nothing() -> None:
    gaps, found = judged({**HARD, ("train", "production"): (20, 10)})
    assert (mismatch_of(gaps).verdict, found) == ("present", [])


def test_the_table_has_each_cell_and_difference_with_its_interval() -> None:
    called, manifest = tables(HARD)
    metric = metric_of_errors(evaluate(), CLASSES)
    roles = role_levels(called, manifest, metric, CLASSES, evaluate())
    found = {each.name: each for each in differences_of(roles, metric, 0.02, evaluate())}
    assert found[LEARNT_HARDER].value == pytest.approx(0.14)
    assert (found[LEARNT_HARDER].verdict, found[PRODUCTION_NEW].verdict) == ("present", "cannot tell")
    assert all(each.low < each.value < each.high for each in found.values())
    lines = roles_table(roles, list(found.values()))
    assert lines[2].startswith("| train (training images) | 1.0% (0.7 to 1.4) of 3,000 | 15.0% (")
    assert lines[4].startswith("| dev (new images) |  | 16.0% (")
    assert "| production minus raw, training images | 14.0 | " in "\n".join(lines)


@pytest.mark.parametrize(
    ("reach", "relevant", "expected"), [(0.01, 0.16, True), (0.01, 0.18, False), (0.4, 0.16, False)]
)
def test_production_differs_by_what_new_images_add_to_learnt_ones_beyond_raw(
    reach: float, relevant: float, expected: bool
) -> None:
    """Of production 30 - 10 points, of raw 5 - 2: 17 points more."""
    errors = {
        ("dev", "production"): 0.3,
        ("train", "production"): 0.1,
        ("train_dev", "raw"): 0.05,
        ("train", "raw"): 0.02,
    }
    roles = {cell: level("_".join(cell), error, error, error) for cell, error in errors.items()}
    roles["dev", "production"] = level("dev", 0.3, 0.3 - reach, 0.3 + reach)
    assert _differs(roles, relevant) == expected
    # What is not there tells nothing against it.
    del roles["train_dev", "raw"]
    assert _differs(roles, relevant)
