"""What is wrong with training data for a fit, told before the first epoch."""

import copy
from collections.abc import Mapping

import torch
from torch import nn

from pipeline.errors import DataError, ParamsError, listing
from pipeline.problem.framing import Outputs


def check_rows(
    train: Mapping[str, int],
    dev: Mapping[str, int],
    batch_size: int,
    rows: int | None = None,
    outputs: Outputs = "classes",
) -> None:
    """Raise early the errors on which training would fail later.

    Args:
        train, dev: rows of each class. rows: of train; None: their sum. outputs: what rows have; one label is enough
            where they may have several, and of numbers dev may have any.

    Raises:
        DataError: train has one class, or one number, or lacks a class that dev has, or dev is empty.
        ParamsError: a batch would be larger than train.
    """
    rows = sum(train.values()) if rows is None else rows
    if not dev:
        raise DataError("dev has no images, so no epoch could be the best: run `dvc repro split`")
    missing = [] if outputs == "numbers" else sorted(set(dev) - set(train))
    if missing:
        named = listing(f"{name} ({dev[name]} images in dev)" for name in missing)
        raise DataError(
            f"train has no rows of {named}, so no model can learn them. Add images of them, give train a larger share "
            "in split.production, or drop the classes with split.one_sided_classes"
        )
    if outputs == "numbers" and len(train) < 2:
        raise DataError(f"all images of train have the same number, {listing(train)}: there is nothing to learn")
    if len(train) < (1 if outputs == "labels" else 2):
        raise DataError(f"train has one class, {listing(train)}: a classifier needs at least two")
    if batch_size > rows:
        raise ParamsError(f"train.batch_size is {batch_size}, and train has {rows} rows: lower it to at most {rows}")


def check_last_batch(network: nn.Module, rows: int, size: int, batch_size: int) -> None:
    """Raise before the first epoch if its last batch has one row, because batch norm needs two.

    Raises:
        ParamsError: it does.
    """
    if rows % batch_size != 1:
        return
    try:
        with torch.no_grad():
            copy.deepcopy(network).train()(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    except ValueError as error:
        raise ParamsError(
            f"train.batch_size {batch_size} leaves one of {rows} rows for the last batch, and batch norm "
            "needs at least two: change it by one, or set train.model.batch_norm to false"
        ) from error
