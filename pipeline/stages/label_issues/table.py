"""One table of the label issues of several splits, and counts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.stages.label_issues.label_noise import LabelNoise, label_noise

COLUMNS = ("id", "split", "source", "role", "label", "suggested", "quality")


@dataclass(frozen=True)
class Disagreements:
    """A split's rows (with ids), their class numbers (n,), and what a model that never saw them says, (n, k).

    NaN where the model does not know a class: one of a single group was in no other fold.

    seconded: what other models say, (n, k) each. A suspect is then what all doubt: where one fails for reasons of its
    own (a mismatch of the data, say), its doubts are no more than its errors. And where each is surest it contradicts
    wrong labels and those of its own mistakes: of several such shares the smallest is nearest to the truth.
    """

    split: str
    rows: pd.DataFrame
    labels: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float64]
    seconded: Sequence[npt.NDArray[np.float64]] = ()

    @cached_property
    def checked_predictions(self) -> npt.NDArray[np.bool_]:
        """Rows whose class the model knows, (n,)."""
        found: npt.NDArray[np.bool_] = ~np.isnan(self.probabilities[np.arange(len(self.labels)), self.labels])
        return found

    @cached_property
    def noise(self) -> LabelNoise:
        """What is suspect among the judged rows."""
        return self.noise_of(self.checked_predictions)

    def noise_of(self, rows: npt.NDArray[np.bool_]) -> LabelNoise:
        """The same of some of the judged rows, by themselves: a mask of shape (n,)."""
        labels = self.labels[rows]
        first, *others = (
            label_noise(labels, np.nan_to_num(found[rows])) for found in (self.probabilities, *self.seconded)
        )
        lowest = min((first, *others), key=lambda noise: noise.disagreeing)
        return replace(
            first,
            suspect=np.logical_and.reduce([first.suspect, *(other.suspect for other in others)]),
            wrong_share=min(noise.wrong_share for noise in (first, *others)),
            most_confident=lowest.most_confident,
            disagreeing=lowest.disagreeing,
            half_confident=lowest.half_confident,
            half_disagreeing=lowest.half_disagreeing,
        )


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
        rows = one.rows[one.checked_predictions][those]
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


def metrics_of(doubts: Sequence[Disagreements], table: pd.DataFrame, manifest: pd.DataFrame) -> dict[str, Any]:
    """Of each split: images, suspects, the estimated share of wrong labels, and images that nobody could judge.

    Also how far the model that doubts can be believed: its accuracy by these labels, how many images it is surest of,
    and the share of their labels that it contradicts. `roles` has the same of the split's raw and production images:
    labels are often wrong in one source alone, and a model that sees one well may see the other badly.
    """
    role_of = manifest.set_index("id")["role"].astype(str)
    found = {}
    for one in doubts:
        roles = role_of.loc[one.rows["id"].astype(str)].to_numpy()
        suspects = table.loc[table["split"] == one.split, "role"].astype(str)
        found[one.split] = {
            **_metrics(one, np.ones(len(one.labels), np.bool_), len(suspects), one.noise),
            "roles": {
                role: _metrics(one, roles == role, int((suspects == role).sum())) for role in sorted({*roles.tolist()})
            },
        }
    return found


def _metrics(
    one: Disagreements, rows: npt.NDArray[np.bool_], suspects: int, known: LabelNoise | None = None
) -> dict[str, Any]:
    noise = known or one.noise_of(rows & one.checked_predictions)
    return {
        "images": int(rows.sum()),
        "label_issues": suspects,
        "wrong_share": noise.wrong_share,
        "not_checked": int((rows & ~one.checked_predictions).sum()),
        "accuracy": noise.accuracy,
        "most_confident": noise.most_confident,
        "disagreeing": noise.disagreeing,
        "half_confident": noise.half_confident,
        "half_disagreeing": noise.half_disagreeing,
    }
