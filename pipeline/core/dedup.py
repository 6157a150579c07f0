"""Which of several equal images stays, and what becomes of one picture under two labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.core.manifest import FURTHER, PRODUCTION
from pipeline.errors import DataError, listing
from pipeline.params import CurateParams

REMOVED_COLUMNS = ["id", "source", "label", "path", "reason", "detail"]


def remove_duplicates(images: pd.DataFrame, params: CurateParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images that stay, with a `group` column, and those that go, with reasons.

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
    kept = kept.assign(group=groups_of(images)[kept.index]).sort_values("id", ignore_index=True)
    return kept, removed.sort_values("id", ignore_index=True)


def join_sources(manifests: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all sources; "" where a source lacks another's column of metadata."""
    joined = pd.concat([manifest.astype(dict.fromkeys(_further(manifest), str)) for manifest in manifests])
    return joined.fillna(dict.fromkeys(_further(joined), "")).reset_index(drop=True)


def _further(manifest: pd.DataFrame) -> list[str]:
    return [name for name in manifest.columns if name.startswith(FURTHER)]


def groups_of(images: pd.DataFrame) -> "pd.Series[Any]":
    """The name of the group of each image: what must not be split apart.

    Images with the same content belong together, and so do those of one user group, also across
    sources: a group is a connected component. It is named after its first user group, else after
    its content, so that further images do not rename it (unless they join two groups).
    """
    if not (images["user_group"] != "").any():
        return images["sha256"]
    content = pd.factorize(images["sha256"])[0]
    own = pd.factorize(images["user_group"])[0] + content.max() + 1
    named = images["user_group"].to_numpy() != ""
    edges = coo_array((np.ones(named.sum()), (content[named], own[named])), shape=(own.max() + 1,) * 2)
    component = pd.Series(connected_components(edges, directed=False)[1][content], index=images.index)
    first = images["user_group"].where(named).groupby(component).min()
    return images["sha256"].where(component.map(first).isna(), "group:" + component.map(first).astype(str))


def joined_groups(images: pd.DataFrame, groups: "pd.Series[Any]") -> list[list[str]]:
    """User groups that shared content made one, each list sorted."""
    pairs = pd.DataFrame({"own": images["user_group"], "group": groups})
    pairs = pairs[pairs["own"] != ""].drop_duplicates()
    several = pairs[pairs["group"].duplicated(keep=False)].groupby("group")["own"]
    return [sorted(names) for _, names in several]


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
