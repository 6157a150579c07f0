"""The pairs of images of which people are asked whether they show the same thing, the most doubtful first."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from pipeline import catalogue
from pipeline.manifest import NO_LABEL

COLUMNS = ["one", "other", "found_as", "places", "order"]
TWO_LABELS, CHAIN, SCENE, NEAR_COPY, DECIDED = range(5)
# As curate calls them in its tables.
_SCENE, _NEAR, _DECIDED = "scene", "near_duplicate", "not_same"


def doubtful_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Pairs of images that curate took for the same; columns COLUMNS, one and other are ids.

    Pairs with two labels come first, then those that decisions on others cut, then scenes, those that agree in few
    places first, then near copies, and at last pairs that people already called not the same. Of a scene only so many
    pairs are asked that they connect it: those that agree in the most places.

    Args:
        rows: of images that may be shown: id, sha256 and label.
    """
    near, parted, scenes = (
        each.read(Path(each.path)).astype(str)
        for each in (catalogue.CURATE_NEAR, catalogue.CURATE_PARTED, catalogue.CURATE_SCENES)
    )
    memory = catalogue.CURATE_SCENE_PAIRS.read(Path(catalogue.CURATE_SCENE_PAIRS.path))
    known = rows.astype({"id": str, "sha256": str}).drop_duplicates("sha256")
    ids = known.set_index("sha256")["id"]
    found = memory.loc[memory["scene"], ["one", "other", "places"]].astype({"one": str, "other": str})
    found = found.assign(**{end: found[end].map(ids) for end in ("one", "other")}).dropna()
    found = _connecting(found[found["one"].isin(scenes["id"]) & found["other"].isin(scenes["id"])])
    apart = parted.rename(columns={"one_id": "a", "other_id": "b"})
    cut = np.where(apart["reason"] == _DECIDED, DECIDED, CHAIN)
    tables = [
        apart[["a", "b", "found_as"]].set_axis(["one", "other", "found_as"], axis=1).assign(places=0, order=cut),
        near[["id", "near_copy_of"]]
        .set_axis(["one", "other"], axis=1)
        .assign(found_as=_NEAR, places=0, order=NEAR_COPY),
        found.assign(found_as=_SCENE, order=SCENE),
    ]
    pairs = pd.concat(tables, ignore_index=True)[COLUMNS]
    pairs = pairs[pairs["one"].isin(known["id"]) & pairs["other"].isin(known["id"])]
    ends = np.sort(pairs[["one", "other"]].to_numpy(object), axis=1)
    pairs = pairs.assign(one=ends[:, 0], other=ends[:, 1]).drop_duplicates(["one", "other"])
    labels = known.set_index("id")["label"].astype(str)
    one, other = (pairs[end].map(labels) for end in ("one", "other"))
    differ = (one != other) & (one != NO_LABEL) & (other != NO_LABEL) & (pairs["order"] != DECIDED)
    pairs = pairs.assign(order=pairs["order"].where(~differ, TWO_LABELS))
    ordered: pd.DataFrame = pairs.sort_values(["order", "places", "one", "other"], ignore_index=True)
    return ordered


def _connecting(pairs: pd.DataFrame) -> pd.DataFrame:
    """A maximum spanning forest by places; of equally good pairs the first by name."""
    if pairs.empty:
        return pairs
    ordered = pairs.sort_values(["places", "one", "other"], ascending=[False, True, True], ignore_index=True)
    codes, names = pd.factorize(pd.concat([ordered["one"], ordered["other"]]), sort=True)
    one, other = codes[: len(ordered)], codes[len(ordered) :]
    ranks = np.arange(1, len(ordered) + 1, dtype=float)
    tree = minimum_spanning_tree(coo_array((ranks, (one, other)), shape=(len(names), len(names))).tocsr())
    return ordered.iloc[np.sort(tree.data.astype(int)) - 1]
