"""Parts of train are nested and stratified, laws are found again, and the answer is as sure as the points."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.diagnosis.learning_curve import (
    ALL,
    EXPONENTS,
    PowerLaw,
    answer,
    check_images,
    fit_power_law,
    images_in,
    part_of,
    render,
    sizes_of,
)
from pipeline.errors import DataError
from pipeline.manifest import PRODUCTION, RAW
from pipeline.metrics.mean_intervals import share_interval


def rows(raw: int = 40, production: int = 16, copies: int = 2) -> pd.DataFrame:
    """So many images of each of two classes and role, each with copies."""
    images = [
        (f"{role}/{label}/{number}", role, label, copy)
        for role, count in ((RAW, raw), (PRODUCTION, production))
        for label in ("apple", "fig")
        for number in range(count)
        for copy in range(copies)
    ]
    return pd.DataFrame(images, columns=["id", "role", "label", "copy"]).assign(group=lambda frame: frame["id"])


@given(seed=st.integers(0, 1000), curve=st.sampled_from([ALL, RAW, PRODUCTION]))
@settings(max_examples=20, deadline=None)
def test_parts_are_nested_stratified_and_keep_an_image_with_its_copies(seed: int, curve: str) -> None:
    train = rows()
    before = np.zeros(len(train), bool)
    for share in sizes_of(4):
        inside = part_of(train, curve, share, seed)
        assert (inside | ~before).all()
        before = inside
        kept = train[inside]
        assert (kept.groupby("id").size() == 2).all()
        for (role, _), part in train.groupby(["role", "label"]):
            grows = curve in {ALL, role}
            expected = round(share * part["id"].nunique()) if grows else part["id"].nunique()
            assert kept["id"].isin(part["id"]).groupby(kept["id"]).first().sum() == expected
    assert before.all()


def test_a_part_is_the_same_in_any_order_of_rows_and_other_for_other_seeds() -> None:
    train = rows()
    shuffled = train.sample(frac=1, random_state=1)
    ids = set(train["id"][part_of(train, ALL, 0.25, 1)])
    assert ids == set(shuffled["id"][part_of(shuffled, ALL, 0.25, 1)])
    assert ids != set(train["id"][part_of(train, ALL, 0.25, 2)])
    assert (images_in(train, ALL), images_in(train, RAW), images_in(train, PRODUCTION)) == (112, 80, 32)


@pytest.mark.parametrize(("a", "b", "c"), [(2.0, 0.5, 0.02), (1.0, 0.35, 0.0), (0.0, 1.0, 0.1), (40.0, 1.0, 0.05)])
def test_a_law_is_found_again(a: float, b: float, c: float) -> None:
    sizes = [100, 200, 400, 800, 1600]
    truth = PowerLaw(*(np.array([value]) for value in (a, b, c)))
    errors = np.array([[float(truth.at(size)[0]) for size in sizes]])
    found = fit_power_law(sizes, errors)
    assert [float(found.at(size)[0]) for size in sizes] == pytest.approx(errors[0].tolist(), abs=1e-3)
    assert float(found.at(3200)[0]) == pytest.approx(float(truth.at(3200)[0]), abs=2e-3)


def test_laws_never_rise_nor_fall_below_zero() -> None:
    errors = np.random.default_rng(1).uniform(0, 1, (200, 4))
    found = fit_power_law([10, 20, 40, 80], errors)
    assert (found.a >= 0).all()
    assert (found.c >= 0).all()
    assert (found.at(160) <= found.at(80) + 1e-12).all()


def measured(a: float, b: float, c: float, dev: int, seeds: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors at four sizes, drawn as so many dev images would show them, and exact ends of the last ones."""
    generator = np.random.default_rng(5)
    truth = np.array([a * size**-b + c for size in SIZES])[:, None]
    errors = generator.binomial(dev, truth, (4, seeds)) / dev
    ends = np.array([share_interval(float(error), dev, 0.05 / 3) for error in errors[-1]])
    return errors, generator.binomial(dev, np.clip(errors, 0, 1)[..., None], (4, seeds, 400)) / dev, ends


SIZES = [200, 400, 800, 1600]


@pytest.mark.parametrize(
    ("law", "dev", "verdict", "words"),
    [
        pytest.param(
            (4.0, 0.5, 0.0), 20_000, "present", "Twice the raw images (3,200) would help: ", id="still falling"
        ),
        pytest.param((40.0, 1.0, 0.05), 20_000, "absent", "Twice the raw images (3,200) would not help: ", id="flat"),
        pytest.param(
            (4.0, 0.5, 0.0), 40, "cannot tell", "Cannot tell whether twice the raw images", id="few dev images"
        ),
    ],
)
def test_answer_is_as_sure_as_its_points(law: tuple[float, float, float], dev: int, verdict: str, words: str) -> None:
    found = answer(RAW, SIZES, *measured(*law, dev), curves=3, seed=1, relevant=0.02)
    assert found.verdict == verdict
    assert render(found).startswith(words)
    assert found.low <= found.gain <= found.high
    reach = f"{100 * found.gain:.1f} points ({100 * found.low:.1f} to {100 * found.high:.1f})"
    assert f"dev's error from {found.now:.1%} to about {found.twice:.1%}, {reach}." in render(found)


def test_where_no_image_errs_the_gain_may_be_as_large_as_the_error_may_be() -> None:
    errors, drawn = np.zeros((4, 3)), np.zeros((4, 3, 400))
    ends = np.tile(share_interval(0.0, 60, 0.05), (3, 1))
    found = answer(RAW, SIZES, errors, drawn, ends, curves=1, seed=1, relevant=0.02)
    assert found.gain == found.low == 0
    assert found.high == pytest.approx(ends[0, 1])
    assert found.verdict == "cannot tell"


