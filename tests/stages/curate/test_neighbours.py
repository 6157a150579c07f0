"""Nearest vectors and hashes: exact among few images, in parts among many, the same for any number of threads."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.stages.curate import neighbours, partitions
from pipeline.stages.curate.neighbours import nearest, nearest_hashes
from pipeline.workers.engine import Engine


def test_equal_vectors_and_zeros_do_no_harm() -> None:
    numbers, likeness = nearest(np.zeros((5, 3), np.float16), 2, Engine(1))
    assert numbers.shape == (5, 2)
    assert (likeness == 0).all()
    numbers, likeness = nearest(np.ones((4, 3), np.float16), 8, Engine(1))
    assert numbers.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert (likeness == 1).all()


@pytest.fixture
def _parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images are searched as if they were many."""
    monkeypatch.setattr(neighbours, "EXACT", 100)
    monkeypatch.setattr(partitions, "PART", 50)
    monkeypatch.setattr(partitions, "DIMENSIONS", 32)
    monkeypatch.setattr(partitions, "PROBED", 8)


def clustered(count: int) -> npt.NDArray[np.float16]:
    """Clusters of eight; shape (count, 200)."""
    draw = np.random.default_rng(2)
    centres = draw.normal(size=(count // 8, 40)) @ draw.normal(size=(40, 200))
    found: npt.NDArray[np.float16] = (np.repeat(centres, 8, axis=0) + 2 * draw.normal(size=(count, 200))).astype(
        np.float16
    )
    return found


def recall(found: Any, exact: Any) -> float:
    return float(
        np.mean([len({*one} & {*other}) / len(one) for one, other in zip(exact.tolist(), found.tolist(), strict=True)])
    )


@pytest.mark.usefixtures("_parted")
def test_many_images_have_nearly_the_same_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(1600)
    found, likeness = nearest(vectors, 5, Engine(1))
    monkeypatch.setattr(neighbours, "EXACT", 10_000)
    exact, alike = nearest(vectors, 5, Engine(1))
    assert recall(found, exact) >= 0.95
    same = found == exact
    np.testing.assert_allclose(likeness[same], alike[same], atol=1e-4)


@pytest.mark.usefixtures("_parted")
def test_any_number_of_threads_finds_the_same() -> None:
    vectors = clustered(800)
    for one, other in zip(nearest(vectors, 5, Engine(1)), nearest(vectors, 5, Engine(3)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("_parted")
def test_a_crowd_of_equal_vectors_is_searched_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.concatenate([clustered(400), np.ones((600, 200), np.float16), np.zeros((40, 200), np.float16)])
    sizes = []
    searched = partitions._searched

    def measured(part: int, search: Any) -> Any:
        sizes.append(len(search.members[part]))
        return searched(part, search)

    monkeypatch.setattr(partitions, "_searched", measured)
    numbers, likeness = nearest(vectors, 5, Engine(1))
    assert max(sizes) <= 2 * partitions.PART
    assert (likeness[400:1000] == 1).all()
    assert (likeness[1000:] == 0).all()
    assert (numbers != np.arange(len(vectors))[:, None]).all()
    assert (likeness[:400, 0] > 0.5).mean() > 0.9


def test_the_nearest_hashes_are_those_of_fewest_bits_and_the_first_of_equals() -> None:
    numbers, bits = nearest_hashes(np.array([0, 1, 3, 0, 2**63], np.uint64), 2, 12)
    assert numbers.tolist() == [[3, 1], [0, 2], [1, 0], [0, 1], [0, 3]]
    assert bits.tolist() == [[0, 1], [1, 1], [1, 2], [0, 1], [1, 1]]
    numbers, bits = nearest_hashes(np.array([0, 2**13 - 1], np.uint64), 2, 12)
    assert numbers.tolist() == [[-1, -1], [-1, -1]]
    assert bits.tolist() == [[65, 65], [65, 65]]


@pytest.mark.parametrize("count", [0, 1, 700])
def test_the_nearest_hashes_are_those_that_comparing_all_finds(count: int) -> None:
    draw = np.random.default_rng(count)
    # Clusters, equal ones among them, of which members differ in few bits.
    hashes = draw.integers(0, 2**63, 20).astype(np.uint64)[draw.integers(0, 20, count)]
    for _ in range(7):
        flips = np.uint64(1) << draw.integers(0, 64, count).astype(np.uint64)
        hashes ^= np.where(draw.random(count) < 0.6, flips, np.uint64(0))
    differing = np.bitwise_count(hashes[:, None] ^ hashes).astype(np.int64)
    np.fill_diagonal(differing, 65)
    expected = np.argsort(differing, axis=1, kind="stable")[:, :3]
    bits = np.take_along_axis(differing, expected, axis=1)
    far = np.pad(bits, ((0, 0), (0, 3 - bits.shape[1])), constant_values=65)
    far[far > 12] = 65
    found = nearest_hashes(hashes, 3, 12)
    np.testing.assert_array_equal(found[1], far)
    np.testing.assert_array_equal(found[0][far < 65], expected[bits <= 12])
