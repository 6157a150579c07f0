"""What production's camera does is found again, and nothing where it does nothing."""

import dataclasses
import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import DataError
from pipeline.images.pixels import Pixels
from pipeline.manifest import PRODUCTION, RAW
from pipeline.stages.augment import production_gap
from pipeline.stages.augment.degradation import ABSENT, KINDS, NOTHING, Strength, Strengths
from pipeline.stages.augment.production_gap import LEVEL, MIN_IMAGES, WINDOW, Gap, estimate_gap
from pipeline.stages.augment.strength_search import move
from tests.scenes import both_roles, rows_of, scene

IMAGES = 120


def gap_of(rows: pd.DataFrame, pictures: Any, seed: int = 1) -> Gap:
    return estimate_gap(rows, lambda number: pictures[number], seed)


@pytest.mark.parametrize(
    ("kind", "planted", "near"),
    [
        ("brightness", Strength(-0.7, 0.2), 0.15),
        ("contrast", Strength(-0.8, 0.1), 0.15),
        ("blue", Strength(-0.7, 0.05), 0.25),
        ("saturation", Strength(-1.0, 0.2), 0.25),
        ("resolution", Strength(1.0, 0.2), 0.25),
        ("blur", Strength(1.0, 0.2), 0.25),
        ("noise", Strength(0.05, 0.01), 0.01),
        ("jpeg", Strength(70.0, 5.0), 10.0),
    ],
)
def test_planted_degradation_is_found_again(kind: str, planted: Strength, near: float) -> None:
    gap = gap_of(*both_roles(Strengths(**{kind: planted}), IMAGES))
    found = getattr(gap.strengths, kind)
    assert found.typical == pytest.approx(planted.typical, abs=near)
    assert found.spread <= planted.spread + 2 * near
    idle = [other for other in gap.strengths.used() if other != kind]
    assert len(idle) <= 1
    assert gap.before.low is not None
    assert gap.after.low is not None
    assert gap.before.statistic > 0.75
    assert gap.before.low > 0.6
    assert gap.after.low < 0.55
    assert gap.after.statistic < gap.before.statistic - 0.2


def test_degradations_together_are_closed_together() -> None:
    planted = Strengths(brightness=Strength(-0.6, 0.1), noise=Strength(0.05, 0.01))
    gap = gap_of(*both_roles(planted, IMAGES))
    assert gap.strengths.brightness.typical == pytest.approx(-0.6, abs=0.2)
    assert gap.strengths.noise.typical == pytest.approx(0.05, abs=0.015)
    assert gap.before.statistic > 0.9
    assert gap.after.statistic < 0.65


@pytest.mark.parametrize("seed", range(4))
def test_where_there_is_no_gap_nothing_is_chosen(seed: int) -> None:
    gap = gap_of(*both_roles(NOTHING, 80), seed=seed)
    assert gap.strengths == NOTHING
    assert gap.before == gap.after


DARK = Strengths(brightness=Strength(-0.7, 0.1))
FEW = both_roles(DARK, 60, 16)


@cache
def few_gap() -> Gap:
    return gap_of(*FEW)


def test_order_and_index_of_rows_do_not_count() -> None:
    rows, pictures = FEW
    shuffled = np.random.default_rng(1).permutation(len(rows))
    other = gap_of(rows.iloc[shuffled].set_axis([3] * len(rows)), [pictures[number] for number in shuffled])
    assert other == few_gap()
    assert other.strengths != NOTHING


def test_categories_are_read_as_strings() -> None:
    rows, pictures = FEW
    assert gap_of(rows.astype({"label": "category", "role": "category"}), pictures) == few_gap()


