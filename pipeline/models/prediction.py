"""Predict class probabilities, or numbers, for batches."""

import copy
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.errors import DataError
from pipeline.models.efficientnet import fuse_norms, has_norms_to_fuse
from pipeline.problem.framing import Outputs

# Pictures that a deep network takes at once on a CPU: what it makes of more does not fit into the processor's cache.
# Fixed, because their number shows in the last digits.
AT_ONCE = 16


@torch.inference_mode()
def predict(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    threads: int,
    advance: Callable[[int], None],
    workers: int = 1,
    outputs: Outputs = "classes",
) -> npt.NDArray[np.float32]:
    """Class probabilities, shape (n, classes), or numbers, shape (n, 1), in the order of the batches.

    Args:
        batches: pixels (n, 3, size, size) uint8 and class numbers, which are not looked at.
        advance: called with the number of images after each batch.
        workers: how much of a batch is worked at at the same time; any number gives the same.
        outputs: what the network's stand for. Where an image may have several labels each has a probability of its own.

    Raises:
        DataError: a probability, or a number, is NaN or infinite.
    """
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()
    found = []
    with fast_forward(network, device, threads, workers) as forward:
        for pixels, _ in batches:
            found.append(probabilities_of(forward(pixels.to(device)), outputs).cpu().numpy())
            advance(len(pixels))
    probabilities = np.concatenate(found)
    if not np.isfinite(probabilities).all():
        raise DataError(
            "the model predicts NaN: its weights are damaged; run `dvc repro train` with a smaller learning_rate"
        )
    return probabilities


def probabilities_of(logits: Tensor, outputs: Outputs) -> Tensor:
    """Of logits (n, k): of classes they add up to 1, of labels each stands alone; numbers (n, 1) are as they are."""
    if outputs == "numbers":
        return logits
    return logits.sigmoid() if outputs == "labels" else logits.softmax(dim=1)


@contextmanager
def fast_forward(
    network: nn.Module, device: str, threads: int, workers: int = 1
) -> Iterator[Callable[[Tensor], Tensor]]:
    """What a network on a device in `eval` makes of pixels, to rounding, in less time where there is a way.

    EfficientNet-Lite0 takes half the time with its norms folded into its convolutions and few pictures at once, and
    several of these parts go through it at the same time. The network itself stays as it is.

    Args:
        threads: of each part; sums are split by them.
        workers: parts at the same time; any number gives the same.
    """
    if not has_norms_to_fuse(network):
        yield network
        return
    fused = copy.deepcopy(network)
    fuse_norms(fused)
    placed: nn.Module = fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if device != "cpu":
        yield placed
        return

    @torch.inference_mode()
    def part_of(pixels: Tensor) -> Tensor:
        # torch counts threads anew in each of ours.
        torch.set_num_threads(threads)
        found: Tensor = placed(pixels)
        return found

    with ThreadPoolExecutor(max(1, workers // threads)) as pool:
        yield lambda pixels: torch.cat(list(pool.map(part_of, torch.split(pixels, AT_ONCE))))
