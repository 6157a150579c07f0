"""The outputs of curate, and its summary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.errors import listing
from pipeline.images import local_features
from pipeline.issues import ISSUES
from pipeline.manifest import NO_LABEL
from pipeline.metrics.giving_away import Strength
from pipeline.names import shown
from pipeline.stages.curate.confounders import confounding_notes
from pipeline.stages.curate.pairing import CHAIN
from pipeline.stages.curate.scenes import Scenes
from pipeline.stages.curate.sheets import crowd_lines
from pipeline.stages.curate.steady import JOINS
from pipeline.store.pair_decisions import SAME


@dataclass(frozen=True)
class CurateOutputs:
    """Kept images, removed images with the reason, near copies, counts, and user groups that were joined.

    issues, copies, scenes_sheet: contact sheets as PNG files.
    confounding: a row for each fact, how far it gives the class away; strengths: the same.
    parted: a row for each link between images that decisions cut.
    scenes: a row for each image that shows a scene with others. scene_pairs, groups: what the next run
    goes on from.

    `uncompared`: contents that are too small or plain to have near copies, if these are looked for.
    """

    manifest: pd.DataFrame
    removed: pd.DataFrame
    near: pd.DataFrame
    parted: pd.DataFrame
    metrics: dict[str, Any]
    issues: bytes
    copies: bytes
    scenes: pd.DataFrame
    scene_pairs: pd.DataFrame
    groups: pd.DataFrame
    scenes_sheet: bytes
    confounding: pd.DataFrame
    confounding_sheet: bytes
    strengths: Sequence[Strength]
    found: Scenes
    joined: list[list[str]]
    uncompared: int
    decided: Sequence[str]
    """What to say of people's decisions on labels and on pairs."""
    one_group: Sequence[str]
    """What to say of user groups that are written in several ways."""
    relabelled: Sequence[tuple[str, str, int]]
    """Label of the sources, the class that it became by `problem`, images."""

    @property
    def summary(self) -> str:
        reasons = ", ".join(
            f"{count} {reason}" for reason, count in sorted(self.removed["reason"].value_counts().items())
        )
        unlabelled = int((self.manifest["label"] == NO_LABEL).sum())
        without = f" ({unlabelled} without a label)" if unlabelled else ""
        return "\n  ".join([f"{len(self.manifest)} images kept{without}, {reasons or 'no duplicates'}", *self._notes()])

    def _notes(self) -> Iterator[str]:
        yield from self.decided
        for name in dict.fromkeys(name for _, name, _ in self.relabelled):
            labels = [(label, count) for label, became, count in self.relabelled if became == name]
            images = sum(count for _, count in labels)
            yield (
                f"{images} images labelled {listing((label for label, _ in labels))} now have the class {shown(name)}"
            )
        if len(self.near):
            families = self.near["family"].value_counts()
            groups = "1 group" if len(families) == 1 else f"{len(families)} groups"
            yield (
                f"{len(self.near)} images are near-duplicates, in {groups} of up to {families.max()}; each group stays "
                f"in one split: see {catalogue.CURATE_NEAR.path}"
            )
            two_labels = sorted(set(self.near.loc[self.near["labels"] != "", "family"]))
            if two_labels:
                yield f"{len(two_labels)} of these groups have two labels: those of {listing(two_labels, most=3)}"
        yield from self._scene_notes()
        yield from self._pair_notes()
        if joining := int((self.removed["reason"] == JOINS).sum()):
            yield (
                f"{joining} new images were removed, because they would join earlier groups and so move "
                f"earlier images to another split: see {catalogue.CURATE_REMOVED.path}. To group all images "
                f"anew, remove {catalogue.CURATE_GROUPS.path}"
            )
        if self.joined:
            names = listing((" + ".join(names) for names in self.joined), most=3)
            yield f"groups joined by equal files or near-duplicates; they stay in one split: {names}"
        yield from self.one_group
        if self.uncompared:
            yield f"{self.uncompared} pictures are too small or too plain to search for near-duplicates"
        yield from confounding_notes(self.strengths, catalogue.CURATE_CONFOUNDING_SHEET.path)
        marked = {name: int(self.manifest[name].sum()) for name in ISSUES}
        if any(marked.values()):
            counts = ", ".join(f"{count} {name}" for name, count in marked.items() if count)
            yield f"issues (nothing is removed): {counts}; see {catalogue.CURATE_ISSUES.path}"

    def _pair_notes(self) -> Iterator[str]:
        path = catalogue.PAIR_DECISIONS.path
        if same := self.metrics["pair_decisions"][SAME]:
            yield f"{_pairs_are(same)} in one group, because {path} says same"
        if parted := len(self.parted):
            chains = int((self.parted["reason"] == CHAIN).sum())
            also = f"; {chains} of these would join images of which it says so" if chains else ""
            yield (
                f"{_pairs_are(parted)} in different groups although they look alike, because {path} says not_same"
                f"{also}: see {catalogue.CURATE_PARTED.path}"
            )

    def _scene_notes(self) -> Iterator[str]:
        yield from crowd_lines(self.found.crowds)
        if self.found.untold:
            yield (
                f"{self.found.untold} pictures have a shorter side of less than {local_features.MIN_SIDE} pixels once "
                "they fit ingest.size: too small to tell scenes apart"
            )
        if not len(self.scenes):
            return
        sizes = self.scenes["family"].value_counts()
        apart = (
            "stay in one split" if self.metrics["scenes"]["grouped"] else "may be in different splits (curate.scenes)"
        )
        yield (
            f"{len(self.scenes)} images show {len(sizes)} scenes, up to {sizes.max()} images each; these "
            f"{apart}: see {catalogue.CURATE_SCENES_SHEET.path}"
        )
        two_labels = sorted(set(self.scenes.loc[self.scenes["labels"] != "", "family"]))
        if two_labels:
            yield f"{len(two_labels)} of these scenes have several labels: those of {listing(two_labels, most=3)}"


def _pairs_are(count: int) -> str:
    return "1 pair of images is" if count == 1 else f"{count} pairs of images are"