def of_two_classes(raw_night: int, production_night: int) -> tuple[pd.DataFrame, list[Pixels]]:
    """As many scenes of each role, so many of them of the dark class `night`; both cameras are alike."""
    rows, pictures = both_roles(NOTHING, IMAGES, 16)
    night = rows.groupby("role", sort=False).cumcount() < rows["role"].map(
        {RAW: raw_night, PRODUCTION: production_night}
    )
    dark = [pixels // 3 if is_dark else pixels for pixels, is_dark in zip(pictures, night, strict=True)]
    return rows.assign(label=np.where(night, "night", "day")), dark


def test_another_mixture_of_classes_is_no_gap() -> None:
    rows, pictures = of_two_classes(80, 40)
    gap = gap_of(rows, pictures)
    assert gap.within_classes
    assert gap.strengths == NOTHING
    assert gap.before.p > LEVEL
    blind = gap_of(rows.assign(label="any"), pictures)
    assert blind.before.statistic > gap.before.statistic + 0.05


def test_production_without_labels_counts_too() -> None:
    rows, pictures = FEW
    gap = gap_of(rows.assign(label=rows["label"].where(rows["role"] == RAW, "")), pictures)
    assert not gap.within_classes
    assert gap.strengths.brightness.typical == pytest.approx(-0.7, abs=0.2)


def test_a_class_of_one_role_alone_is_left_out() -> None:
    rows, pictures = FEW
    white = [np.full((16, 16, 3), 255, np.uint8)] * 50
    with_flash = pd.concat([rows, rows_of(PRODUCTION, "flash", 50, label="flash")], ignore_index=True)
    assert gap_of(with_flash, [*pictures, *white]) == few_gap()


def test_one_picture_of_a_group_counts() -> None:
    rows, pictures = FEW
    burst = [np.full((16, 16, 3), 255, np.uint8)] * 300
    of_one = pd.concat([rows, rows_of(PRODUCTION, "burst", 300, group="one")], ignore_index=True)
    gap, plain = gap_of(of_one, [*pictures, *burst]), few_gap()
    assert abs(gap.images - plain.images) <= 1
    assert gap.strengths.brightness.typical == pytest.approx(plain.strengths.brightness.typical, abs=0.2)


def test_a_group_of_both_roles_stands_in_one_half_and_fold() -> None:
    rows, _ = both_roles(NOTHING, 100, 16)
    pairs, _ = production_gap._paired(rows.assign(group=[f"group {number % 100}" for number in range(200)]), 1)
    halves = [{number % 100 for number in np.concatenate(pair).tolist()} for pair in pairs]
    assert not halves[0] & halves[1]
    assert len(halves[0] | halves[1]) == 100


def test_so_many_pictures_are_read_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_gap, "MAX_IMAGES", 30)
    rows, pictures = both_roles(DARK, 200, 16)
    rows["label"] = [f"class {number % 5}" for number in range(400)]
    read: list[int] = []

    def looked_at(number: int) -> Pixels:
        read.append(number)
        return pictures[number]

    images = estimate_gap(rows, looked_at, 1).images
    # At most one more for each of five classes in each half.
    assert 60 <= images <= 70
    assert len(read) == len(set(read)) == 2 * images
    counts = [rows.iloc[read].query("role == @role")["label"].value_counts().to_dict() for role in (RAW, PRODUCTION)]
    assert counts[0] == counts[1]
    assert min(counts[0].values()) > 8


def test_trials_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_gap, "MAX_TRIALS", 20)
    tried: list[Strengths] = []

    def measured(_: object, strengths: Strengths) -> float:
        tried.append(strengths)
        return 1.0

    monkeypatch.setattr(production_gap._Distance, "_measured", measured)
    gap_of(*FEW)
    assert len(tried) == len(set(tried)) == 20


def test_large_pictures_are_looked_at_through_a_window() -> None:
    pixels = np.arange(300 * 200 * 3, dtype=np.uint32).astype(np.uint8).reshape(300, 200, 3)
    seen = production_gap._window(pixels)
    assert seen.shape == (WINDOW, WINDOW, 3)
    np.testing.assert_array_equal(seen, pixels[96 : 96 + WINDOW, 48 : 48 + WINDOW])
    np.testing.assert_array_equal(production_gap._window(pixels[:8, :8]), pixels[:8, :8])
    assert 96 % 16 == 48 % 16 == WINDOW % 16 == 0


