"""Calibration: of the images that a model predicts with 80 % confidence, 80 % should be right."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def reliability(confidence: npt.NDArray[Any], right: npt.NDArray[np.bool_], bins: int) -> pd.DataFrame:
    """A row for each bin of equal width that has images: their number, mean confidence and accuracy.

    Args:
        confidence: probability of the predicted class, shape (n,), in [0, 1]. right: shape (n,).
    """
    numbers = bin_numbers(confidence, bins)
    images = np.bincount(numbers, minlength=bins)
    used = np.flatnonzero(images)
    sums = [np.bincount(numbers, weights=values, minlength=bins)[used] for values in (confidence, right)]
    table = pd.DataFrame({"confidence": sums[0] / images[used], "accuracy": sums[1] / images[used]})
    # DVC draws the diagonal from it.
    return table.assign(perfect=table["confidence"], images=images[used])


def bin_numbers(confidence: npt.NDArray[Any], bins: int) -> npt.NDArray[np.intp]:
    """The bin of each confidence, from 0, shape (n,); its upper end belongs to a bin, as in Guo et al. (2017)."""
    return np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.intp) - 1, 0, bins - 1)


def calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error, in [0, 1]: |accuracy - confidence| of a bin, mean over images (Guo et al., 2017)."""
    gaps = (table["accuracy"] - table["confidence"]).abs()
    return float((gaps * table["images"]).sum() / table["images"].sum())
