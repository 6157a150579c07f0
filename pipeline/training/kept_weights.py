"""Weights kept during a fit, besides those of its best epoch: averages, and those at the ends of cycles."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Weights = dict[str, Tensor]


class KeptWeights(Protocol):
    """What is told of each step and each epoch of a fit, and what it kept.

    averaged: whether its weights are of no network that was trained, so that batch norm must see train anew.
    """

    averaged: bool

    def after_step(self, network: nn.Module) -> None:
        """Called after each optimizer step."""

    def after_epoch(self, epochs: int, network: nn.Module) -> None:
        """Called after each epoch, with how many there were."""

    def found(self) -> list[Weights]:
        """The weights that were kept, in order; empty if the fit ended too early."""

    def state(self) -> dict[str, Any]:
        """What a stopped fit goes on from; its tensors change with the next step."""

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""


class _Mean:
    """A running average of weights. Whole numbers, as batch norm has, are those of the last time."""

    averaged = True

    def __init__(self) -> None:
        self._mean: Weights = {}
        self._count = 0

    def _add(self, network: nn.Module, share: float) -> None:
        """Move the average so far towards the weights."""
        for name, tensor in network.state_dict().items():
            if name in self._mean and tensor.is_floating_point():
                self._mean[name].lerp_(tensor, share)
            else:
                self._mean[name] = tensor.detach().clone()
        self._count += 1

    def found(self) -> list[Weights]:
        return [self._mean] if self._mean else []

    def state(self) -> dict[str, Any]:
        return {"mean": self._mean, "count": self._count}

    def go_on(self, state: Mapping[str, Any]) -> None:
        self._mean, self._count = dict(state["mean"]), int(state["count"])


class MovingAverage(_Mean):
    """An exponential moving average. Early on it forgets faster, so that the first weights do not stay in it."""

    def __init__(self, decay: float) -> None:
        super().__init__()
        self._decay = decay

    def after_step(self, network: nn.Module) -> None:
        steps = self._count
        self._add(network, 1 - min(self._decay, (1 + steps) / (10 + steps)))

    def after_epoch(self, epochs: int, network: nn.Module) -> None:
        """Steps are enough."""


class EpochAverage(_Mean):
    """The mean of the weights at the end of each epoch, from some epoch on.

    Args:
        start: epochs before the first that counts.
    """

    def __init__(self, start: int) -> None:
        super().__init__()
        self._start = start

    def after_step(self, network: nn.Module) -> None:
        """Epochs are enough."""

    def after_epoch(self, epochs: int, network: nn.Module) -> None:
        if epochs > self._start:
            self._add(network, 1 / (self._count + 1))


class CycleEnds:
    """The weights at the ends of the last cycles of a schedule.

    Args:
        ends: how many epochs there were at the end of each cycle.
        count: so many are kept.
    """

    averaged = False

    def __init__(self, ends: Sequence[int], count: int) -> None:
        self._ends, self._count = set(ends), count
        self._found: list[Weights] = []

    def after_step(self, network: nn.Module) -> None:
        """Cycles end with epochs."""

    def after_epoch(self, epochs: int, network: nn.Module) -> None:
        if epochs in self._ends:
            self._found = [*self._found, copy.deepcopy(dict(network.state_dict()))][-self._count :]

    def found(self) -> list[Weights]:
        return self._found

    def state(self) -> dict[str, Any]:
        return {"found": self._found}

    def go_on(self, state: Mapping[str, Any]) -> None:
        self._found = [dict(weights) for weights in state["found"]]


def finished(kept: KeptWeights, network: nn.Module, batches: Iterable[Sequence[Tensor]]) -> list[Weights]:
    """The weights that were kept, on the CPU; the network's own stay.

    Args:
        batches: of an epoch of train, by which batch norm counts anew for an average.
    """
    found = kept.found()
    if kept.averaged and found and any(map(_is_trained_norm, network.modules())):
        found = [_with_norms(network, weights, batches) for weights in found]
    return [{name: tensor.detach().cpu().clone() for name, tensor in weights.items()} for weights in found]


@torch.no_grad()
def _with_norms(network: nn.Module, weights: Weights, batches: Iterable[Sequence[Tensor]]) -> Weights:
    """The weights, with batch norm's statistics of what they make of train (Izmailov et al., 2018)."""
    averaged = copy.deepcopy(network)
    averaged.load_state_dict(weights)
    averaged.eval()
    for norm in _trained_norms(averaged):
        norm.reset_running_stats()
        norm.momentum = None  # so that all batches count alike
        norm.train()
    device = next(averaged.parameters()).device
    for pixels, *_ in batches:
        averaged(pixels.to(device))
    return dict(averaged.state_dict())


def _trained_norms(network: nn.Module) -> Iterator[_BatchNorm]:
    return (layer for layer in network.modules() if isinstance(layer, _BatchNorm) and _is_trained_norm(layer))


def _is_trained_norm(layer: nn.Module) -> bool:
    """Whether it is a batch norm that counts, and is not frozen."""
    counts = isinstance(layer, _BatchNorm) and layer.track_running_stats
    return counts and all(parameter.requires_grad for parameter in layer.parameters())
