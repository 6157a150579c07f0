"""Group images that must stay in one split: equal files, near copies, and the user's own groups."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.manifest import HASHES, MARKS, NO_LABEL, PRODUCTION, is_sorted_by_id
from pipeline.names import key
from pipeline.stages.curate.duplicates import may_repeat
from pipeline.stages.curate.similarity import ReadPictures, comparable, copies

Numbers = npt.NDArray[np.int64]

COMPARED_COLUMNS = ["id", "sha256", "source", "captured_at", "width", "height", *MARKS.names, "shard", "row"]
NEAR_COLUMNS = ["group", "family", "id", "source", "role", "label", "near_copy_of", "labels"]
NO_COPIES = pd.DataFrame({"one": [], "other": []}, dtype="str")


def contents_of(images: pd.DataFrame) -> pd.DataFrame:
    """One image of each content, in the order of ids: what is compared, whatever the order of images."""
    camera = [name for name in ("meta_camera",) if name in images.columns]
    compared = images[[*COMPARED_COLUMNS, *camera]]
    if is_sorted_by_id(images) and not may_repeat(images["sha256"]).any():
        # As they are: sorting would copy all that is compared.
        return compared.reset_index(drop=True)
    return compared.sort_values("id").drop_duplicates("sha256").reset_index(drop=True)


def is_compared(images: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each image has enough detail and pixels to be told from others; shape (n,)."""
    return comparable(*(images[name].to_numpy() for name in ("fine_detail", "width", "height")))


def near_copies(contents: pd.DataFrame, views_of: ReadPictures, portraits_of: ReadPictures) -> pd.DataFrame:
    """Pairs of near copies that connect whole families: columns one and other, both sha256.

    Args:
        contents: as contents_of gives them.
        views_of, portraits_of: the views and the portraits of contents by position, see similarity.copies.
    """
    one, other = copies(contents[[*HASHES]].to_numpy(np.uint64), is_compared(contents), views_of, portraits_of)
    names = contents["sha256"].to_numpy()
    return pd.DataFrame({"one": names[one], "other": names[other]}, dtype="str").drop_duplicates(ignore_index=True)


def groups_of(images: pd.DataFrame, pairs: pd.DataFrame = NO_COPIES) -> "pd.Series[Any]":
    """The name of the group of each image: what must not be split apart.

    Images with the same content belong together, near copies, and those of one user group, however it is
    written (names.key), also across sources: a group is a connected component. It is named after the key of its first
    user group, so that another way of writing it renames nothing, else
    after the first content of its production images, else of all. So a further image does not rename
    it unless it joins two groups or, without a user group, its content comes first; a raw one never
    renames what has a production image.

    Args:
        pairs: near copies, as near_copies gives them.
    """
    named = images["user_group"].to_numpy() != ""
    if not named.any() and not len(pairs):
        return images["sha256"]
    # In alphabetical order, so that the smallest number stands for the first name.
    content, contents = pd.factorize(images["sha256"], sort=True)
    own, users = pd.factorize(user_keys(images), sort=True)
    one, other = (contents.get_indexer(pd.Index(pairs[name])) for name in ("one", "other"))
    ends = np.append(content[named], one), np.append(len(contents) + own[named], other)
    group = _components(*ends, len(contents) + len(users))[content]
    names = np.concatenate([["group:" + user for user in users], contents, contents])
    raw = (images["role"] != PRODUCTION).to_numpy()
    choice = np.where(named, own, len(users) + content + len(contents) * raw)
    first = np.full(group.max() + 1, len(names))
    np.minimum.at(first, group, choice)
    return pd.Series(names[first[group]], index=images.index, dtype="str")


def joined_groups(images: pd.DataFrame) -> list[list[str]]:
    """User groups that equal files or near copies made one, each list sorted.

    Args:
        images: with the column `group`.
    """
    pairs = images.loc[images["user_group"] != "", ["user_group", "group"]].sort_values("user_group").drop_duplicates()
    # Of those that are one name, however it is written, one.
    pairs = pairs[~pairs.assign(user=user_keys(pairs)).duplicated(["user", "group"])]
    several = pairs[pairs["group"].duplicated(keep=False)].groupby("group")["user_group"]
    return [sorted(names) for _, names in several]


def user_keys(images: pd.DataFrame) -> "pd.Series[Any]":
    """What is equal for user groups that are one name, however it is written."""
    names = images["user_group"]
    return names.map({name: key(name) for name in names.unique()})


def near_table(kept: pd.DataFrame, images: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """A row for each kept image in a family of near copies, for people; columns NEAR_COLUMNS, sorted.

    `family` is the id of its first image, production before raw. `near_copy_of` is the first image that this one was
    found to be a copy of; it may have been removed. `labels` names all labels of a family that has several, else "".

    Args:
        images: kept ones and those that were removed.
        pairs: near copies, as near_copies gives them.
    """
    if not len(pairs):
        return pd.DataFrame(columns=NEAR_COLUMNS, dtype="str")
    ends = pd.concat([pairs, pairs.rename(columns={"one": "other", "other": "one"})])
    images = images[images["sha256"].isin(ends["one"])]
    removed, raw = ~images["id"].isin(kept["id"]), images["role"] != PRODUCTION
    order = images.assign(removed=removed, raw=raw).sort_values(["removed", "raw", "id"]).drop_duplicates("sha256")
    contents, ids = pd.Index(order["sha256"]), order["id"].to_numpy()
    one, other = (contents.get_indexer(pd.Index(ends[name])) for name in ("one", "other"))
    near, family = np.full((2, len(contents)), len(contents))
    np.minimum.at(near, one, other)
    component = _components(one, other, len(contents))
    np.minimum.at(family, component, np.arange(len(contents)))

    rows = kept[kept["sha256"].isin(contents)]
    place = contents.get_indexer(pd.Index(rows["sha256"]))
    rows = rows.assign(family=ids[family[component[place]]], near_copy_of=ids[near[place]]).astype({"label": str})
    families = rows.groupby("family")
    labels = families["label"].agg(
        lambda found: " / ".join(names) if len(names := sorted({*found} - {NO_LABEL})) > 1 else ""
    )
    rows = rows[families["sha256"].transform("nunique") > 1]
    rows = rows.assign(labels=rows["family"].map(labels))
    return rows.sort_values(["group", "family", "id"], ignore_index=True)[NEAR_COLUMNS]


def near_counts(table: pd.DataFrame) -> dict[str, int]:
    """How many images near_table lists, in how many families, and how many of these have several labels."""
    families = table.drop_duplicates("family")
    return {"images": len(table), "groups": len(families), "two_labels": int((families["labels"] != "").sum())}


def _components(one: Numbers, other: Numbers, count: int) -> Numbers:
    """The number of the connected component of each of `count` nodes."""
    edges = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    components: Numbers = connected_components(edges, directed=False)[1]
    return components
