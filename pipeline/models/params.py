"""Models in params.yaml: networks and baselines alike."""

from typing import Annotated

from pipeline.models.baselines import BASELINES, Baseline
from pipeline.models.network import Network
from pipeline.models.networks import NETWORKS
from pipeline.registry import one_of

Model = Network | Baseline
AnyModel = Annotated[Model, one_of(NETWORKS, BASELINES)]
