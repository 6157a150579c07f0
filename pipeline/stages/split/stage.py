"""Assign every image to train, train_dev, dev or test; test's rows go to a separate file."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, listing
from pipeline.manifest import (
    CURATED,
    DEV,
    PRODUCTION,
    SEEN_SPLITS,
    TEST,
    UNLABELLED,
    UNLABELLED_HELD_OUT,
    select_columns,
)
from pipeline.metrics import matching
from pipeline.problem.params import Problem
from pipeline.problem.problem import is_multi_label, is_regression
from pipeline.stage import Stage
from pipeline.stages.split.grouping import Groups
from pipeline.stages.split.numbers import params_of_parts, with_parts
from pipeline.stages.split.params import SplitParams
from pipeline.stages.split.splitting import (
    EXCLUDED,
    EXCLUDED_COLUMNS,
    ONE_SIDED,
    OUTCOMES,
    UNUSED,
    Splits,
    assign_splits,
    split_counts,
)
from pipeline.stages.split.strata import stratum_column
from pipeline.store.categories import category_array
from pipeline.store.manifests import TableSlice
from pipeline.store.row_parts import RowParts
from pipeline.store.vectors import Embeddings

# All other columns go from file to file a part at a time. Of these, those that take memory stay there, too.
COLUMNS_READ = ("id", "source", "role", "label", "group", "captured_at", *matching.MEASURED)
STAY = ("id", "source", "group", "captured_at", *matching.MEASURED)


@dataclass(frozen=True)
class SplitOutputs:
    """The splits, the check that dev and test match production, and the summary.

    manifest: rows of train, train_dev and dev. test: rows of test. unused: production rows that may show
    what production looks like, and nothing else. excluded: all rows of no split, with the reason.
    """

    manifest: TableSlice
    test: TableSlice
    unused: TableSlice
    excluded: pd.DataFrame
    matching: pd.DataFrame
    metrics: dict[str, Any]
    summary: str


def split(manifest: RowParts, embeddings: Embeddings, params: SplitParams, problem: Problem) -> SplitOutputs:
    """Split the curated images in four, and check that dev and test match production.

    Raises:
        MissingInputError: split.frozen_from names a folder without a split.
        DataError: a split is too small; or it does not match production, and params say that this is fatal.
    """
    strata = [stratum_column(name, manifest.schema.names) for name in params.stratify_by]
    frozen = _frozen(params.frozen_from)
    # Of what would stay where it is, what params need.
    newest = ["captured_at", "id"] if params.method == "newest" else []
    read = {*strata, *newest, *([] if frozen is None else ["id"])}
    columns = [*COLUMNS_READ, *(name for name in strata if name not in COLUMNS_READ)]
    rows = select_columns(manifest, CURATED, columns, stay=[name for name in STAY if name not in read])
    if measures := is_regression(problem):
        params = params_of_parts(params)
        rows, frozen = with_parts(rows, frozen)
    groups = Groups.of(lambda: (part["group"].to_pandas() for part in manifest.parts(["group"])), len(manifest))
    splits = assign_splits(rows, params, frozen, is_multi_label(problem), groups)
    there = ~splits.of(ONE_SIDED)
    production = (rows["role"] == PRODUCTION).to_numpy(dtype=bool)
    population = matching.Population(
        raw=there & ~production,
        production=there & production,
        of_split=splits.of,
        hashes=groups.uniform(params.seed, matching.GROUP_PURPOSE)[groups.codes],
        taken=partial(_compared, manifest, rows if measures else None),
    )
    # Read where there are any; of the images that are compared alone.
    vectors_of = partial(_vectors, manifest, embeddings) if embeddings.available else None
    measured = matching.measure_population(population, params.seed, params.matching.level, vectors_of)
    found = matching.mismatches(measured)
    if found and params.matching.on_mismatch == "fail":
        raise DataError("dev or test do not match production:\n  " + "\n  ".join(found))
    images, excluded = splits.counts(), _excluded(manifest, splits)
    counts = ", ".join(f"{count} {name}" for name, count in images.items())
    unlabelled = len(splits.positions(UNLABELLED, UNLABELLED_HELD_OUT))
    held_out = len(splits.positions(UNLABELLED_HELD_OUT))
    beside = f", {held_out} of them in a group of train_dev, dev or test" if held_out else ""
    without = f" ({unlabelled} without a label{beside})" if unlabelled else ""
    notes = [
        *_moved(splits.topped_up),
        *(() if measures else (matching.words(name, images[name], params.expected_accuracy) for name in (DEV, TEST))),
        *matching.domain_notes(measured),
        *(f"warning: {sentence}" for sentence in found),
    ]
    return SplitOutputs(
        manifest=_taken(manifest, splits, SEEN_SPLITS),
        test=_taken(manifest, splits, [TEST]),
        unused=_taken(manifest, splits, UNUSED),
        excluded=excluded,
        matching=measured,
        metrics={
            **split_counts(splits),
            "excluded": len(excluded),
            "unlabelled": unlabelled,
            "unlabelled_in_held_out_groups": held_out,
            "topped_up": splits.topped_up,
            # Of accuracies, which numbers do not have.
            "visible_difference": {
                name: matching.visible_difference(images[name], params.expected_accuracy)
                for name in (() if measures else (DEV, TEST))
            },
            "matching": matching.summarise_matching(measured),
        },
        summary="\n  ".join([f"{counts}, {len(excluded)} in no split{without}", *notes]),
    )


def _vectors(manifest: RowParts, embeddings: Embeddings, places: npt.NDArray[np.intp]) -> npt.NDArray[np.floating]:
    found = embeddings.of(manifest.take(places, ["sha256"])["sha256"].to_pylist())
    return np.empty((0, 0)) if found is None else found


def _compared(manifest: RowParts, parts: pd.DataFrame | None, places: npt.NDArray[np.intp]) -> pd.DataFrame:
    """What is compared of some rows; of numbers the part of the range in which each lies."""
    found: pd.DataFrame = manifest.take(places, matching.COLUMNS_TAKEN).to_pandas()
    return found if parts is None else found.assign(label=parts["label"].astype(str).to_numpy()[places])


def _excluded(manifest: RowParts, splits: Splits) -> pd.DataFrame:
    """The rows of no split, with the reason."""
    rows = splits.positions(*EXCLUDED)
    reason = category_array(splits.code[rows], OUTCOMES).cast(pa.string())
    columns = [name for name in EXCLUDED_COLUMNS if name != "reason"]
    found: pd.DataFrame = manifest.take(rows, columns).append_column("reason", reason).to_pandas()
    return found


def _taken(manifest: RowParts, splits: Splits, names: Sequence[str]) -> TableSlice:
    rows = splits.positions(*names)
    return TableSlice(manifest, rows, {"split": category_array(splits.code[rows], OUTCOMES)})


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
    params={"params": "split", "problem": "problem"},
    reads={"manifest": catalogue.CURATED_ROWS, "embeddings": catalogue.EMBEDDINGS},
    writes={
        "manifest": catalogue.SPLIT_TABLE,
        "test": catalogue.SPLIT_TEST_TABLE,
        "unused": catalogue.SPLIT_UNUSED_TABLE,
        "excluded": catalogue.SPLIT_EXCLUDED,
        "matching": catalogue.SPLIT_MATCHING,
        "metrics": catalogue.SPLIT_METRICS,
    },
)
