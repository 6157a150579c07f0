"""Assigns every image to train, train_dev, dev or test; test's rows go to a file of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import catalogue
from pipeline.core import matching
from pipeline.core.manifest import CURATED, DEV, SEEN_SPLITS, TEST, check_manifest
from pipeline.core.splitting import assign_splits, split_counts
from pipeline.errors import DataError, MissingInputError, listing
from pipeline.params import SplitParams
from pipeline.stages import Stage


@dataclass(frozen=True)
class SplitOutputs:
    """Rows of train, train_dev and dev; rows of test; rows of no split, with the reason; the proof; words."""

    manifest: pd.DataFrame
    test: pd.DataFrame
    excluded: pd.DataFrame
    matching: pd.DataFrame
    metrics: dict[str, Any]
    summary: str


def split(manifest: pd.DataFrame, params: SplitParams) -> SplitOutputs:
    """The four splits of the curated images, and the proof that dev and test match production.

    Raises:
        MissingInputError: params name a folder of frozen splits that has none.
        DataError: a split is too small; or it does not match production, and params say that this is fatal.
    """
    splits = assign_splits(check_manifest(manifest, CURATED), params, _frozen(params.frozen_from))
    measured = matching.measure_matching(splits.compared(), params.seed, params.matching.level)
    found = matching.mismatches(measured)
    if found and params.matching.on_mismatch == "fail":
        raise DataError("dev or test do not match production:\n  " + "\n  ".join(found))
    images, excluded = splits.counts(), splits.excluded
    counts = ", ".join(f"{count} {name}" for name, count in images.items())
    notes = [
        *_moved(splits.topped_up),
        *(matching.words(name, images[name], params.expected_accuracy) for name in (DEV, TEST)),
        *(f"warning: {sentence}" for sentence in found),
    ]
    return SplitOutputs(
        manifest=splits.rows(*SEEN_SPLITS),
        test=splits.rows(TEST),
        excluded=excluded,
        matching=measured,
        metrics={
            **split_counts(splits),
            "excluded": len(excluded),
            "topped_up": splits.topped_up,
            "visible_difference": {
                name: matching.visible_difference(images[name], params.expected_accuracy) for name in (DEV, TEST)
            },
            "matching": matching.summarise_matching(measured),
        },
        summary="\n  ".join([f"{counts}, {len(excluded)} in no split", *notes]),
    )


def _frozen(folder: str | None) -> pd.DataFrame | None:
    if folder is None:
        return None
    files = [Path(folder) / Path(artifact.path).name for artifact in (catalogue.SPLIT, catalogue.SPLIT_TEST)]
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise MissingInputError(
            f"split.frozen_from names {folder}, which has no {listing(missing)}: "
            f"copy both manifests of an earlier {Path(catalogue.SPLIT.path).parent} there"
        )
    manifests: list[pd.DataFrame] = [catalogue.SPLIT.read(file) for file in files]
    return pd.concat([rows[["id", "label", "split"]] for rows in manifests], ignore_index=True)


def _moved(images: int) -> list[str]:
    if not images:
        return []
    return [
        f"{images} images of small classes were moved from train to dev or test to reach split.min_per_class; "
        "they may move back as these classes grow, unless split.frozen_from pins them"
    ]


STAGE = Stage(
    name="split",
    function=split,
    params={"params": "split"},
    reads={"manifest": catalogue.CURATED},
    writes={
        "manifest": catalogue.SPLIT,
        "test": catalogue.SPLIT_TEST,
        "excluded": catalogue.SPLIT_EXCLUDED,
        "matching": catalogue.SPLIT_MATCHING,
        "metrics": catalogue.SPLIT_METRICS,
    },
)
