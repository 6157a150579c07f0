"""What people say of pairs: who differs changes nothing, and what cannot be is told."""

from typing import Any

import pandas as pd
import pytest

from pipeline.stages.curate.pairing import CHAIN, DECIDED, PARTED_COLUMNS, Pairing, pairing, parted_table
from pipeline.store.pair_decisions import NOT_SAME, NOT_SURE, SAME, PairDecision, decide_pair
from tests.stages.curate.test_curate import PHONE, WEB, curated
from tests.stages.curate.test_steady import images, pairs


def said(ends: str, decision: str, who: str = "ann") -> PairDecision:
    named = [(content, f"image {content}") for content in ends]
    return decide_pair(named, decision, who, "2026-01-31T09:30:00Z", "")


def decided(*decisions: PairDecision, users: dict[str, str] | None = None) -> Pairing:
    return pairing(images("abcdef", users), decisions)


def ends(table: pd.DataFrame) -> list[str]:
    return ["".join(row) for row in table[["one", "other"]].itertuples(index=False, name=None)]


def counts(**found: int) -> dict[str, int]:
    names = (SAME, NOT_SAME, NOT_SURE, "conflicts", "contradictions", "unknown")
    return {name: found.get(name, 0) for name in names}


def test_without_decisions_nothing_is_said() -> None:
    found = decided()
    assert (ends(found.same), ends(found.apart), found.counts, found.notes) == ([], [], counts(), [])


def test_each_kind_of_decision_is_counted() -> None:
    found = decided(said("ba", SAME), said("cd", NOT_SAME), said("cd", NOT_SURE, "bob"), said("ef", NOT_SURE))
    assert (ends(found.same), ends(found.apart)) == (["ab"], ["cd"])
    assert found.counts == counts(same=1, not_same=1, not_sure=1)
    assert found.notes == []


def test_people_who_differ_change_nothing() -> None:
    found = decided(said("ab", SAME), said("ab", NOT_SAME, "bob"))
    assert (ends(found.same), ends(found.apart), found.counts) == ([], [], counts(conflicts=1))
    assert found.notes == [
        "people differ on 1 pair in feedback/pairs.csv, which changes nothing: "
        "image a and image b (ann: same, bob: not_same)"
    ]


@pytest.mark.parametrize(
    ("decisions", "users"),
    [([said("ab", SAME), said("bc", SAME)], {}), ([], {"a": "one", "c": "One"})],
)
def test_what_firm_links_join_stays_together_and_is_told(decisions: list[PairDecision], users: dict[str, Any]) -> None:
    found = decided(*decisions, said("ac", NOT_SAME), said("ad", NOT_SAME), users=users)
    assert ends(found.apart) == ["ad"]
    assert found.counts == counts(same=len(decisions), not_same=1, contradictions=1)
    assert found.notes == [
        "1 pair in feedback/pairs.csv should be apart (not_same), but a group of your tables or other decisions (same) "
        "join them; they stay together: image a and image c (ann)"
    ]


def test_pictures_that_are_not_there_are_told() -> None:
    found = decided(said("ax", SAME), said("yz", NOT_SAME))
    assert (found.counts, ends(found.same)) == (counts(unknown=2), [])
    assert found.notes == [
        "2 pairs in feedback/pairs.csv with a picture that is in no source or was dropped: "
        "image a and image x, image y and image z"
    ]


def test_cut_links_are_listed_with_the_reason() -> None:
    cut = pairs("ba", "cb").assign(found_as=["scene", "near_duplicate"])
    table = parted_table(images("abc"), cut, pairs("ab"))
    assert table.columns.tolist() == PARTED_COLUMNS
    assert table[["one", "other", "found_as", "reason"]].to_numpy().tolist() == [
        ["a", "b", "scene", DECIDED],
        ["b", "c", "near_duplicate", CHAIN],
    ]
    assert parted_table(images("abc"), cut[:0], pairs()).empty


def test_same_joins_across_sources_and_roles_whatever_is_looked_for() -> None:
    outputs = curated({"web": WEB, "phone": PHONE}, pair_decisions=[said("be", SAME)])
    group = dict(zip(outputs.manifest["sha256"], outputs.manifest["group"], strict=True))
    assert group["b"] == group["e"]
    assert len({*group.values()}) == len(group) - 1
    assert outputs.metrics["pair_decisions"] == {**counts(same=1), "links_cut": 0}
    assert "1 pair of images is in one group, because feedback/pairs.csv says same" in outputs.summary
