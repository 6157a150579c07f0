"""Which images show one scene: one crate, room or object, taken a step aside; frames of a burst or a video.

Neighbours by vector, by hash and by time of capture propose pairs, local features decide (images/local_features.py).
What many images share is no scene but a ground: a form, a stamp, a fixed camera's room, the table of all product shots.
Where everybody in a crowd agrees with everybody, only what a pair shares beyond the crowd's ground counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from pipeline.images.local_features import MIN_AGREEING, Agreement, Features, agreement, can_tell, local_features
from pipeline.images.pixels import decode, without_bars
from pipeline.randomness import keyed_uniform
from pipeline.stages.curate.candidates import Numbers, Pairs, candidates
from pipeline.stages.curate.similarity import linked
from pipeline.store.shards import ShardReader
from pipeline.workers.engine import Engine

# More images, and a larger share of all, in which all agree with all are a crowd.
CROWD, CROWD_SHARE = 32, 0.02
# Others of the crowd that each is compared with, and the share that must agree.
_STRANGERS, _MOST = 8, 0.5
# Places in which a pair of a crowd agrees beyond its ground, of which a part is always left.
_CROWD_PLACES = 2 * MIN_AGREEING
_CHUNK = 256
_REMEMBERED = 4096
PAIR_COLUMNS = ["one", "other", "places", "scene"]
NO_SCENES = pd.DataFrame({name: [] for name in PAIR_COLUMNS}).astype(
    {"one": "str", "other": "str", "places": "int32", "scene": "bool"}
)


@dataclass(frozen=True)
class Scenes:
    """What was found, by content.

    decided: columns one, other (sha256, one < other), places in which they agree, and whether they are one scene: all
    pairs that this run asked for, and those that earlier ones confirmed.
    compared: how many pairs were looked at. untold: contents that are too small to tell. crowds: sizes of crowds.
    """

    decided: pd.DataFrame
    compared: int
    untold: int
    crowds: list[int]

    @property
    def pairs(self) -> pd.DataFrame:
        """Those that show one scene."""
        return self.decided[self.decided["scene"]].reset_index(drop=True)


NO_SCENES_FOUND = Scenes(NO_SCENES, 0, 0, [])


@dataclass(frozen=True)
class Place:
    """Where a picture lies, and the size of its upright original."""

    shard: str
    row: int
    width: int
    height: int


def find_scenes(
    contents: pd.DataFrame,
    vectors: npt.NDArray[np.float16] | None,
    hashes: npt.NDArray[np.uint64],
    earlier: pd.DataFrame,
    reader: ShardReader,
    fit: str,
    engine: Engine,
) -> Scenes:
    """The pairs of contents that show one scene.

    Args:
        contents: one row of each; columns of groups.contents_of, and captured_at, source and, if there
            is one, meta_camera.
        vectors: of each, shape (n, d), or None: then hashes and times alone propose.
        hashes: of the whole picture, shape (n,), see images/perceptual.py.
        earlier: what an earlier run decided, with columns PAIR_COLUMNS; it is not decided again. Confirmed pairs stay:
            a list of nearest neighbours loses old pairs to newcomers, and a scene must not fall apart by that.
    """
    # A pair is compared in the order of its contents everywhere: the other way round, places differ by one.
    order = np.argsort(contents["sha256"].to_numpy(), kind="stable")
    # Vectors of a million images take 2.6 GB: those in order are not copied.
    if (np.diff(order) != 1).any():
        contents, vectors = contents.iloc[order], None if vectors is None else vectors[order]
        hashes = hashes[order]
    judge = Judge(
        [Place(*place) for place in zip(*(contents[name].tolist() for name in Place.__annotations__), strict=True)],
        reader,
        fit,
    )
    names = contents["sha256"].to_numpy()
    known, kept = _known(earlier, pd.Index(names))
    large = judge.large(contents)
    proposed = sorted(pair for pair in candidates(contents, vectors, hashes, engine) if large[list(pair)].all())
    asked = [pair for pair in proposed if pair not in known]
    known |= {pair: one.places for pair, one in zip(asked, judge.all(asked, engine), strict=True)}
    found = {pair: known[pair] for pair in proposed if pair not in kept and known[pair] >= MIN_AGREEING}
    found, crowds = _without_crowds(found, {pair: known[pair] for pair in kept}, names, judge, engine)
    found |= {pair: known[pair] for pair in kept}
    rows = [
        (*sorted((names[a], names[b])), found.get((a, b), known[a, b]), (a, b) in found) for a, b in {*proposed, *kept}
    ]
    decided = pd.DataFrame(rows, columns=PAIR_COLUMNS).astype(NO_SCENES.dtypes.to_dict())
    decided = decided.sort_values(["one", "other"], ignore_index=True)
    return Scenes(decided, len(asked), int((~large).sum()), crowds)


def _known(earlier: pd.DataFrame, names: "pd.Index[Any]") -> tuple[dict[tuple[int, int], int], set[tuple[int, int]]]:
    """The places in which pairs of contents that are still there agree, and which pairs show one scene."""
    ends = np.sort(np.stack([_numbers(earlier[name], names) for name in ("one", "other")]), axis=0)
    rows = zip(*ends.tolist(), earlier["places"].tolist(), earlier["scene"].tolist(), strict=True)
    there = [((a, b), places, scene) for a, b, places, scene in rows if a >= 0]
    return {pair: places for pair, places, _ in there}, {pair for pair, _, scene in there if scene}


def _numbers(column: "pd.Series[Any]", names: "pd.Index[Any]") -> Numbers:
    """The place of each name; -1 for one that is gone."""
    codes, unique = pd.factorize(column.astype(str))
    return np.append(names.get_indexer(pd.Index(unique)), -1)[codes].astype(np.int64)


@dataclass(frozen=True)
class Judge:
    """Compares pictures by number; it travels to workers, which keep the features of the last few thousand."""

    places: Sequence[Place]
    reader: ShardReader
    fit: str

    def large(self, contents: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Whether each picture is large enough to be compared; shape (n,)."""
        if not len(contents):
            return np.ones(0, np.bool_)
        side = len(decode(self.reader.image(self.places[0].shard, self.places[0].row)))
        shapes = {(place.width, place.height) for place in self.places}
        blank = np.broadcast_to(np.zeros(3, np.uint8), (side, side, 3))
        told = {shape: can_tell(without_bars(blank, *shape, self.fit)) for shape in shapes}
        return np.array([told[place.width, place.height] for place in self.places], np.bool_)

    def all(self, pairs: Pairs, engine: Engine) -> list[Agreement]:
        """How each pair agrees."""
        return self._mapped([(a, b, (), ()) for a, b in pairs], engine)

    def without(self, pairs: Pairs, ground: dict[int, Numbers], engine: Engine) -> list[Agreement]:
        """The same, some features of each picture left out."""
        none = np.empty(0, np.int64)
        return self._mapped(
            [(a, b, tuple(ground.get(a, none).tolist()), tuple(ground.get(b, none).tolist())) for a, b in pairs], engine
        )

    def __call__(self, asked: Sequence[tuple[int, int, tuple[int, ...], tuple[int, ...]]]) -> list[Agreement]:
        cv2.setNumThreads(1)
        return [
            agreement(self._features(a).without(np.array(left, int)), self._features(b).without(np.array(right, int)))
            for a, b, left, right in asked
        ]

    def _mapped(
        self, asked: list[tuple[int, int, tuple[int, ...], tuple[int, ...]]], engine: Engine
    ) -> list[Agreement]:
        order = _near_each_other([(a, b) for a, b, _, _ in asked], len(self.places))
        chunks = [[asked[place] for place in order[start : start + _CHUNK]] for start in range(0, len(asked), _CHUNK)]
        found = [one for part in engine.map(self, chunks, "curate: scenes", size=len) for one in part]
        return [found[place] for place in np.argsort(order)]

    def _features(self, number: int) -> Features:
        if number not in self._kept:
            if len(self._kept) >= _REMEMBERED:
                del self._kept[next(iter(self._kept))]
            place = self.places[number]
            pixels = decode(self.reader.image(place.shard, place.row))
            self._kept[number] = local_features(without_bars(pixels, place.width, place.height, self.fit))
        return self._kept[number]

    @cached_property
    def _kept(self) -> dict[int, Features]:
        return {}


