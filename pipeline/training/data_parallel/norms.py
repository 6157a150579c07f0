"""Batch norm over the rows of a whole batch, of which each process has a part.

torch.nn.SyncBatchNorm does this on GPUs alone. A norm over each process's part would make another network: the
statistics of 16 rows are not those of 32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.training.data_parallel.group import Member


@contextmanager
def synchronised(network: nn.Module) -> Iterator[None]:
    """Inside, the batch norms of a network use the statistics of all processes' rows while it is trained."""
    norms = [each for each in network.modules() if isinstance(each, _BatchNorm)] if Member.here().count > 1 else []
    for norm in norms:
        # On the instance: its place in the network, its parameters and the names of its state stay.
        norm.forward = MethodType(_forward, norm)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _forward(norm: Any, values: Tensor) -> Tensor:
    """(n, channels, …) -> the same, each channel of mean 0 and variance 1 over all processes, scaled and moved."""
    if not norm.training and norm.running_mean is not None:
        return type(norm).forward(norm, values)  # type: ignore[no-any-return]
    over = [place for place in range(values.ndim) if place != 1]
    shape = [1, -1, *[1] * (values.ndim - 2)]
    exact = values.float()
    count = _summed(torch.tensor(float(values.numel() // values.shape[1]), device=values.device))
    mean = _summed(exact.sum(dim=over)) / count
    apart = exact - mean.reshape(shape)
    variance = _summed(apart.square().sum(dim=over)) / count
    if norm.training and norm.track_running_stats:
        _track(norm, mean.detach(), (variance * count / (count - 1)).detach())
    found = apart * torch.rsqrt(variance + norm.eps).reshape(shape)
    if norm.affine:
        found = found * norm.weight.reshape(shape) + norm.bias.reshape(shape)
    result: Tensor = found.to(values.dtype)
    return result


@torch.no_grad()
def _track(norm: Any, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, as torch's own batch norm does."""
    norm.num_batches_tracked.add_(1)
    factor = 1.0 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), factor)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), factor)


class _Summed(torch.autograd.Function):
    """The sum over the processes; so is its gradient, because each process's loss depends on all of it."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        found = values.clone()
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        found = gradient.clone()
        dist.all_reduce(found)
        return found


def _summed(values: Tensor) -> Tensor:
    found: Tensor = _Summed.apply(values)  # type: ignore[no-untyped-call]
    return found
