"""People's decisions on pairs: which contents show the same thing, which do not, and what of that cannot be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline import catalogue
from pipeline.errors import listing
from pipeline.names import shown
from pipeline.stages.curate.cannot_links import Firm
from pipeline.stages.curate.groups import NO_COPIES
from pipeline.store.pair_decisions import NOT_SAME, NOT_SURE, PAIRS, SAME, PairDecision

FILE = catalogue.PAIR_DECISIONS.path
PARTED_COLUMNS = ["one_id", "other_id", "found_as", "reason", "one", "other"]
# Why a link is cut: people say so of the pair, or it would join two others of which they say so.
DECIDED, CHAIN = "not_same", "joins_not_same"


@dataclass(frozen=True)
class Pairing:
    """What people said of pairs, of contents that are there.

    same, apart: columns one and other (sha256, one < other); apart has the pairs that can be apart.
    counts: of pairs: same, not_same, not_sure, conflicts (people differ), contradictions (not the same, and yet joined
    by firm links), unknown (a content that no source has, or that was dropped).
    notes: what people should know of them, a sentence each.
    """

    same: pd.DataFrame
    apart: pd.DataFrame
    counts: Mapping[str, int]
    notes: Sequence[str]


def pairing(images: pd.DataFrame, decisions: Sequence[PairDecision]) -> Pairing:
    """What decisions say of the images' contents. People who differ on a pair change nothing; `not_sure` differs with
    nobody.

    Args:
        images: columns sha256 and user_group.
    """
    counts = dict.fromkeys((SAME, NOT_SAME, NOT_SURE, "conflicts", "contradictions", "unknown"), 0)
    if not decisions:
        return Pairing(NO_COPIES, NO_COPIES, counts, [])
    known = {*images["sha256"]}
    ends: dict[str, list[tuple[str, str]]] = {SAME: [], NOT_SAME: []}
    names: dict[tuple[str, str], str] = {}
    unknown, conflicts = list[str](), list[str]()
    for _, found in sorted(PAIRS.by_subject(decisions).items()):
        first = found[0]
        if not {first.one, first.other} <= known:
            unknown.append(_name(first))
            continue
        opinions = [one for one in found if one.decision != NOT_SURE]
        kinds = {one.decision for one in opinions}
        if len(kinds) > 1:
            said = ", ".join(f"{shown(one.who, 40)}: {one.decision}" for one in opinions)
            conflicts.append(f"{_name(first)} ({said})")
        elif kinds:
            names[first.one, first.other] = f"{_name(first)} ({shown(opinions[0].who, 40)})"
            ends[opinions[0].decision].append((first.one, first.other))
        else:
            counts[NOT_SURE] += 1
    same, apart = (pd.DataFrame(ends[kind], columns=["one", "other"], dtype="str") for kind in (SAME, NOT_SAME))
    firm = Firm(images, same)
    joined = firm.of(apart["one"]) == firm.of(apart["other"])
    contradictions = [names[one, other] for one, other in apart[joined].itertuples(index=False, name=None)]
    counts |= {SAME: len(same), NOT_SAME: len(apart) - len(contradictions)}
    counts |= {"conflicts": len(conflicts), "contradictions": len(contradictions), "unknown": len(unknown)}
    return Pairing(same, apart[~joined].reset_index(drop=True), counts, _notes(unknown, conflicts, contradictions))


def parted_table(images: pd.DataFrame, cut: pd.DataFrame, apart: pd.DataFrame) -> pd.DataFrame:
    """A row for each measured link that decisions cut, for people; columns PARTED_COLUMNS, sorted.

    Args:
        cut: columns one, other and found_as. apart: pairs of contents that people call not the same.
    """
    ids = images.sort_values("id").drop_duplicates("sha256").set_index("sha256")["id"]
    ends = pd.DataFrame(np.sort(cut[["one", "other"]].to_numpy(object), axis=1), columns=["one", "other"])
    said = {*apart[["one", "other"]].itertuples(index=False, name=None)}
    reasons = [DECIDED if pair in said else CHAIN for pair in ends.itertuples(index=False, name=None)]
    table = ends.assign(found_as=cut["found_as"].to_numpy(), reason=reasons)
    table = table.assign(one_id=ends["one"].map(ids), other_id=ends["other"].map(ids))
    return table.astype("str").sort_values(["one_id", "other_id"], ignore_index=True)[PARTED_COLUMNS]


def _notes(unknown: Sequence[str], conflicts: Sequence[str], contradictions: Sequence[str]) -> list[str]:
    notes = []
    if conflicts:
        notes.append(f"people differ on {_pairs(conflicts)} in {FILE}, which changes nothing: {listing(conflicts, 3)}")
    if contradictions:
        notes.append(
            f"{_pairs(contradictions)} in {FILE} should be apart (not_same), but a group of your tables or other "
            f"decisions (same) join them; they stay together: {listing(contradictions, 3)}"
        )
    if unknown:
        notes.append(
            f"{_pairs(unknown)} in {FILE} with a picture that is in no source or was dropped: {listing(unknown, 3)}"
        )
    return notes


def _pairs(names: Sequence[str]) -> str:
    return f"{len(names)} pair{'s' if len(names) > 1 else ''}"


def _name(one: PairDecision) -> str:
    return f"{one.one_id or one.one[:12]} and {one.other_id or one.other[:12]}"
