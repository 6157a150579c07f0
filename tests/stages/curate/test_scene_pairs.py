"""Scenes: pairs are proposed by vectors and times, confirmed by what pictures show, and stay from run to run."""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from pipeline.images.pixels import Pixels
from pipeline.stages.curate import candidates, scenes
from pipeline.stages.curate.scenes import NO_SCENES, Scenes, find_scenes
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine
from tests.examples import encoded
from tests.scenes import crowded

SIDE = 128
# Hashes that propose nothing.
APART = np.random.default_rng(4).integers(0, 2**63, 64).astype(np.uint64)
BIG = cache(lambda seed: crowded(seed, 2 * SIDE))


def view(seed: int, step: int) -> Pixels:
    """A place, seen a step further to the right; shape (SIDE, SIDE, 3)."""
    return BIG(seed)[20 * step : 20 * step + SIDE + 40, 10 * step : 10 * step + SIDE + 40]


class Pictures(ShardReader):
    """Shards of pictures in memory."""

    def __init__(self, pictures: list[Pixels]) -> None:
        super().__init__()
        resized = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in pictures]
        self.files = [encoded(np.asarray(picture, np.uint8)) for picture in resized]

    def image(self, shard: str, row: int) -> bytes:
        return self.files[row]


def contents(count: int, **columns: Any) -> pd.DataFrame:
    names = [f"{number:04}" for number in range(count)]
    frame = pd.DataFrame({"id": names, "sha256": names, "source": "phone", "shard": "x", "row": range(count)})
    times = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
    return frame.assign(captured_at=times, width=SIDE, height=SIDE, **columns)


def alike(count: int) -> npt.NDArray[np.float16]:
    """Vectors of which each is like all others."""
    draw = np.random.default_rng(5)
    found: npt.NDArray[np.float16] = (1 + 0.1 * draw.normal(size=(count, 16))).astype(np.float16)
    return found


def found_in(
    pictures: list[Pixels], vectors: Any = "alike", earlier: pd.DataFrame = NO_SCENES, **columns: Any
) -> Scenes:
    chosen = alike(len(pictures)) if isinstance(vectors, str) else vectors
    table = contents(len(pictures)).assign(**columns)
    return find_scenes(table, chosen, APART[: len(table)], earlier, Pictures(pictures), "crop", Engine(1))


def ends(found: Scenes) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in found.pairs[["one", "other"]].to_numpy()]


def test_views_of_a_place_are_pairs_and_other_places_are_not() -> None:
    found = found_in([view(1, 0), view(2, 0), view(1, 1), view(3, 0), view(2, 1)])
    assert ends(found) == [(0, 2), (1, 4)]
    assert (found.pairs["places"] >= 10).all()
    assert (found.compared, found.untold, found.crowds) == (10, 0, [])


def test_hashes_propose_what_vectors_do_not() -> None:
    pictures = [view(1, 0), view(2, 0), view(1, 1)]
    hashes = np.array([0b1111, 2**40 - 1, 0b0011], np.uint64)
    found = find_scenes(contents(3), None, hashes, NO_SCENES, Pictures(pictures), "crop", Engine(1))
    assert (ends(found), found.compared) == ([(0, 2)], 1)


def test_what_is_unlike_by_vector_is_not_compared() -> None:
    vectors = np.eye(3, 16, dtype=np.float16)
    found = found_in([view(1, 0), view(1, 1), view(1, 2)], vectors)
    assert (ends(found), found.compared) == ([], 0)


def test_times_propose_what_vectors_do_not() -> None:
    times = pd.to_datetime(["2026-01-01 10:00:00", "2026-01-01 10:00:50", "2026-01-01 10:03:00"], utc=True)
    pictures = [view(1, 0), view(1, 1), view(1, 2)]
    assert ends(found_in(pictures, None, captured_at=times)) == [(0, 1)]
    assert ends(found_in(pictures, None, captured_at=times, meta_camera=["a", "b", "a"])) == []
    assert ends(found_in(pictures, None, captured_at=times, source=["web", "phone", "phone"])) == []


def test_confirmed_pairs_stay_when_newcomers_push_them_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "NEIGHBOURS", 1)
    pictures = [view(1, 0), view(1, 2)]
    vectors = np.array([[1, 0], [1, 0.2]], np.float16)
    before = found_in(pictures, vectors)
    assert ends(before) == [(0, 1)]
    # Two strangers are more like each of both.
    pictures += [view(5, 0), view(6, 0)]
    vectors = np.concatenate([vectors, np.array([[1, 0.01], [1, 0.21]], np.float16)])
    assert ends(found_in(pictures, vectors)) == []
    after = found_in(pictures, vectors, before.decided)
    pd.testing.assert_frame_equal(after.pairs, before.pairs)


