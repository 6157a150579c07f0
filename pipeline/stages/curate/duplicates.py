"""Remove exact duplicates, and resolve pictures with two labels."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError, listing
from pipeline.manifest import EXTRA_COLUMNS, NO_LABEL, PRODUCTION, is_sorted_by_id
from pipeline.names import alike_labels
from pipeline.randomness import keyed_hash
from pipeline.stages.curate.params import CurateParams

REMOVED_COLUMNS = ["id", "source", "label", "path", "reason", "detail"]


def remove_duplicates(images: pd.DataFrame, params: CurateParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images that stay and those that go, with reasons; both sorted by id.

    Of files with the same content one with a label stays before one without, the production image before
    the raw one, then the one with the smallest id. Reasons: `duplicate` (detail: the id that stays) and
    `conflicting_labels` (detail: the labels); no label conflicts with none.

    Raises:
        DataError: a picture has two labels and params say that this is an error.
    """
    # Of the other rows and columns nothing is asked: tables of all contents take hundreds of bytes a row.
    asked = images[["id", "sha256", "label", "role"]][may_repeat(images["sha256"])]
    unlabelled, raw = asked["label"] == NO_LABEL, asked["role"].astype(str) != PRODUCTION
    order = pd.DataFrame({"unlabelled": unlabelled, "raw": raw, "id": asked["id"]})
    ordered = asked.drop(columns="role").loc[order.sort_values(["unlabelled", "raw", "id"]).index]
    labelled = ordered["label"] != NO_LABEL
    per_content = _labels_per_content(ordered[labelled]).reindex(ordered["sha256"], fill_value=0)
    conflict = per_content.set_axis(ordered.index) > 1
    if params.conflicting_labels == "error" and conflict.any():
        raise DataError(_conflict_message(ordered[conflict]))
    identity = ["sha256", "label"] if params.conflicting_labels == "keep" else ["sha256"]
    rejected = conflict if params.conflicting_labels == "reject" else pd.Series(False, index=ordered.index)
    duplicate = (ordered.duplicated(identity) | (~labelled & ordered.duplicated(["sha256"]))) & ~rejected
    stays = ~rejected & ~duplicate
    survivors = _survivors(ordered[duplicate], ordered[stays], identity)
    removed = pd.concat(
        [
            _removed(images.loc[ordered.index[rejected]], "conflicting_labels", _labels_of(ordered[rejected])),
            _removed(images.loc[ordered.index[duplicate]], "duplicate", survivors),
        ]
    )
    kept = images if stays.all() else images[~images.index.isin(stays.index[~stays])]
    return _by_id(kept), _by_id(removed)


def may_repeat(contents: "pd.Series[Any]") -> npt.NDArray[np.bool_]:
    """Whether another row may have the same content, shape (n,): of different contents, hardly any two.

    By hashes of 64 bits: strings take ten times the memory.
    """
    hashes = keyed_hash(0, "content", contents)
    ordered = np.sort(hashes)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(len(hashes), bool)
    places = np.searchsorted(twice, hashes).clip(max=len(twice) - 1)
    return np.asarray(twice[places] == hashes)


def _by_id(images: pd.DataFrame) -> pd.DataFrame:
    if is_sorted_by_id(images):
        return images.reset_index(drop=True)
    return images.sort_values("id", ignore_index=True)


def also_removed(removed: pd.DataFrame, images: pd.DataFrame, reason: str, details: "pd.Series[Any]") -> pd.DataFrame:
    """The images that go, and further ones with their reason; sorted by id.

    Args:
        details: of each of these images, what there is to say beside the reason.
    """
    rows = [removed, _removed(images, reason, details)]
    return pd.concat(rows).sort_values("id", ignore_index=True) if len(images) else removed


def join_sources(manifests: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all sources; "" where a source lacks another's column of metadata.

    Column by column: of manifests that nobody else holds, no column is in memory twice.

    Raises:
        DataError: labels of different sources look like one class, written in several ways.
    """
    frames = [manifest.copy(deep=False) for manifest in manifests]
    sources: dict[str, list[str]] = {}
    for manifest in frames:
        for label in manifest["label"].unique():
            sources.setdefault(str(label), []).append(str(manifest["source"].iloc[0]))
    if problems := alike_labels(sources, {label: f"in {listing(names)}" for label, names in sources.items()}):
        raise DataError("\n".join(problems))
    names = dict.fromkeys(name for frame in frames for name in frame.columns)
    return pd.DataFrame({name: _joined_column(name, frames) for name in names}, copy=False)


def _joined_column(name: str, frames: Sequence[pd.DataFrame]) -> "pd.Series[Any]":
    """A column of all sources, taken out of their manifests."""
    if not name.startswith(EXTRA_COLUMNS):
        return pd.concat([frame.pop(name) for frame in frames], ignore_index=True)
    parts = [
        frame.pop(name).astype(str) if name in frame else pd.Series("", index=frame.index, dtype="str")
        for frame in frames
    ]
    return pd.concat(parts, ignore_index=True).fillna("")


def _removed(images: pd.DataFrame, reason: str, detail: "pd.Series[Any]") -> pd.DataFrame:
    return images.assign(reason=reason, detail=detail)[REMOVED_COLUMNS]


def _labels_per_content(images: pd.DataFrame) -> "pd.Series[Any]":
    return images.groupby("sha256", observed=True)["label"].nunique()


def _labels_of(images: pd.DataFrame) -> "pd.Series[Any]":
    labelled = images[images["label"] != NO_LABEL]
    labels = labelled["label"].astype(str).groupby(labelled["sha256"])
    return images["sha256"].map(labels.agg(lambda group: " / ".join(sorted(set(group)))))


def _survivors(images: pd.DataFrame, kept: pd.DataFrame, identity: list[str]) -> "pd.Series[Any]":
    pairs = images[identity].merge(kept[[*identity, "id"]], on=identity, how="left")
    # Where labels are kept apart, one without a label is a copy of the first of them.
    first = kept.drop_duplicates("sha256").set_index("sha256")["id"]
    return pairs["id"].set_axis(images.index).fillna(images["sha256"].map(first))


def _conflict_message(images: pd.DataFrame) -> str:
    return (
        f"pictures with two labels: {images['sha256'].nunique()}, in the files {listing(sorted(images['id']))}. "
        "Correct the labels, or set curate.conflicting_labels to reject or keep"
    )
