"""Params -> torch's optimizers."""

from typing import assert_never

import torch
from torch import nn

from pipeline.training.losses import penalised
from pipeline.training.params import Adam, AdamW, AnyOptimizer, RmsProp, Sgd


def build_optimizer(network: nn.Module, params: AnyOptimizer, rate: float) -> torch.optim.Optimizer:
    """The optimizer of the parameters that are trained; AdamW's decay takes weights, not biases and norms."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    match params:
        case Sgd(momentum=momentum, nesterov=nesterov):
            return torch.optim.SGD(trained, lr=rate, momentum=momentum, nesterov=nesterov)
        case RmsProp(alpha=alpha, momentum=momentum):
            return torch.optim.RMSprop(trained, lr=rate, alpha=alpha, momentum=momentum)
        case Adam(beta1=beta1, beta2=beta2):
            return torch.optim.Adam(trained, lr=rate, betas=(beta1, beta2))
        case AdamW(beta1=beta1, beta2=beta2, weight_decay=decay):
            decayed = list(penalised(network))
            ids = {id(parameter) for parameter in decayed}
            rest = [parameter for parameter in trained if id(parameter) not in ids]
            groups = [{"params": decayed, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
            return torch.optim.AdamW(groups, lr=rate, betas=(beta1, beta2))
        case unknown:
            assert_never(unknown)
