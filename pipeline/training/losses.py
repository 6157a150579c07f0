"""Parts of the training objective: means over weighted rows, weights of classes, and penalties on the weights."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError, listing

# Of a layer's largest weight: smaller ones hardly count.
NEAR_ZERO = 0.01


def entropies(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross entropy of each row, shape (n,); of labels (n, k), each 0 or 1, the mean over them of binary cross entropy.

    Args:
        labels: class numbers (n,), or which labels each row has (n, k), where it may have several.
        smoothing: the share of each label that is spread: over all classes, or over a label's being there or not.
    """
    if labels.ndim > 1:
        targets = labels * (1 - smoothing) + smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    return nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


def weighted_mean(losses: Tensor, weights: Tensor, rows: float | None = None) -> Tensor:
    """Losses (n,), each times the weight of its row (n,), over the number of rows: n unless it is given.

    Not over the sum of weights, as torch's own class weights are: a batch without the rare classes
    would then count as much as one full of them.
    """
    return (losses * weights).mean() if rows is None else (losses * weights).sum() / rows


def row_weights(
    weights: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: tuple[str, ...], of: Mapping[str, float]
) -> npt.NDArray[np.float32]:
    """Weights of rows (n,) times those of their classes, with the mean that they had.

    The mean stays, because a larger one would be a larger learning rate.

    Raises:
        ParamsError: a weight is for a class that train does not have.
    """
    unknown = sorted(set(of) - set(classes))
    if unknown:
        raise ParamsError(
            f"train.class_weights names {listing(unknown)}, which train does not have: its classes are "
            f"{listing(classes, 20)}"
        )
    if not of:
        return weights
    factors = np.array([of.get(name, 1.0) for name in classes])[labels]
    return np.asarray(weights * factors * weights.mean() / (weights * factors).mean(), np.float32)


def penalty(network: nn.Module, l1: float, l2: float) -> Tensor | float:
    """l1 times the sum of the weights' sizes, and l2 / 2 times that of their squares; 0.0 for neither."""
    found: Tensor | float = 0.0
    for weight in penalised(network):
        if l1:
            found = found + l1 * weight.abs().sum()
        if l2:
            found = found + l2 / 2 * weight.square().sum()
    return found


@torch.no_grad()
def near_zero(network: nn.Module) -> float:
    """The share of the weights that an L1 penalty acts on which it has made so small that they hardly count, in [0, 1].

    Below a hundredth of the largest weight of the same layer: steps of an optimizer jump over 0, and rarely meet it.
    """
    counts = [
        (int((weight.abs() < NEAR_ZERO * weight.abs().max()).sum()), weight.numel()) for weight in penalised(network)
    ]
    return sum(small for small, _ in counts) / max(sum(every for _, every in counts), 1)


def penalised(network: nn.Module) -> Iterator[nn.Parameter]:
    """Weights that training changes: kernels and matrices, not the vectors that biases and norms are.

    A bias moves a function without bending it, and a norm's scale is undone by the next layer's weights
    (Goodfellow et al., Deep Learning, ch. 7.1).
    """
    return (parameter for parameter in network.parameters() if parameter.ndim > 1 and parameter.requires_grad)
