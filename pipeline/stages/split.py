"""Assigns every image to train, train_dev, dev or test; test's rows go to a file of their own."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core.manifest import CURATED, TEST, check_manifest
from pipeline.core.splitting import assign_splits, split_counts
from pipeline.params import SplitParams
from pipeline.stages import Stage


@dataclass(frozen=True)
class SplitOutputs:
    """Rows of train, train_dev and dev; rows of test; rows of no split, with the reason."""

    manifest: pd.DataFrame
    test: pd.DataFrame
    excluded: pd.DataFrame
    metrics: dict[str, Any]

    @property
    def summary(self) -> str:
        counts = ", ".join(
            f"{sum(roles.values())} {split}" for split, roles in self.metrics.items() if isinstance(roles, dict)
        )
        return f"{counts}, {len(self.excluded)} in no split"


def split(manifest: pd.DataFrame, params: SplitParams) -> SplitOutputs:
    """The four splits of the curated images."""
    assigned, excluded = assign_splits(check_manifest(manifest, CURATED), params)
    in_test = assigned["split"] == TEST
    return SplitOutputs(
        manifest=assigned[~in_test],
        test=assigned[in_test],
        excluded=excluded,
        metrics={**split_counts(assigned), "excluded": len(excluded)},
    )


STAGE = Stage(
    name="split",
    function=split,
    params={"params": "split"},
    reads={"manifest": catalogue.CURATED},
    writes={
        "manifest": catalogue.SPLIT,
        "test": catalogue.SPLIT_TEST,
        "excluded": catalogue.SPLIT_EXCLUDED,
        "metrics": catalogue.SPLIT_METRICS,
    },
)
