"""Repeats or drops rows of train so that its classes weigh alike; other splits are not touched."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.balancing import choose_rows, copy_numbers
from pipeline.core.manifest import SPLIT, TRAIN, check_manifest, counts_per_label
from pipeline.params import BalanceParams
from pipeline.stages import Stage


@dataclass(frozen=True)
class BalanceOutputs:
    """Rows of train with their copy number, and class counts before and after."""

    manifest: pd.DataFrame
    counts: pd.DataFrame
    metrics: dict[str, Any]

    @property
    def summary(self) -> str:
        before, after = self.metrics["before"], self.metrics["after"]
        return f"{before['rows']} rows -> {after['rows']}, largest class {after['imbalance']:.3g} times the smallest"


def balance(manifest: pd.DataFrame, params: BalanceParams) -> BalanceOutputs:
    """The balanced rows of train."""
    check_manifest(manifest, SPLIT)
    train = manifest[manifest["split"] == TRAIN].sort_values("id", ignore_index=True)
    rows = choose_rows(train["label"].astype(str).to_numpy(), params)
    balanced = train.iloc[rows].assign(copy=copy_numbers(rows))
    before, after = counts_per_label(train), counts_per_label(balanced)
    counts = pd.DataFrame(
        [
            {"label": label, "when": when, "rows": count}
            for when, labels in (("before", before), ("after", after))
            for label, count in labels.items()
        ]
    )
    return BalanceOutputs(balanced, counts, {"before": _summed(before), "after": _summed(after)})


def _summed(counts: dict[str, int]) -> dict[str, float]:
    return {"rows": sum(counts.values()), "imbalance": max(counts.values()) / min(counts.values())}


STAGE = Stage(
    name="balance",
    function=balance,
    params={"params": "balance"},
    reads={"manifest": catalogue.SPLIT},
    writes={
        "manifest": catalogue.BALANCED,
        "counts": catalogue.BALANCE_COUNTS,
        "metrics": catalogue.BALANCE_METRICS,
    },
)