def _near_each_other(pairs: Pairs, count: int) -> list[int]:
    """The places of pairs in an order in which each picture's follow each other, so that its features are at hand."""
    if not pairs:
        return []
    ends = np.array(pairs).T
    graph = coo_array((np.ones(len(pairs)), (ends[0], ends[1])), shape=(count, count)).tocsr()
    rank = np.argsort(reverse_cuthill_mckee(graph + graph.T, symmetric_mode=True))
    ranks = np.sort(rank[ends], axis=0)
    order: list[int] = np.lexsort((ranks[0], ranks[1])).tolist()
    return order


def _without_crowds(
    found: dict[tuple[int, int], int],
    known: dict[tuple[int, int], int],
    names: npt.NDArray[np.object_],
    judge: Judge,
    engine: Engine,
) -> tuple[dict[tuple[int, int], int], list[int]]:
    """The pairs that share more than what a crowd shares, and the sizes of the crowds.

    Whether a new pair joins a crowd is asked of all pairs, known ones, too; these are not asked again.
    """
    pairs = sorted({**found, **known})
    if not pairs:
        return found, []
    ends = np.array(pairs).T
    family = linked(np.arange(len(names)), *ends)
    sizes = np.bincount(family, minlength=len(names))
    crowds = []
    for head in np.flatnonzero(sizes > max(CROWD, CROWD_SHARE * len(names))).tolist():
        members = np.flatnonzero(family == head)
        strangers = _strangers(members, names)
        met = judge.all(strangers, engine)
        if sum(one.confirmed for one in met) < _MOST * max(len(met), 1):
            continue
        crowds.append(len(members))
        ground = _ground(strangers, met)
        own = [pair for pair in found if family[pair[0]] == head]
        kept = judge.without(own, ground, engine)
        found = {pair: places for pair, places in found.items() if family[pair[0]] != head} | {
            pair: one.places for pair, one in zip(own, kept, strict=True) if one.places >= _CROWD_PLACES
        }
    return found, sorted(crowds, reverse=True)


def _strangers(members: Numbers, names: npt.NDArray[np.object_]) -> Pairs:
    """Of each member a few others of its crowd, chosen by chance that their contents key."""
    order = members[np.argsort(keyed_uniform(0, "scene", pd.Series(names[members])), kind="stable")]
    found = set[tuple[int, int]]()
    for place, member in enumerate(order.tolist()):
        # At evenly spread distances in an order of chance.
        steps = [1 + (len(order) - 1) * step // (_STRANGERS + 1) for step in range(_STRANGERS)]
        for step in steps:
            other = int(order[(place + step) % len(order)])
            found.add((min(member, other), max(member, other)))
    return sorted(pair for pair in found if pair[0] != pair[1])


def _ground(pairs: Pairs, met: Sequence[Agreement]) -> dict[int, Numbers]:
    """The features of each image by which it agrees with two strangers or more: what everybody shares.

    One may be of the same scene by chance.
    """
    shared: dict[int, list[Numbers]] = {}
    for (a, b), one in zip(pairs, met, strict=True):
        if one.confirmed:
            shared.setdefault(a, []).append(one.one)
            shared.setdefault(b, []).append(one.other)
    return {number: np.flatnonzero(np.bincount(np.concatenate(features)) > 1) for number, features in shared.items()}
