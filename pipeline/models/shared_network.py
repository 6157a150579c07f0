"""One network that is many: architectures take their weights from tensors that all of them share (ENAS).

Each architecture is built by its own row of the registry, without weights of its own. Layers at the same place with
kernels of the same side share a tensor, of which a narrower layer takes the first channels (slimmable networks, Yu et
al., 2019). Vectors, such as scales of norms, are shared by layers of one width alone. Norms take the statistics of
the batch, in training and after: means over many architectures would fit none of them (Bender et al., 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.models.layers import Normalise
from pipeline.models.network import Network
from pipeline.models.networks import NETWORKS
from pipeline.models.output_layers import output_layer
from pipeline.problem.framing import UNRELATED, Framing
from pipeline.randomness import keyed_seed

# What an output of a layer costs beside the multiplications that it took: norm, activation and pooling move memory.
COST_OF_OUTPUT = 60
BYTES = 4


@dataclass(frozen=True)
class Skeleton:
    """An architecture without weights.

    signature: equal for architectures that are the same network. cost: of a picture's pass, about, in multiplications.
    megabytes: of its weights, a little less than its file has.
    """

    layers: nn.Module
    signature: str
    cost: float
    megabytes: float


def skeleton_of(params: Network, classes: int, size: int, framing: Framing = UNRELATED) -> Skeleton:
    """The layers of params on no device.

    Raises:
        ParamsError: pictures of this size are too small for it.
    """
    with torch.device("meta"):
        output = output_layer(framing, classes)
        layers = nn.Sequential(*NETWORKS.of(params).layers(params, output.numbers, size))
        for module in layers.modules():
            if isinstance(module, _BatchNorm):
                module.track_running_stats = False
                module.running_mean = module.running_var = module.num_batches_tracked = None
        weights = sum(weight.numel() for weight in layers.parameters())
        return Skeleton(layers, f"{params.name} {layers}", _cost(layers, size), weights * BYTES / 1e6)


class SharedNetwork(nn.Module):
    """Pixels (n, 3, size, size) of 0 to 255 -> logits (n, k) of the architecture that `choose` named last.

    Args:
        names: of the architectures' rows; weights are not shared between rows.
        mean, std: shape (3,), of the training pixels in [0, 1].
    """

    def __init__(
        self,
        names: Sequence[str],
        skeletons: Sequence[Skeleton],
        mean: npt.NDArray[np.float64],
        std: npt.NDArray[np.float64],
        output: nn.Module | None,
        seed: int,
    ) -> None:
        super().__init__()
        self._chosen = 0
        # In a tuple: their parameters are no parameters of this network.
        self._layers = tuple(one.layers for one in skeletons)
        self.normalise = Normalise(mean, std)
        self.output = output or nn.Identity()
        # Of each architecture: its parameter -> the shared tensor, and the shape that it takes of it.
        self._places: list[dict[str, tuple[str, torch.Size]]] = []
        largest: dict[str, tuple[int, ...]] = {}
        ones: set[str] = set()
        for name, layers in zip(names, self._layers, strict=True):
            norms = {key for key, module in layers.named_modules() if isinstance(module, _BatchNorm)}
            places = {}
            for parameter, tensor in layers.named_parameters():
                key = _key(name, parameter, tensor)
                places[parameter] = key, tensor.shape
                before = largest.get(key, tensor.shape)
                largest[key] = tuple(max(pair) for pair in zip(before, tensor.shape, strict=True))
                if parameter.endswith("weight") and parameter.rpartition(".")[0] in norms:
                    ones.add(key)
            self._places.append(places)
        self.weights = nn.ParameterDict(
            {key: nn.Parameter(_first(key, shape, key in ones, seed)) for key, shape in sorted(largest.items())}
        )

    def choose(self, number: int) -> None:
        """From now on, be this architecture."""
        self._chosen = number

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits."""
        layers = self._layers[self._chosen]
        layers.train(self.training)
        weights = {
            parameter: self.weights[key][tuple(slice(length) for length in shape)]
            for parameter, (key, shape) in self._places[self._chosen].items()
        }
        logits: Tensor = self.output(functional_call(layers, weights, (self.normalise(pixels),)))
        return logits


def _key(name: str, parameter: str, tensor: Tensor) -> str:
    """What layers must have in common to share a tensor."""
    sides = tensor.shape[2:] if tensor.ndim > 1 else tensor.shape
    return f"{name} {parameter} {'x'.join(map(str, sides))}".replace(".", "-")


def _first(key: str, shape: tuple[int, ...], is_scale: bool, seed: int) -> Tensor:
    """First values: 1 of scales, 0 of biases, and torch's own kind of others, each keyed by its name."""
    if len(shape) == 1:
        return torch.ones(shape) if is_scale else torch.zeros(shape)
    generator = torch.Generator().manual_seed(keyed_seed(seed, "shared weights", key))
    weight = torch.empty(shape)
    nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
    return weight


def _cost(layers: nn.Module, size: int) -> float:
    """Multiplications of a picture's pass, and what its layers' outputs cost."""
    total = 0.0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal total
        weight = module.get_parameter("weight")
        total += output.numel() * (weight[0].numel() + COST_OF_OUTPUT)

    hooks = [
        module.register_forward_hook(count) for module in layers.modules() if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    layers.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return total
