"""Which of several equal images stays, and what becomes of one picture under two labels."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipeline.core.manifest import FURTHER, PRODUCTION
from pipeline.errors import DataError, listing
from pipeline.params import CurateParams

REMOVED_COLUMNS = ["id", "source", "label", "path", "reason", "detail"]


def remove_duplicates(images: pd.DataFrame, params: CurateParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images that stay and those that go, with reasons; both sorted by id.

    Of files with the same content the production image stays before the raw one, then the one with
    the smallest id. Reasons: `duplicate` (detail: the id that stays) and `conflicting_labels`
    (detail: the labels).

    Raises:
        DataError: a picture has two labels and params say that this is an error.
    """
    order = pd.DataFrame({"raw": images["role"].astype(str) != PRODUCTION, "id": images["id"]})
    images = images.loc[order.sort_values(["raw", "id"]).index]
    same = images.groupby("sha256", observed=True)["label"]
    conflict = same.transform("nunique") > 1 if len(images) else pd.Series(dtype=bool)
    if params.conflicting_labels == "error" and conflict.any():
        raise DataError(_conflict_message(images[conflict]))
    identity = ["sha256", "label"] if params.conflicting_labels == "keep" else ["sha256"]
    rejected = conflict if params.conflicting_labels == "reject" else pd.Series(False, index=images.index)
    duplicate = images.duplicated(identity) & ~rejected
    kept = images[~rejected & ~duplicate]
    removed = pd.concat(
        [
            _removed(images[rejected], "conflicting_labels", _labels_of(images[rejected])),
            _removed(images[duplicate], "duplicate", _survivors(images[duplicate], kept, identity)),
        ]
    )
    return kept.sort_values("id", ignore_index=True), removed.sort_values("id", ignore_index=True)


def join_sources(manifests: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all sources; "" where a source lacks another's column of metadata."""
    joined = pd.concat([manifest.astype(dict.fromkeys(_further(manifest), str)) for manifest in manifests])
    return joined.fillna(dict.fromkeys(_further(joined), "")).reset_index(drop=True)


def _further(manifest: pd.DataFrame) -> list[str]:
    return [name for name in manifest.columns if name.startswith(FURTHER)]


def _removed(images: pd.DataFrame, reason: str, detail: "pd.Series[Any]") -> pd.DataFrame:
    return images.assign(reason=reason, detail=detail)[REMOVED_COLUMNS]


def _labels_of(images: pd.DataFrame) -> "pd.Series[Any]":
    labels = images["label"].astype(str).groupby(images["sha256"])
    return images["sha256"].map(labels.agg(lambda group: " / ".join(sorted(set(group)))))


def _survivors(images: pd.DataFrame, kept: pd.DataFrame, identity: list[str]) -> "pd.Series[Any]":
    pairs = images[identity].merge(kept[[*identity, "id"]], on=identity, how="left")
    return pairs["id"].set_axis(images.index)


def _conflict_message(images: pd.DataFrame) -> str:
    return (
        f"pictures under two labels: {images['sha256'].nunique()}, the files {listing(sorted(images['id']))}. "
        "Correct the labels, or set curate.conflicting_labels to reject or keep"
    )