@pytest.mark.parametrize("production", [0, 12])
def test_too_few_images_of_production_are_an_error(production: int) -> None:
    rows, pictures = both_roles(NOTHING, 60, 16)
    with pytest.raises(DataError) as caught:
        gap_of(rows.head(60 + production), pictures)
    words = str(caught.value)
    assert f"Each half needs {MIN_IMAGES} groups of each role" in words
    assert words.endswith("split.production, or set augment.match_production to false")
    assert ("and 0 of production" in words) == (production == 0)


def test_too_few_in_shared_classes_are_compared_across_classes() -> None:
    rows, pictures = FEW
    gap = gap_of(rows.assign(label=rows["role"]), pictures)
    assert not gap.within_classes
    assert gap.strengths != NOTHING


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("raw", "production"),
    [
        (np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)),
        (np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 255, np.uint8)),
        (scene(1, 8), scene(2, 8)),
    ],
    ids=["all black", "black and white", "one tiny picture each"],
)
def test_pictures_without_content_are_measured(raw: Pixels, production: Pixels) -> None:
    rows, _ = both_roles(NOTHING, 60, 16)
    gap = gap_of(rows, [raw] * 60 + [production] * 60)
    assert 0 <= gap.after.statistic <= 1
    numbers = json.dumps(gap.metrics, allow_nan=False)
    assert json.loads(numbers) == gap.metrics


def test_tiny_pictures_are_darkened() -> None:
    gap = gap_of(*both_roles(DARK, 100, 8))
    assert gap.strengths.brightness.typical == pytest.approx(-0.7, abs=0.2)
    assert gap.after.statistic < gap.before.statistic


def test_grey_pictures_stay_grey() -> None:
    rows, pictures = both_roles(Strengths(blur=Strength(1.0, 0.2)), 100, 24)
    grey = [np.repeat(pixels[:, :, 1:2], 3, axis=2) for pixels in pictures]
    gap = gap_of(rows, grey)
    assert not {"red", "blue", "saturation"} & set(gap.strengths.used())
    assert gap.after.statistic < 0.7 < gap.before.statistic


def test_colours_that_production_does_not_have_are_taken_out() -> None:
    rows, pictures = both_roles(NOTHING, 100, 16)
    grey = [np.repeat(pixels[:, :, 1:2], 3, axis=2) for pixels in pictures[100:]]
    gap = gap_of(rows, [*pictures[:100], *grey])
    assert gap.strengths.saturation.typical <= -2
    assert gap.before.statistic > 0.99


def test_the_report_names_every_kind_and_the_summary_what_is_used() -> None:
    gap = few_gap()
    metrics = gap.metrics
    assert list(metrics["strengths"]) == list(KINDS)
    assert metrics["strengths"]["brightness"]["typical"] == gap.strengths.brightness.typical
    assert metrics["auc_before"] == gap.before.statistic
    assert metrics["auc_after"] == gap.after.statistic
    assert metrics["auc_before_low"] <= metrics["auc_before"] <= metrics["auc_before_high"]
    assert metrics["auc_after_low"] <= metrics["auc_after"] <= metrics["auc_after_high"]
    assert f"brightness {gap.strengths.brightness.typical:g} ± " in gap.summary
    assert "jpeg" not in gap.summary
    assert "degraded by nothing;" in gap_of(*both_roles(NOTHING, 60, 16)).summary


def test_the_summary_says_where_nothing_came_nearer() -> None:
    gap = few_gap()
    words = ". It is no lower on held-out images, so you can turn augment.match_production off"
    assert words not in gap.summary.splitlines()[0]
    assert dataclasses.replace(gap, after=gap.before).summary.splitlines()[0].endswith(words)


def test_another_seed_chooses_by_other_pictures() -> None:
    rows, pictures = FEW
    assert gap_of(rows, pictures, seed=2).before != few_gap().before


def test_steps_reach_the_ends_and_zero() -> None:
    for kind in KINDS:
        up = move(NOTHING, kind, "typical", 1000)
        assert getattr(up, kind).typical == KINDS[kind].high
        there_and_back = move(move(NOTHING, kind, "spread", 4), kind, "spread", -4)
        assert getattr(there_and_back, kind) == ABSENT