def test_the_bootstraps_ends_move_out_as_far_as_those_of_the_error() -> None:
    errors, drawn, ends = measured(4.0, 0.5, 0.0, 400)
    plain = answer(RAW, SIZES, errors, drawn, errors[-1][:, None] + [-1e-9, 1e-9], curves=3, seed=1, relevant=0.02)
    twice = errors[-1][:, None] + 2 * (
        np.percentile(drawn[-1], [2.5 / 3, 100 - 2.5 / 3], axis=1).T - errors[-1][:, None]
    )
    wide = answer(RAW, SIZES, errors, drawn, twice, curves=3, seed=1, relevant=0.02)
    assert wide.high - wide.gain == pytest.approx(2 * (plain.high - plain.gain))
    assert wide.gain - wide.low == pytest.approx(2 * (plain.gain - plain.low))
    exact = answer(RAW, SIZES, errors, drawn, ends, curves=3, seed=1, relevant=0.02)
    assert plain.high <= exact.high < wide.high


def test_too_few_groups_tell_nothing() -> None:
    errors, drawn, ends = measured(4.0, 0.5, 0.0, 20_000)
    found = answer(RAW, SIZES, errors, drawn, np.full_like(ends, np.nan), curves=3, seed=1, relevant=0.02)
    assert (found.verdict, found.low, found.high) == ("cannot tell", -1.0, 1.0)


def test_too_few_images_are_named_with_the_number_that_it_takes() -> None:
    few = rows(raw=9, production=3)
    message = (
        r"^train has too few .*: the class apple has 12 images. Its smallest part, 0\.125 of them, needs 2, "
        r"so 16 in all\. Use fewer sizes \(--sizes\), or collect more images$"
    )
    with pytest.raises(DataError, match=message):
        check_images(few, ALL, 0.125)
    with pytest.raises(DataError, match=r"^train's production part has too few .*apple has 3 images"):
        check_images(few, PRODUCTION, 0.5)
    with pytest.raises(DataError, match=r"^train's production part has too few .*it has none"):
        check_images(few[few["role"] == RAW], PRODUCTION, 0.5)
    check_images(few, ALL, 0.25)


def test_shares_double_up_to_all() -> None:
    assert sizes_of(1) == [1.0]
    assert sizes_of(3) == [0.25, 0.5, 1.0]


def test_laws_are_the_best_of_all_exponents_by_weighted_squares() -> None:
    """Points weigh as errors of so many images vary: those near 0 more."""
    sizes, errors = np.array([100.0, 200, 400, 800]), np.array([0.5, 0.3, 0.12, 0.08])
    weight = 1 / (errors * (1 - errors))
    found = fit_power_law(sizes.tolist(), errors[None])

    def loss(a: float, b: float, c: float) -> float:
        return float((weight * (errors - a * sizes**-b - c) ** 2).sum())

    own = loss(float(found.a[0]), float(found.b[0]), float(found.c[0]))
    for exponent in EXPONENTS:
        # numpy's own weighted least squares.
        design = np.column_stack([sizes**-exponent, np.ones(4)]) * np.sqrt(weight)[:, None]
        a, c = np.linalg.lstsq(design, errors * np.sqrt(weight), rcond=None)[0]
        if a >= 0 and c >= 0:
            assert own <= loss(a, exponent, c) + 1e-12
    assert float(found.b[0]) in EXPONENTS.tolist()
    assert found.at(100) == pytest.approx(found.a * 100**-found.b + found.c)


def test_errors_that_rise_are_level_and_those_below_zero_end_at_it() -> None:
    rising = fit_power_law([10, 20, 40], np.array([[0.1, 0.2, 0.3]]))
    assert rising.a == 0
    weight = 1 / np.array([0.09, 0.16, 0.21])
    assert rising.c == pytest.approx((weight * [0.1, 0.2, 0.3]).sum() / weight.sum())
    steep = fit_power_law([10, 20, 40], np.array([[0.9, 0.3, 0.02]]))
    assert steep.c == 0


def test_answers_are_told_of_all_images_too() -> None:
    found = answer(ALL, SIZES, *measured(4.0, 0.5, 0.0, 20_000), curves=3, seed=1, relevant=0.02)
    assert found.images == 1600
    assert found.now == pytest.approx(0.1, abs=0.004)
    assert found.twice == pytest.approx(4 * 3200**-0.5, abs=0.006)
    assert found.gain == found.now - found.twice
    sentence = render(replace(found, now=0.1, twice=0.07, gain=0.03, low=0.01, high=0.05))
    assert sentence == (
        "Twice the images (3,200) would help: dev's error from 10.0% to about 7.0%, 3.0 points (1.0 to 5.0)."
    )
    unknown = render(replace(found, verdict="cannot tell"))
    assert unknown.endswith(" More seeds (--seeds) narrow the interval.")


def test_a_class_needs_two_images_in_the_smallest_part() -> None:
    check_images(rows(raw=10, production=6), ALL, 0.125)
    with pytest.raises(DataError, match="apple has 15 images"):
        check_images(rows(raw=10, production=5), ALL, 0.125)


def test_exponents_are_those_from_a_twentieth_to_two() -> None:
    assert pytest.approx(np.arange(1, 41) / 20) == EXPONENTS


def test_the_smallest_part_has_one_group_of_each_class() -> None:
    inside = part_of(rows(raw=3, production=0, copies=1), RAW, 0.05, 1)
    assert inside.sum() == 2
