"""Diagnoses of models that measure: levels, gaps and findings in the unit of the numbers, and what is left out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.data.predictions import prediction_table
from pipeline.diagnosis.curves import Training, read_curves
from pipeline.diagnosis.error_levels import HUMAN, Level, around, given, levels_of, metric_of_errors, params_of_numbers
from pipeline.diagnosis.error_tags import errors_of, fixed
from pipeline.diagnosis.feedback import Table, answers, outcomes
from pipeline.diagnosis.findings import HARD_SLICE, SLICE
from pipeline.diagnosis.gap_advice import GAP_ADVICE
from pipeline.diagnosis.gaps import BIAS, VARIANCE, Gap, find_gaps
from pipeline.diagnosis.number_findings import failing_numbers, larger, no_skill
from pipeline.diagnosis.rendering import levels_table
from pipeline.diagnosis.sanity_checks import too_small
from pipeline.diagnosis.units import NUMBERS as IN_UNIT
from pipeline.errors import DataError
from pipeline.manifest import SPLIT
from pipeline.metrics.predictions import checked_predictions
from pipeline.problem.quantities import Quantity, text_of
from tests.diagnosis.cases import run_of
from tests.examples import params, with_columns
from tests.levers import NUMBERS

RIPENESS = Quantity(("ripeness",))
CHOSEN = params(**{**NUMBERS, "evaluate.bootstrap": 200, "diagnose.human_error": 0.4, "diagnose.relevant_gap": 0.2})


def run(errors: dict[str, float], count: int = 300, skill: float = 1.0, seed: int = 1) -> tuple[Any, Any]:
    """Manifest and predictions, with normal errors of so large a deviation in each split."""
    generator = np.random.default_rng(seed)
    parts = []
    for split, deviation in errors.items():
        truth = generator.normal(5, 2, count)
        called = 5 + skill * (truth - 5) + generator.normal(0, deviation, count)
        parts.append(pd.DataFrame({"split": split, "label": [text_of(one) for one in truth], "called": called}))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(id=[f"{number:04}" for number in range(len(rows))], source="phone", role="production")
    rows = rows.assign(group=rows["id"], path=rows["id"], meta_light=np.where(np.arange(len(rows)) % 3, "day", "night"))
    manifest = with_columns(rows, SPLIT).assign(meta_light=rows["meta_light"])
    return manifest, prediction_table(rows, RIPENESS, rows["called"].to_numpy(np.float32)[:, None])


def gaps(predictions: pd.DataFrame, relevant: float = 0.2) -> tuple[dict[str, Level], dict[str, Gap]]:
    params_of_gaps = CHOSEN.diagnose.model_copy(update={"relevant_gap": relevant})
    levels = {HUMAN: given(HUMAN, 0.4), **levels_of(predictions, CHOSEN.evaluate)}
    metric = metric_of_errors(CHOSEN.evaluate, RIPENESS)
    return levels, {gap.name: gap for gap in find_gaps(levels, metric, params_of_gaps, CHOSEN.evaluate)}


def test_gaps_are_in_the_unit_of_the_numbers() -> None:
    _, predictions = run({"train": 0.5, "train_dev": 1.5, "dev": 1.5})
    levels, found = gaps(predictions)
    # The mean size of a normal error is 0.8 of its deviation.
    assert levels["train"].error == pytest.approx(0.4, abs=0.04)
    assert levels["dev"].low < 1.2 < levels["dev"].high
    assert found[VARIANCE].verdict == "present"
    assert found[VARIANCE].value == pytest.approx(0.8, abs=0.15)
    assert found[BIAS].verdict == "absent"
    table = "\n".join(levels_table(levels, list(found.values()), IN_UNIT))
    assert "%" not in table.replace("95 %", "")
    assert "points" not in table


def test_few_images_leave_a_gap_open_and_say_how_many_more_would_tell() -> None:
    told = []
    for seed in range(8):
        _, predictions = run({"train": 0.5, "train_dev": 0.72, "dev": 0.72}, count=32, seed=seed)
        levels, found = gaps(predictions, relevant=0.05)
        assert levels["dev"].effective == 32
        told.append(found[VARIANCE])
    unclear = [gap for gap in told if gap.verdict == "cannot tell" and gap.needs is not None]
    assert unclear
    assert all(gap.needs is not None and 10 < gap.needs.images < 2000 for gap in unclear)
    [small] = too_small(levels["dev"], 0.05)
    assert "points" not in small.words


def test_errors_far_above_1_are_errors_as_any_other() -> None:
    _, predictions = run({"train": 30.0, "train_dev": 30.0, "dev": 30.0}, count=40)
    levels, _ = gaps(predictions)
    assert levels["dev"].error > 10
    [small] = too_small(levels["dev"], 0.05)
    assert float(small.figures["visible"]) > 1


def test_r2_is_diagnosed_by_the_mean_absolute_error() -> None:
    chosen = params(**{**NUMBERS, "evaluate.optimizing": "r2"}).evaluate
    assert params_of_numbers(chosen).name == "mean_absolute_error"
    rmse = params(**{**NUMBERS, "evaluate.optimizing": "root_mean_squared_error"}).evaluate
    assert params_of_numbers(rmse).name == "root_mean_squared_error"


def test_a_model_of_noise_is_said_to_be_no_better_than_the_mean() -> None:
    splits = {"train": 0.1, "train_dev": 0.1, "dev": 0.1}
    [found] = no_skill(run(splits, skill=0.0)[1])
    assert "R2 is -0.0" in found.words
    assert "no better" in found.name.replace("_", " ")
    assert no_skill(run(splits, skill=0.6)[1]) == []


def test_parts_of_the_range_are_told_of_models_that_know_something_alone() -> None:
    params_of = CHOSEN.evaluate
    for skill, told in ((0.6, True), (0.0, False)):
        manifest, predictions = run({"dev": 0.1}, skill=skill)
        words = [one.words for one in failing_numbers(predictions, manifest, params_of, 0.2)[0]]
        assert any("images whose number is" in each and "below" in each for each in words) == told


def test_a_part_of_the_range_is_a_note_unless_it_could_gain_what_is_worth_work() -> None:
    manifest, predictions = run({"dev": 0.1}, skill=0.6)
    for relevant, name in ((0.2, HARD_SLICE), (0.05, SLICE)):
        found, _ = failing_numbers(predictions, manifest, CHOSEN.evaluate, relevant)
        lowest = next(one for one in found if one.subject.startswith("range=1 of 5"))
        assert lowest.name == name
        assert ("dev's error would fall by only 0." in lowest.words) == (name == HARD_SLICE)


def test_noise_is_said_to_have_skill_in_few_runs() -> None:
    said = [bool(no_skill(run({"dev": 0.3}, count=60, skill=0.0, seed=seed)[1])) for seed in range(40)]
    assert np.mean(said) >= 0.95


def test_slices_with_larger_errors_are_found_and_even_ones_are_not() -> None:
    manifest, predictions = run({"train": 0.5, "dev": 0.5})
    night = (manifest["meta_light"] == "night").to_numpy()
    worse = predictions.assign(number_ripeness=predictions["number_ripeness"] + np.where(night, 2.0, 0).astype("f4"))
    [found, *_], tests = failing_numbers(worse, manifest, CHOSEN.evaluate, 0.2)
    assert found.subject == "meta_light=night"
    assert found.p is not None
    assert found.p < 1e-6
    assert "mean absolute error is 1.99 (100 images), 1.59 more" in found.words
    assert tests > 5
    even, _ = failing_numbers(predictions, manifest, CHOSEN.evaluate, 0.2)
    assert not [each for each in even if each.subject.startswith("meta_light")]
    assert larger(np.ones(3), np.ones(3)) == larger(np.ones(1), np.zeros(9)) == 1.0


def test_curves_of_numbers_are_held_against_always_the_mean() -> None:
    about: dict[str, Any] = {"asked": 5, "steps": 50, "classes": 1, "kept": 4, "chosen": True, "dev_images": 100}
    flat = [{"train/loss": 0.5, "dev/loss": 0.5}] * 5
    [found] = read_curves(flat, Training(**about, guessing=0.5))
    assert found.name == "nothing_learnt"
    falling = [{"train/loss": 0.4 / 2**n, "dev/loss": 0.4 / 2**n} for n in range(5)]
    assert "nothing_learnt" not in [each.name for each in read_curves(falling, Training(**about, guessing=0.5))]


def test_answers_and_outcomes_are_numbers() -> None:
    manifest, _ = run({"dev": 0.5}, count=3)
    said = Table("answers.csv", {"image": ["0000", "0001"], "answer": ["4.50", "6"]}, [2, 3])
    found = answers(said, manifest, RIPENESS)
    assert found["predicted"].tolist() == ["4.5", "6"]
    assert checked_predictions(found, RIPENESS).numbers is not None
    live = Table("outcomes.csv", {"image": ["x"], "predicted": ["4"], "actual": ["soft"]}, [2])
    with pytest.raises(DataError, match=r"1 of 1 rows have an actual value that is not a number: row 2 \('soft'\)"):
        outcomes(live, manifest, RIPENESS)


def test_errors_are_listed_by_size_and_fixed_ones_are_right() -> None:
    _, predictions = run({"dev": 0.5}, count=20)
    listed = errors_of(predictions, "dev")
    assert len(listed) == 20
    assert listed["error"].is_monotonic_decreasing
    seen = checked_predictions(predictions, RIPENESS)
    after = fixed(seen, np.arange(20) < 5)
    assert after.numbers is not None
    assert (after.numbers.errors[:5] == 0).all()


def test_commands_that_need_classes_are_not_advised() -> None:
    advised = [each for part in GAP_ADVICE.values() for each in part if each.command]
    of_numbers = [each.command for each in advised if each.fits(replace(run_of(**NUMBERS), problem=CHOSEN.problem))]
    assert "pipeline spot-check" in [each.command for each in advised]
    assert not {"pipeline spot-check", "pipeline learning-curve"} & set(of_numbers)


def test_of_predictions_that_are_as_far_off_the_first_id_comes_first() -> None:
    _, table = run({"dev": 0.5}, count=20)
    level = table.assign(label="1.0", number_ripeness=np.float32(2.0)).sample(frac=1, random_state=1)
    assert errors_of(level, "dev")["id"].tolist() == sorted(level["id"])


def test_an_error_of_few_groups_of_numbers_lies_between_nothing_and_the_largest() -> None:
    _, table = run({"train": 0.5, "train_dev": 0.5, "dev": 0.5})
    dev = levels_of(table, CHOSEN.evaluate)["dev"]
    assert dev.groups is not None
    few = replace(dev, groups=pd.Series(np.arange(300) % 14).astype(str))
    largest = np.abs(checked_predictions(table[table["split"] == "dev"], RIPENESS).numbers.errors).max()  # type: ignore[union-attr]
    assert around(few, 0.05) == (0.0, largest)


@pytest.mark.parametrize(
    ("part", "rest", "p"),
    [
        ([1.0], [0.0, 0.5], 1.0), ([1.0, 2.0], [0.0], 1.0), ([1.0, 1.0], [0.0, 0.0], 1.0),
        # One side varies: Welch's t is 0.5 / 0.25, at one degree of freedom.
        ([1.0, 1.0], [0.25, 0.75], 0.1476), ([0.25, 0.75], [0.0, 0.0], 0.1476),
    ],
)  # fmt: skip
def test_means_are_compared_where_something_varies(part: list[float], rest: list[float], p: float) -> None:
    assert larger(np.array(part), np.array(rest)) == pytest.approx(p, abs=1e-4)


def test_what_a_dev_of_numbers_can_show_is_the_difference_of_two_means() -> None:
    _, predictions = run({"train": 1.0, "train_dev": 1.0, "dev": 1.0}, count=200)
    dev = gaps(predictions)[0]["dev"]
    [small] = too_small(dev, 0.05)
    assert small.figures["visible"] == pytest.approx(1.959964 * np.sqrt(2 * dev.variance))
