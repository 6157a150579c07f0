"""Manifests to balance, params of every strategy, and what they choose."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from pipeline.stages.balance.balancing import Chosen, choose_rows
from pipeline.stages.balance.params import BalanceParams
from pipeline.stages.balance.strategies import STRATEGIES

# A strategy's other params, for each member of the union: a new member must be given some here.
OTHERS: dict[str, dict[str, Any]] = {
    "none": {},
    "oversample": {"target": {"name": "majority"}},
    "undersample": {"target": {"name": "minority"}},
    "both": {"target": {"name": "median"}},
    "tomek_links": {},
    "edited_nearest_neighbours": {"neighbours": 1, "drop_if": "most"},
    "neighbourhood_cleaning_rule": {"neighbours": 1},
    "near_miss": {"version": 1, "neighbours": 1, "target": {"name": "minority"}},
    "weights": {},
    "weights_within": {"column": "source"},
}
CLEANERS = [name for name, row in STRATEGIES.items() if row.sampler is not None]
FEW = settings(max_examples=25, deadline=None)
each_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


def params(strategy: str, seed: int = 1, production_weight: float = 1.0, **others: Any) -> BalanceParams:
    chosen = {"name": strategy, **(others or OTHERS[strategy])}
    return BalanceParams.model_validate({"seed": seed, "production_weight": production_weight, "strategy": chosen})


def manifest(raw: Mapping[str, int], production: Mapping[str, int] | None = None, elsewhere: int = 0) -> pd.DataFrame:
    """Rows of train, sorted by id, and so many of dev beside those of each class."""
    rows = [
        (f"{role}/{label}/{number:04}", label, role, "train" if number < count else "dev")
        for role, counts in (("production", production or {}), ("raw", raw))
        for label, count in counts.items()
        for number in range(count + elsewhere)
    ]
    frame = pd.DataFrame(rows, columns=["id", "label", "role", "split"]).sort_values("id", ignore_index=True)
    return frame.assign(source="web")


@st.composite
def manifests(draw: st.DrawFn) -> pd.DataFrame:
    """Two to four classes of three to thirty rows, of either role, some rows outside train."""
    names = ["fig", "apple", "quince", "pear"][: draw(st.integers(2, 4))]
    raw, production = ({name: draw(st.integers(least, 15)) for name in names} for least in (3, 0))
    return manifest(raw, production, elsewhere=draw(st.integers(0, 2)))


WEIGHTS = st.sampled_from([1.0, 1.5, 2.0, 7.3])


def features_of(rows: pd.DataFrame) -> npt.NDArray[np.uint8]:
    """Pictures of classes that lie apart, a hash of the id beside: what the cleaners compare."""
    places = pd.util.hash_array(rows["id"].to_numpy(dtype=object)) % 20
    centres = rows["label"].astype(str).map({"apple": 0, "fig": 60, "pear": 120, "quince": 180}).fillna(240)
    return np.stack([centres.to_numpy(dtype=np.uint8) + places.astype(np.uint8)] * 2, axis=1)


def choose(rows: pd.DataFrame, chosen: BalanceParams) -> Chosen:
    return choose_rows(rows, chosen, lambda places: features_of(rows.iloc[places]))


def named(rows: pd.DataFrame, chosen: Chosen) -> list[tuple[str, int, float]]:
    """Id, copy and weight of each balanced row."""
    return list(zip(rows["id"].iloc[chosen.rows], chosen.copies.tolist(), chosen.weights.tolist(), strict=True))


def counts_after(rows: pd.DataFrame, chosen: Chosen, by: str = "label") -> dict[Any, int]:
    return dict(Counter(rows[by].iloc[chosen.rows].astype(str)))


def train_of(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["split"] == "train"]
