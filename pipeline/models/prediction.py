"""Predict class probabilities for batches."""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.errors import DataError


@torch.inference_mode()
def predict(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], threads: int, advance: Callable[[int], None]
) -> npt.NDArray[np.float32]:
    """Class probabilities, shape (n, classes), in the order of the batches.

    Args:
        batches: pixels (n, 3, size, size) uint8 and class numbers, which are not looked at.
        advance: called with the number of images after each batch.

    Raises:
        DataError: a probability is NaN.
    """
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()
    found = []
    for pixels, _ in batches:
        found.append(network(pixels.to(device)).softmax(dim=1).cpu().numpy())
        advance(len(pixels))
    probabilities = np.concatenate(found)
    if not np.isfinite(probabilities).all():
        raise DataError(
            "the model predicts NaN: its weights are damaged; run `dvc repro train` with a smaller learning_rate"
        )
    return probabilities
