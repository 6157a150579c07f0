"""Neighbours stay neighbours on a map, and it is the same for any number of threads."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from pipeline.data.vectors import unit
from pipeline.tools.map import layout
from pipeline.tools.map.layout import places_of

IMAGES, KINDS = 180, 6


def vectors(images: int = IMAGES, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around six corners of a space of 20 dimensions, and the corner of each."""
    generator = np.random.default_rng(seed)
    kinds = np.arange(images) % KINDS
    return unit((np.eye(20)[kinds] + generator.normal(0, 0.1, (images, 20))).astype(np.float32)), kinds


def ids(count: int) -> np.ndarray:
    return np.array([f"{number:064x}" for number in range(count)])


def same_kind(places: np.ndarray, kinds: np.ndarray) -> float:
    """Of how many images the five nearest are of their own kind."""
    distances = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((kinds[np.argsort(distances, axis=1)[:, :5]] == kinds[:, None]).mean())


def test_kinds_lie_apart_and_the_map_fills_its_frame() -> None:
    found, kinds = vectors()
    places = places_of(found, ids(IMAGES))
    assert same_kind(places, kinds) > 0.97
    assert places.min() == 0
    assert places.max() == 1
    assert (np.round(places, 4) == places).all()


def test_places_are_the_same_for_any_number_of_threads() -> None:
    found, _ = vectors(100)
    with threadpool_limits(4):
        many = places_of(found, ids(100))
    with threadpool_limits(1):
        assert (places_of(found, ids(100)) == many).all()


def test_of_many_images_some_are_laid_out_and_the_others_join_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_LANDMARKS", 60)
    found, kinds = vectors(300)
    places = places_of(found, ids(300))
    assert same_kind(places, kinds) > 0.97
    order = np.random.default_rng(1).permutation(300)
    shuffled = places_of(found[order], ids(300)[order])
    assert same_kind(shuffled, kinds[order]) > 0.97


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5, 6])
def test_a_few_images_have_places(count: int) -> None:
    found, _ = vectors(count)
    places = places_of(found, ids(count))
    assert places.shape == (count, 2)
    assert np.isfinite(places).all()


def test_equal_images_lie_in_one_place() -> None:
    places = places_of(np.ones((50, 8), np.float32) / np.float32(np.sqrt(8)), ids(50))
    assert (places == places[0]).all()
