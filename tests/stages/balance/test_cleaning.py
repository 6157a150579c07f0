"""Cleaning drops what lies among other classes; the contract of all strategies is in test_balancing.py."""

from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, ParamsError
from pipeline.stages.balance import cleaning, strategies
from pipeline.stages.balance.balancing import choose_rows
from pipeline.stages.balance.cleaning import picture_features
from tests.examples import picture, striped
from tests.stages.balance.choosing import CLEANERS, OTHERS, choose, manifest, params

LINE = {"apple": 4, "fig": 2}


def on_a_line(strategy: str, *places: int, **others: Any) -> list[int]:
    """The rows that stay of four apples and two figs at these places."""
    rows = manifest(LINE)
    chosen = choose_rows(rows, params(strategy, **others), lambda _: np.array(places, dtype=np.uint8)[:, None])
    kept: list[int] = chosen.rows.tolist()
    return kept


def test_tomek_links_drop_the_row_of_the_large_class() -> None:
    assert on_a_line("tomek_links", 0, 10, 20, 99, 100, 110) == [0, 1, 2, 4, 5]


@pytest.mark.parametrize(
    ("drop_if", "kept"), [pytest.param("any", [0, 1], id="any"), pytest.param("most", [0, 1, 2], id="most")]
)
def test_edited_neighbours_drop_rows_among_others(drop_if: str, kept: list[int]) -> None:
    rows = manifest({"apple": 4, "fig": 3})
    places = np.array([0, 10, 20, 103, 39, 100, 105], dtype=np.uint8)[:, None]
    others: dict[str, Any] = {"neighbours": 2, "drop_if": drop_if}
    chosen = choose_rows(rows, params("edited_nearest_neighbours", **others), lambda _: places)
    assert chosen.rows.tolist() == [*kept, 4, 5, 6]


def test_the_neighbourhood_rule_also_drops_what_outvotes_a_row_of_the_smallest_class() -> None:
    """The apple among figs goes by either rule; those around the fig among apples by this one alone."""
    rows = manifest({"apple": 6, "fig": 4})
    places = np.array([0, 2, 4, 10, 41, 103, 40, 100, 105, 110], dtype=np.uint8)[:, None]
    edited = params("edited_nearest_neighbours", neighbours=3, drop_if="most")
    assert choose_rows(rows, edited, lambda _: places).rows.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    neighbourhood = params("neighbourhood_cleaning_rule", neighbours=3)
    assert choose_rows(rows, neighbourhood, lambda _: places).rows.tolist() == [0, 1, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("version", "kept"),
    [pytest.param(1, [2, 3, 4, 5], id="1"), pytest.param(2, [2, 3, 4, 5], id="2"), pytest.param(3, [3, 4, 5], id="3")],
)
def test_near_miss_keeps_rows_near_the_smallest_class(version: int, kept: list[int]) -> None:
    target = {"name": "minority"}
    assert on_a_line("near_miss", 0, 10, 50, 60, 99, 110, version=version, neighbours=1, target=target) == kept


def test_features_are_mean_colours() -> None:
    features = picture_features(picture(1, 16, 16))
    assert features.shape == (192,)
    assert features.dtype == np.uint8
    blocks = picture(1, 16, 16).reshape(8, 2, 8, 2, 3).mean(axis=(1, 3)).reshape(-1)
    assert np.abs(features - blocks).max() <= 1
    assert picture_features(striped(2, 1, side=28)).shape == (192,)


@pytest.mark.parametrize("strategy", CLEANERS)
def test_more_pictures_than_can_be_compared_are_refused(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "MAX_PICTURES", 20)
    with pytest.raises(
        ParamsError, match=rf"^balance\.strategy {strategy} compares every .* may have at most 20, but it has 21: "
    ):
        choose(manifest({"apple": 11, "fig": 10}), params(strategy))


def test_near_miss_2_that_would_fill_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "MAX_DISTANCES", 100)
    others: dict[str, Any] = {"version": 2, "neighbours": 1, "target": {"name": "minority"}}
    with pytest.raises(ParamsError, match=r"version 2 holds 110 distances .* 100 at most: use version 1 or 3$"):
        choose(manifest({"apple": 11, "fig": 10}), params("near_miss", **others))


@pytest.mark.parametrize("strategy", ["edited_nearest_neighbours", "near_miss"])
def test_classes_with_too_few_rows_for_the_neighbours_are_named(strategy: str) -> None:
    rows = manifest({"apple": 20, "fig": 3, "pear": 2})
    message = (
        rf"^balance\.strategy {strategy} compares 3 neighbours, and each class needs more rows than that: "
        r"class fig has 3, class pear has 2\. Set balance\.strategy\.neighbours to 1 or less, add images to these "
        r"classes, or use a strategy without neighbours"
    )
    with pytest.raises(DataError, match=message):
        choose(rows, params(strategy, **{**OTHERS[strategy], "neighbours": 3}))


@pytest.mark.parametrize("strategy", ["edited_nearest_neighbours", "near_miss"])
def test_no_number_of_neighbours_is_proposed_that_params_refuse(strategy: str) -> None:
    rows = manifest({"apple": 20, "fig": 3, "pear": 1})
    message = r"class pear has 1\. No number is small enough: add images to these classes, or use a strategy"
    with pytest.raises(DataError, match=message):
        choose(rows, params(strategy, **{**OTHERS[strategy], "neighbours": 3}))


def test_a_class_that_would_lose_every_row_is_named() -> None:
    rows = manifest({"apple": 4, "fig": 3})
    places = np.array([1, 9, 11, 21, 0, 10, 20], dtype=np.uint8)[:, None]
    message = (
        r"would drop every row of class apple \(4 rows\), because all their pictures are close to pictures of other "
        r"classes: use tomek_links or"
    )
    with pytest.raises(DataError, match=message):
        choose_rows(rows, params("edited_nearest_neighbours", neighbours=1, drop_if="any"), lambda _: places)
