"""Families of copies are those of comparing all pairs, few pictures are looked at, and crowds cost little."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.perceptual import CROPS, SIDE, Hashes
from pipeline.images.pixels import Pixels
from pipeline.stages.curate.near_hashes import RADIUS, Positions
from pipeline.stages.curate.similarity import copies, linked


def test_no_pictures_have_no_copies() -> None:
    i, j = copies(np.zeros((0, len(CROPS)), np.uint64), np.zeros(0, np.bool_), Bank([]).look, Bank([]).look_closer)
    assert (len(i), len(j)) == (0, 0)


class Bank:
    """Pictures of which each shows one of a few contents in all its views."""

    CONTENTS = np.random.default_rng(0).integers(0, 256, (100, 1, SIDE, SIDE), dtype=np.uint8).repeat(len(CROPS), 1)

    def __init__(self, contents: list[int]) -> None:
        self.contents = np.array(contents, np.int64)
        self.looks: list[int] = []

    def look(self, rows: Positions) -> Pixels:
        self.looks += rows.tolist()
        return self.CONTENTS[self.contents[rows]]

    def look_closer(self, rows: Positions) -> Pixels:
        return np.kron(self.CONTENTS[self.contents[rows], 0], np.ones((2, 2), np.uint8))

    def families(self, hashes: Hashes, parts: list[int] | None = None) -> list[int]:
        compared = np.ones(len(hashes), np.bool_)
        i, j = copies(
            hashes, compared, self.look, self.look_closer, None if parts is None else np.array(parts, np.int64)
        )
        assert (i < j).all()
        return [int(label) for label in linked(np.arange(len(hashes)), i, j)]


HASH = st.lists(st.integers(0, 63), max_size=8).map(lambda bits: sum({1 << bit for bit in bits}))
PICTURES = st.lists(st.tuples(st.integers(0, 2), st.tuples(HASH, HASH, HASH), st.integers(0, 2)), max_size=25)


@given(PICTURES, st.booleans())
@settings(deadline=None)
def test_families_are_those_of_comparing_all(pictures: list[tuple[int, Any, int]], parted: bool) -> None:
    expected = list(range(len(pictures)))
    for _ in pictures:
        for i, (content, hashes, part) in enumerate(pictures):
            for j, (other_content, other_hashes, other_part) in enumerate(pictures):
                near = min((one ^ other).bit_count() for one in hashes for other in other_hashes) <= RADIUS
                if content == other_content and near and (part != other_part or not parted):
                    expected[i] = expected[j] = min(expected[i], expected[j])
    bank = Bank([content for content, _, _ in pictures])
    stacked = np.array([hashes for _, hashes, _ in pictures], np.uint64).reshape(-1, len(CROPS))
    assert bank.families(stacked, [part for _, _, part in pictures] if parted else None) == expected


def test_only_pictures_with_near_hashes_are_looked_at() -> None:
    random = np.random.default_rng(0).integers(0, 2**64, (1000, len(CROPS)), dtype=np.uint64)
    random[700, 1] = random[300, 2] ^ np.uint64(0b10110)
    bank = Bank([0] * 1000)
    assert bank.families(random) == [*range(700), 300, *range(701, 1000)]
    assert bank.looks == [300, 700]


def test_pictures_are_looked_at_anew_when_there_is_no_room_to_remember_them(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    contents = random.integers(0, 4, 100).tolist()
    hashes = random.integers(0, 2**8, (100, len(CROPS)), dtype=np.uint64)
    whole = Bank(contents)
    expected = whole.families(hashes)
    assert len(whole.looks) == len(set(whole.looks)) == 100
    for name, value in (
        ("similarity._PAIRS_AT_ONCE", 64),
        ("similarity._REMEMBERED", 40),
        ("near_hashes._BLOCK", 64),
    ):
        monkeypatch.setattr(f"pipeline.stages.curate.{name}", value)
    parted = Bank(contents)
    assert parted.families(hashes) == expected
    assert len(parted.looks) > 100


@pytest.mark.parametrize("parts", [None, [0, 1, 1, 1] * 500], ids=["all", "two parts"])
@pytest.mark.parametrize("flips", [0, 3], ids=["one hash", "near hashes"])
def test_thousands_of_copies_cost_a_look_at_each(flips: int, parts: list[int] | None) -> None:
    random = np.random.default_rng(0)
    hashes = np.zeros((2000, len(CROPS)), np.uint64)
    for _ in range(flips):
        hashes ^= np.uint64(1) << random.integers(0, 64, hashes.shape, dtype=np.uint64)
    bank = Bank([0] * 2000)
    begun = time.process_time()
    assert bank.families(hashes, parts) == [0] * 2000
    assert sorted(bank.looks) == list(range(2000))
    # Comparing all 18,000,000 pairs of views takes half a minute.
    assert time.process_time() - begun < 10


def test_families_of_one_hash_do_not_multiply_their_cost() -> None:
    bank = Bank([0, 1, 1, 1] * 500)
    begun = time.process_time()
    assert bank.families(np.zeros((2000, len(CROPS)), np.uint64)) == [0, 1, 1, 1] * 500
    assert time.process_time() - begun < 10


def test_of_many_different_pictures_with_one_hash_the_first_are_compared_with_all() -> None:
    bank = Bank([*range(100), *range(100)])
    hashes = np.random.default_rng(0).integers(0, 2**64, (200, len(CROPS)), dtype=np.uint64)
    hashes[:, 1] = 7
    assert bank.families(hashes) == [*range(100), *range(64), *range(164, 200)]
