"""One table of the label issues of several splits, and counts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.metrics.wrong_share import WrongShare, pooled, wrong_share
from pipeline.stages.label_issues.label_noise import LabelNoise, label_noise

COLUMNS = ("id", "split", "source", "role", "label", "suggested", "quality")
# The splits as one, in the metrics.
TOGETHER = "together"
Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Disagreements:
    """A split's rows (with id, group and role), their class numbers (n,), and what models say that never saw them.

    probabilities: of the models that check labels, (n, k) each; NaN where one does not know a class: one of a single
    group was in no other fold. A label is an issue if all disagree with it: where one fails for reasons of its own, its
    disagreement is its error. trained: of the model of `train`, (n, k): it must disagree as well, and says which class
    is preferred; but it may fail as a whole on images that it never saw the like of, so shares do not rest on it.
    """

    split: str
    rows: pd.DataFrame
    labels: npt.NDArray[np.intp]
    probabilities: Sequence[npt.NDArray[np.float64]]
    trained: npt.NDArray[np.float64] | None = None

    @cached_property
    def checked(self) -> Rows:
        """Rows whose class the first model knows, (n,)."""
        first = self.trained if self.trained is not None else self.probabilities[0]
        found: Rows = ~np.isnan(first[np.arange(len(self.labels)), self.labels])
        return found

    @cached_property
    def roles(self) -> Mapping[str, Rows]:
        """Which rows, (n,), are of each role."""
        of_rows = self.rows["role"].to_numpy(str)
        return {role: of_rows == role for role in sorted({*of_rows.tolist()})}

    @cached_property
    def shares(self) -> Mapping[str, WrongShare]:
        """The share of wrong labels of each role."""
        return {role: self._share(rows) for role, rows in self.roles.items()}

    @cached_property
    def noise(self) -> LabelNoise:
        """The label issues among the checked rows, at most so many of a role as labels may be wrong."""
        trained = [] if self.trained is None else [self.trained]
        labels, rows = self.labels[self.checked], self.checked
        first, *others = (label_noise(labels, np.nan_to_num(found[rows])) for found in (*trained, *self.probabilities))
        suspect = np.logical_and.reduce([first.suspect, *(other.suspect for other in others)])
        ids = self.rows["id"].to_numpy(str)[rows]
        for role, of_role in self.roles.items():
            listed = np.flatnonzero(suspect & of_role[rows])
            worst = listed[np.lexsort((ids[listed], first.quality[listed]))]
            suspect[worst[math.ceil(self.shares[role].high * of_role.sum()) :]] = False
        return replace(first, suspect=suspect)

    def accuracy(self, rows: Rows) -> float:
        """The share of the labels of some rows, (n,), that the first model agrees with; 0 of none."""
        those = rows & self._known(self.probabilities[0])
        agreed = np.nan_to_num(self.probabilities[0][those]).argmax(axis=1) == self.labels[those]
        return float(agreed.mean()) if those.any() else 0.0

    def _share(self, rows: Rows) -> WrongShare:
        """The share of wrong labels among some rows, (n,): of what several models say, the least.

        Where a model contradicts right labels for reasons of its own, it claims too much, never too little.
        """
        groups = pd.factorize(self.rows["group"].astype(str), sort=True)[0]
        shares = []
        for found in self.probabilities:
            those = rows & self._known(found)
            shares.append(wrong_share(np.nan_to_num(found[those]), self.labels[those], groups[those]))
        return min(shares, key=lambda one: (one.estimate, one.low))

    def _known(self, found: npt.NDArray[np.float64]) -> Rows:
        known: Rows = ~np.isnan(found[np.arange(len(self.labels)), self.labels])
        return known


def label_issues_table(
    doubts: Sequence[Disagreements], manifest: pd.DataFrame, classes: tuple[str, ...]
) -> pd.DataFrame:
    """One row per label issue, the least likely label first.

    suggested: the class that the model prefers. quality: the probability of the label, in [0, 1], rounded.
    """
    about = manifest.set_index("id")[["source", "role"]].astype(str)
    parts = []
    for one in doubts:
        those = one.noise.suspect
        rows = one.rows[one.checked][those]
        parts.append(
            pd.DataFrame(
                {
                    "id": rows["id"].astype(str).to_numpy(object),
                    "split": one.split,
                    "label": rows["label"].astype(str).to_numpy(object),
                    "suggested": np.array(classes, object)[one.noise.preferred[those]],
                    "quality": one.noise.quality[those],
                }
            ).join(about, on="id")
        )
    table: pd.DataFrame = pd.concat(parts)[list(COLUMNS)].sort_values(["quality", "id"], ignore_index=True)
    return table


def metrics_of(doubts: Sequence[Disagreements], table: pd.DataFrame) -> dict[str, Any]:
    """Of each split, and of all together: images, label issues, the share of wrong labels and its 95 % interval.

    Also how many images nobody could check, and the share of labels that the model agrees with. `roles` has the same
    of raw and production images: labels are often wrong in one source alone, and a model may see one well, the other
    badly.
    """
    parts = {one.split: one for one in doubts}
    if len(doubts) > 1:
        parts[TOGETHER] = Disagreements(
            TOGETHER,
            pd.concat([one.rows for one in doubts], ignore_index=True),
            np.concatenate([one.labels for one in doubts]),
            [np.concatenate(found) for found in zip(*(one.probabilities for one in doubts), strict=True)],
        )
    return {
        name: _of_split(one, table if name == TOGETHER else table[table["split"] == name])
        for name, one in parts.items()
    }


def _of_split(one: Disagreements, listed: pd.DataFrame) -> dict[str, Any]:
    of_issues, every = listed["role"].astype(str), np.ones(len(one.labels), np.bool_)
    whole = pooled(list(one.shares.values()), [int(rows.sum()) for rows in one.roles.values()])
    return {
        **_metrics(one, every, whole, len(listed)),
        "roles": {
            role: _metrics(one, rows, one.shares[role], int((of_issues == role).sum()))
            for role, rows in one.roles.items()
        },
    }


def _metrics(one: Disagreements, rows: Rows, share: WrongShare, issues: int) -> dict[str, Any]:
    return {
        "images": int(rows.sum()),
        "label_issues": issues,
        "not_checked": int((rows & ~one.checked).sum()),
        "accuracy": one.accuracy(rows),
        "wrong_share": share.estimate,
        "low": share.low,
        "high": share.high,
        "at_least": share.at_least,
    }
