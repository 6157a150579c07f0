"""Apply people's decisions on labels: images get another label, a first label, or are removed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.errors import DataError, listing
from pipeline.manifest import NO_LABEL
from pipeline.names import alike_labels, shown
from pipeline.store.decisions import DROP, LABELS, NOT_SURE, RELABEL, Decision

DROPPED = "dropped"
FILE = catalogue.DECISIONS.path


@dataclass(frozen=True)
class Corrections:
    """What decisions make of the images of all sources.

    images: those that stay, with their labels. dropped: those that go, with the labels of their sources.
    details: of each of these, who dropped it and why.
    counts: of contents: keep, relabel, label (they had none), drop, not_sure, conflicts; of decisions: stale, unknown
    content; of files: images, which changed or went. notes: what people should know of them, a sentence each.
    """

    images: pd.DataFrame
    dropped: pd.DataFrame
    details: "pd.Series[Any]"
    counts: Mapping[str, int]
    notes: Sequence[str]


def correct(images: pd.DataFrame, decisions: Sequence[Decision]) -> Corrections:
    """Put people's decisions in place of the sources' labels.

    A decision holds for all files with its content. It is stale if no file has the label that the person saw; then it
    changes nothing. `not_sure` says nothing against what others decide.

    Raises:
        DataError: all images are dropped, or labels are spelt in several ways after the corrections.
    """
    decided = LABELS.by_subject(decisions)
    concerned = images.loc[images["sha256"].isin(list(decided)), ["sha256", "label"]]
    labels = {
        str(sha256): {*found.astype(str)} - {NO_LABEL} or {NO_LABEL}
        for sha256, found in concerned["label"].groupby(concerned["sha256"].astype(str))
    }
    told = _Told([], [], [])
    outcomes: dict[str, tuple[str, str]] = {}  # of a content: its new label, or NO_LABEL and why it is dropped
    counts = dict.fromkeys(("keep", "relabel", "label", "drop", "not_sure"), 0)
    for sha256, all_of_content in sorted(decided.items()):
        if sha256 not in labels:
            told.unknown.extend(all_of_content)
            continue
        fresh = [one for one in all_of_content if one.before in labels[sha256]]
        told.stale.extend(one for one in all_of_content if one.before not in labels[sha256])
        opinions = [one for one in fresh if one.decision != NOT_SURE]
        results = sorted({_result(one) for one in opinions})
        if len(results) > 1:
            told.conflicts.append(f"{_name(opinions[0])} ({', '.join(map(_said, opinions))})")
        elif results:
            label = results[0]
            kind = DROP if label == NO_LABEL else _effect(label, labels[sha256])
            counts[kind] += 1
            outcomes[sha256] = label, "; ".join(map(_reason, opinions))
        elif fresh:
            counts["not_sure"] += 1
    return _applied(images, outcomes, counts, told)


@dataclass(frozen=True)
class _Told:
    """What changes nothing, and is told."""

    conflicts: list[str]
    stale: list[Decision]
    unknown: list[Decision]

    def notes(self) -> list[str]:
        notes = []
        if self.conflicts:
            one = len(self.conflicts) == 1
            which = f"image in {FILE}, which stays as it is" if one else f"images in {FILE}, which stay as they are"
            notes.append(f"people differ on {len(self.conflicts)} {which}: {listing(self.conflicts, 3)}")
        if self.stale:
            notes.append(
                f"{_decisions_are(self.stale)} stale, because no source has the label in `from` any more: "
                f"{listing(map(_name, self.stale), 3)}. Decide again, or remove the rows"
            )
        if self.unknown:
            notes.append(
                f"{_decisions_are(self.unknown)} on content that no source has: {listing(map(_name, self.unknown), 3)}"
            )
        return notes


def _decisions_are(decisions: Sequence[Decision]) -> str:
    one = len(decisions) == 1
    return f"1 decision in {FILE} is" if one else f"{len(decisions)} decisions in {FILE} are"


def _applied(
    images: pd.DataFrame, outcomes: Mapping[str, tuple[str, str]], counts: Mapping[str, int], told: _Told
) -> Corrections:
    before = images["label"].astype(str)
    after = images["sha256"].astype(str).map({sha256: label for sha256, (label, _) in outcomes.items()})
    goes, changes = after == NO_LABEL, after.notna() & (after != before)
    notes = told.notes()
    totals = {
        **counts,
        "conflicts": len(told.conflicts),
        "stale": len(told.stale),
        "unknown": len(told.unknown),
        "images": int(changes.sum()),
    }
    dropped = images[goes]
    details = dropped["sha256"].map({sha256: why for sha256, (_, why) in outcomes.items()})
    if len(images) and goes.all():
        raise DataError(f"{FILE} drops all {len(images)} images: remove rows of it")
    if not changes.any():
        return Corrections(images, dropped, details, totals, notes)
    corrected = images.assign(label=after.where(changes, before))[~goes]
    # A typing error would be a class of its own.
    if problems := alike_labels(corrected["label"].unique()):
        raise DataError("\n".join(f"after the corrections of {FILE}: {problem}" for problem in problems))
    if new := sorted({*corrected["label"]} - {*before}):
        notes.append(f"{FILE} makes classes that no source has: {listing(new)}")
    done = {"relabelled": counts[RELABEL], "labelled for the first time": counts["label"], "dropped": counts[DROP]}
    said = ", ".join(f"{count} {what}" for what, count in done.items() if count)
    notes.insert(0, f"{totals['images']} files are corrected by {FILE} (contents: {said})")
    return Corrections(corrected, dropped, details, totals, notes)


def _result(decision: Decision) -> str:
    """The label that a content has by a decision; NO_LABEL if it is dropped."""
    if decision.decision == DROP:
        return NO_LABEL
    return decision.after if decision.decision == RELABEL else decision.before


def _effect(label: str, labels: set[str]) -> str:
    if labels == {NO_LABEL}:
        return "label"
    return "keep" if labels == {label} else "relabel"


def _name(decision: Decision) -> str:
    return decision.id or decision.sha256[:12]


def _said(decision: Decision) -> str:
    return f"{shown(decision.who, 40)}: {shown(_result(decision), 40) or DROP}"


def _reason(decision: Decision) -> str:
    return f"{decision.who}: {decision.why}" if decision.why else decision.who