def test_pairs_of_contents_that_are_gone_are_dropped() -> None:
    earlier = pd.DataFrame(
        {"one": ["0000", "0000"], "other": ["0001", "9999"], "places": [40, 40], "scene": [True, True]}
    )
    assert ends(found_in([view(1, 0), view(2, 0)], None, earlier.astype(NO_SCENES.dtypes.to_dict()))) == [(0, 1)]


def test_known_pairs_are_not_compared_again() -> None:
    pictures = [view(1, 0), view(1, 1), view(2, 0)]
    first = found_in(pictures)
    again = found_in(pictures, earlier=first.decided)
    assert (first.compared, again.compared) == (3, 0)
    assert (len(first.decided), len(first.pairs)) == (3, 1)
    pd.testing.assert_frame_equal(first.decided, again.decided)


def test_a_newcomer_is_compared_alone() -> None:
    pictures = [view(1, 0), view(1, 1), view(2, 0), view(2, 1)]
    before = found_in(pictures[:3])
    after = found_in(pictures, earlier=before.decided)
    assert (after.compared, ends(after)) == (3, [(0, 1), (2, 3)])
    pd.testing.assert_frame_equal(after.decided, found_in(pictures).decided)


def test_small_pictures_are_not_compared() -> None:
    small = found_in([view(1, 0), view(1, 1)], width=[SIDE, SIDE], height=[SIDE, SIDE])
    assert small.untold == 0
    bars = find_scenes(
        contents(2).assign(height=SIDE // 4),
        alike(2),
        APART[:2],
        NO_SCENES,
        Pictures([view(1, 0), view(1, 1)]),
        "pad",
        Engine(1),
    )
    assert (bars.untold, bars.compared) == (2, 0)


def form(number: int) -> Pixels:
    """A printed form, the same each time but for what was written into it."""
    pixels = crowded(7, SIDE)
    pixels[88:, 8:-8] = crowded(200 + number, SIDE)[:40, 8:-8]
    return pixels


def test_forms_are_a_crowd_and_no_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "CROWD", 8)
    pictures = [form(number) for number in range(20)] + [view(1, 0), view(1, 1)]
    found = found_in(pictures)
    assert found.crowds == [20]
    # What is no crowd keeps its pairs.
    assert ends(found) == [(20, 21)]
    again = found_in(pictures, earlier=found.decided)
    assert (again.crowds, again.compared) == ([20], 0)
    pd.testing.assert_frame_equal(again.decided, found.decided)


def test_what_a_pair_of_a_crowd_shares_beyond_its_ground_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "CROWD", 8)

    def product(number: int, moved: int = 0) -> Pixels:
        """Things before the ground of a fixed camera."""
        pixels = crowded(7, SIDE)
        pixels[10:110, 10 + moved : 110 + moved] = crowded(100 + number, SIDE)[:100, :100]
        return pixels

    pictures = [product(number) for number in range(12)] + [product(3, moved=12)]
    found = found_in(pictures)
    assert found.crowds == [13]
    assert ends(found) == [(3, 12)]


def test_a_large_scene_that_is_no_crowd_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "CROWD", 4)
    wide = crowded(3, 900, 2600)
    # A camera that pans: neighbours share much, the first and the last nothing.
    pictures = [wide[300:428, 40 * step : 40 * step + SIDE] for step in range(12)]
    vectors = np.stack([[np.cos(step / 8), np.sin(step / 8)] for step in range(12)]).astype(np.float16)
    found = found_in(pictures, vectors)
    assert found.crowds == []
    assert {(step, step + 1) for step in range(11)} <= {*ends(found)}


def test_the_order_of_images_does_not_count() -> None:
    pictures = [view(seed, step) for seed in range(4) for step in range(2)]
    plain = found_in(pictures)
    order = np.random.default_rng(1).permutation(len(pictures))
    table = contents(len(pictures)).iloc[order].reset_index(drop=True)
    other = find_scenes(
        table, alike(len(pictures))[order], APART[order], NO_SCENES, Pictures(pictures), "crop", Engine(1)
    )
    assert {*ends(plain)} == {*ends(other)} == {(0, 1), (2, 3), (4, 5), (6, 7)}


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_pair_there_is_nothing_to_compare(count: int) -> None:
    found = found_in([view(1, 0)][:count])
    assert (len(found.pairs), found.compared) == (0, 0)
