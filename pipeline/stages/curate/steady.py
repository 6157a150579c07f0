"""Groups that stay the same when images are added: names are kept, and a new image never joins two groups.

A group's name decides its split. A newcomer whose content sorts first would rename a group, and one that shows scenes
of two groups would make them one: either would move images that stay where they are. So earlier groups are read from
the last run; a newcomer that links two of them is left out, with the reason.
"""

from typing import Any

import pandas as pd

from pipeline.stages.curate.groups import groups_of

JOINS = "joins_groups"
GROUP_COLUMNS = ["sha256", "group"]


def steady_groups(
    images: pd.DataFrame, pairs: pd.DataFrame, earlier: pd.DataFrame
) -> tuple["pd.Series[Any]", "pd.Series[Any]"]:
    """The group of each image, and for newcomers that would join earlier groups the names of these, else "".

    Args:
        images: columns as groups_of wants them.
        pairs: contents that belong together, columns one and other (sha256).
        earlier: columns GROUP_COLUMNS of the last run, by the same rules; without rows there are only newcomers.
    """
    groups = groups_of(images, pairs)
    nothing = pd.Series("", index=images.index, dtype="str")
    was = images["sha256"].map(earlier.drop_duplicates("sha256").set_index("sha256")["group"])
    old = was.notna()
    if not old.any():
        return groups, nothing
    both = pairs["one"].isin(earlier["sha256"]) & pairs["other"].isin(earlier["sha256"])
    names = _lasting_names(groups_of(images[old], pairs[both]), was[old])
    found = pd.DataFrame({"component": groups[old], "name": names}).drop_duplicates()
    alone = ~found["component"].duplicated(keep=False)
    # Text in any case: where nothing is found, pandas would make it a column of floats.
    one = groups.map(found[alone].set_index("component")["name"]).astype("str")
    joined = found[~alone].sort_values("name").groupby("component")["name"].agg(" + ".join)
    several = groups.map(joined).astype("str")
    steady = groups.where(one.isna(), one).where(several.isna(), images["sha256"])
    steady[old] = names
    return steady.astype("str"), several.where(several.notna() & ~old, "").astype("str")


def _lasting_names(groups: "pd.Series[Any]", was: "pd.Series[Any]") -> "pd.Series[Any]":
    """The earlier name where a group of old images has one that no other group has; else the new one."""
    pairs = pd.DataFrame({"group": groups, "was": was}).drop_duplicates()
    alone = ~pairs["group"].duplicated(keep=False) & ~pairs["was"].duplicated(keep=False)
    lasting = dict(zip(pairs.loc[alone, "group"], pairs.loc[alone, "was"], strict=True))
    # A new name that is an earlier one of others would join them.
    taken = {*lasting.values()}
    names = [lasting.get(group, f"part of {group}" if group in taken else group) for group in groups]
    return pd.Series(names, index=groups.index, dtype="str")
