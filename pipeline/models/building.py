"""Build a network with fresh weights from params."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline.models.layers import Normalise
from pipeline.models.network import Network
from pipeline.models.networks import NETWORKS
from pipeline.models.output_layers import output_layer
from pipeline.problem.framing import UNRELATED, Framing


def build_model(
    params: Network,
    classes: int,
    size: int,
    mean: npt.NDArray[np.float64],
    std: npt.NDArray[np.float64],
    seed: int,
    framing: Framing = UNRELATED,
) -> nn.Module:
    """Build a network from pixels (n, 3, size, size) of 0 to 255 to logits (n, classes), weights drawn by the seed.

    Args:
        mean, std: shape (3,), of the training pixels in [0, 1]; for a network that is normalised by them.
        framing: how the classes relate, which decides on the last layer; its log-probabilities are the logits then.

    Raises:
        ParamsError: the depth would halve a picture of this size to less than a pixel.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = output_layer(framing, classes)
        layers = NETWORKS.of(params).layers(params, output.numbers, size)
        if output.layer is not None:
            layers = [*layers, output.layer()]
        if params.of_train:
            layers = [Normalise(mean, std), *layers]
        # The loader hands over pixels with the channels last; convolutions on CPU are faster so.
        network: nn.Module = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network
