"""Groups in which two contents never meet that people call not the same: links that would join them are cut.

A link says that two contents belong together. Some links are firm: user groups, and pairs that people call the same.
Near copies and scenes were measured, and may be wrong. "Not the same" is a cannot-link (Wagstaff and Cardie, 2000): no
chain of measured links joins its two contents either. So measured links are added one by one, and one that would join
the two sides of a cannot-link is cut.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.stages.curate.groups import user_keys
from pipeline.stages.curate.similarity import linked
from pipeline.stages.curate.steady import steady_groups

NEAR_COPY, SCENE = "near_duplicate", "scene"
LINK_COLUMNS = ["one", "other", "found_as", "places"]

Numbers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Grouped:
    """The groups of images, and the links that they rest on.

    groups: of each image. joins: of newcomers that would join earlier groups the names of these, else "".
    holds, cut: measured links, with columns LINK_COLUMNS.
    """

    groups: "pd.Series[Any]"
    joins: "pd.Series[Any]"
    holds: pd.DataFrame
    cut: pd.DataFrame

    def found_as(self, kind: str) -> pd.DataFrame:
        """The pairs of one kind that hold: columns one and other."""
        return self.holds.loc[self.holds["found_as"] == kind, ["one", "other"]].reset_index(drop=True)


def measured_links(near: pd.DataFrame, scenes: pd.DataFrame) -> pd.DataFrame:
    """Near copies (columns one and other) and scenes (also places, in which they agree): columns LINK_COLUMNS."""
    tables = [near.assign(found_as=NEAR_COPY, places=0), scenes.assign(found_as=SCENE)]
    texts = {"one": "str", "other": "str"}
    return pd.concat([table[LINK_COLUMNS].astype(texts) for table in tables], ignore_index=True)


def group_images(
    images: pd.DataFrame, links: pd.DataFrame, same: pd.DataFrame, apart: pd.DataFrame, earlier: pd.DataFrame
) -> Grouped:
    """The group of each image.

    A newcomer that would join earlier groups is left out, whoever says that it belongs to both; then it links nothing.

    Args:
        images: columns as groups.groups_of wants them.
        links: as measured_links gives them.
        same, apart: pairs of contents of images (one, other) that must be, and must not be, in one group; firm links
            do not join those that are apart.
        earlier: columns sha256 and group, of the last run by the same rules.
    """
    joins = pd.Series("", index=images.index, dtype="str")
    while True:
        there = images[joins == ""]
        left_out = set(images.loc[joins != "", "sha256"])
        own, wanted, foes = (_without(table, left_out) for table in (links, same, apart))
        holds, cut = _constrained(there, own, wanted, foes, earlier)
        pairs = pd.concat([holds[["one", "other"]], wanted], ignore_index=True) if len(wanted) else holds
        groups, joining = steady_groups(there, pairs[["one", "other"]], earlier)
        if left_out or (joining != "").any():
            joins = joins.where(joins != "", joining.reindex(images.index, fill_value=""))
        # Without decisions those who stay are grouped already.
        if not (joining != "").any() or not (len(same) or len(apart)):
            return Grouped(groups.reindex(images.index).fillna(images["sha256"]).astype("str"), joins, holds, cut)


class Firm:
    """Contents and user groups as numbers, joined by firm links."""

    def __init__(self, images: pd.DataFrame, same: pd.DataFrame) -> None:
        content, self._contents = pd.factorize(images["sha256"], sort=True)
        own, users = pd.factorize(user_keys(images), sort=True)
        named = images["user_group"].to_numpy() != ""
        one = np.append(content[named], self.numbers(same["one"]))
        other = np.append(len(self._contents) + own[named], self.numbers(same["other"]))
        self.labels: Numbers = linked(np.arange(len(self._contents) + len(users)), one, other)

    def numbers(self, contents: "pd.Series[Any]") -> Numbers:
        """The number of each content."""
        return np.asarray(self._contents.get_indexer(pd.Index(contents)), np.int64)

    def of(self, contents: "pd.Series[Any]") -> Numbers:
        """The number of the firm group of each content."""
        return np.asarray(self.labels[self.numbers(contents)], np.int64)


def _without(pairs: pd.DataFrame, contents: set[str]) -> pd.DataFrame:
    return pairs[~(pairs["one"].isin(contents) | pairs["other"].isin(contents))] if contents else pairs


def _constrained(
    images: pd.DataFrame, links: pd.DataFrame, same: pd.DataFrame, apart: pd.DataFrame, earlier: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The links that hold, and those that are cut.

    First come links inside an earlier group, so that what holds today holds tomorrow, whoever comes; then those of
    earlier images; then near copies before scenes, and scenes that agree in more places before others.
    """
    if apart.empty:
        return links, links[:0]
    ends = np.sort(links[["one", "other"]].to_numpy(object), axis=1)
    links = links.assign(one=ends[:, 0], other=ends[:, 1])
    group = earlier.drop_duplicates("sha256").set_index("sha256")["group"]
    one, other = (links[name].map(group) for name in ("one", "other"))
    new = (one.isna() | other.isna()).to_numpy(bool)
    across = (one != other).to_numpy(bool)
    ordered = links.assign(across=across, new=new, far=-links["places"])
    ordered = ordered.sort_values(["across", "new", "found_as", "far", "one", "other"], ignore_index=True)
    firm = Firm(images, same)
    old = np.unique(firm.of(images.loc[images["sha256"].isin(group.index), "sha256"]))
    foes = zip(firm.of(apart["one"]).tolist(), firm.of(apart["other"]).tolist(), strict=True)
    asked = zip(firm.of(ordered["one"]).tolist(), firm.of(ordered["other"]).tolist(), ordered["new"], strict=True)
    joined = _Joined(len(firm.labels), {*foes}, {*old.tolist()})
    holds = np.array([joined.add(left, right, newcomer) for left, right, newcomer in asked], np.bool_)
    ordered = ordered[LINK_COLUMNS]
    return ordered[holds].reset_index(drop=True), ordered[~holds].reset_index(drop=True)


class _Joined:
    """Disjoint sets (Tarjan, 1975), some of which must not be joined.

    Args:
        foes: pairs of elements that must not be in one set. old: elements with an earlier group.
    """

    def __init__(self, count: int, foes: set[tuple[int, int]], old: set[int]) -> None:
        self._parent = [*range(count)]
        self._old = old
        self._foes: dict[int, set[int]] = {}
        for one, other in foes:
            self._foes.setdefault(one, set()).add(other)
            self._foes.setdefault(other, set()).add(one)

    def add(self, one: int, other: int, newcomer: bool) -> bool:
        """Join the sets of two elements, if they may be joined; whether they may.

        Args:
            newcomer: one of them has no earlier group, so it joins no two sets that have: it will be left out.
        """
        one, other = self._root(one), self._root(other)
        if one == other:
            return True
        if other in self._foes.get(one, ()):
            return False
        if newcomer and one in self._old and other in self._old:
            return True
        self._parent[other] = one
        if other in self._old:
            self._old.add(one)
        # Whoever is apart from either is apart from both.
        for foe in self._foes.pop(other, set()):
            self._foes[foe].discard(other)
            self._foes[foe].add(one)
            self._foes.setdefault(one, set()).add(foe)
        return True

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number
