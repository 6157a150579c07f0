"""Check before the first fit whether a limit on size or latency rules an ensemble out."""

from collections.abc import Callable, Mapping, Sequence

import torch

from pipeline.errors import ParamsError
from pipeline.metrics.params import Limit, ModelFact
from pipeline.models.ensembles import Average
from pipeline.models.files import TrainedModel, save_model
from pipeline.models.latency import p95_milliseconds
from pipeline.models.network import Network
from pipeline.stages.train.params import TrainParams
from pipeline.training.ensembles.setup import Setup, together
from pipeline.training.ensembles.table import ENSEMBLES
from pipeline.training.fitting import fresh_network

MEASURES: Mapping[str, tuple[str, Callable[[TrainedModel, int], float]]] = {
    "model_megabytes": ("MB", lambda model, threads: len(save_model(model)) / 1e6),
    "latency_p95_ms": ("ms per image", p95_milliseconds),
}


def check_limits_can_hold(setup: Setup, limits: Mapping[str, Limit]) -> None:
    """Raise ParamsError if no ensemble that params allow can hold a limit; tell if not all of them do.

    Networks are measured with fresh weights, which take as much room and time as fitted ones. What is not known before
    a fit, such as the size of a forest, counts as nothing.

    Args:
        limits: those of evaluate.satisficing, by name.
    """
    ensemble = setup.train.ensemble
    row = ENSEMBLES.of(ensemble)
    members = row.largest(ensemble, setup.train)
    asked = {
        name: limit
        for name, limit in limits.items()
        if isinstance(limit.metric, ModelFact) and limit.max is not None and len(members) > 1
    }
    if not asked:
        return
    models = _fresh(setup, members)
    most = min(getattr(ensemble, "max_members", len(models)), len(models))
    fewest = most if row.all_members else min(2, len(models))
    problems = []
    for name, limit in asked.items():
        unit, measure = MEASURES[limit.metric.name]
        of_each = {id(model): measure(model, setup.train.threads) for model in _distinct(models)}
        ordered = sorted(models, key=lambda model: of_each[id(model)])
        least, largest = (
            measure(_of(part), setup.train.threads) if part else 0.0 for part in (ordered[:fewest], ordered[-most:])
        )
        place = f"evaluate.satisficing.{name} allows {limit.max:g} {unit}"
        one = f"the smallest member takes {min(of_each.values(), default=0.0):.3g} {unit}"
        if limit.max is not None and least > limit.max:
            problems.append(
                f"train.ensemble {ensemble.name} takes at least {least:.3g} {unit}, with {fewest} members, and {place} "
                f"({one}): choose smaller members, fewer of them, or average_weights, which is as large as one"
            )
        elif limit.max is not None and largest > limit.max:
            setup.tell(
                f"note: with {most} members the ensemble takes {largest:.3g} {unit}, and {place}: evaluate will reject "
                "the model if so many are selected"
            )
    if problems:
        raise ParamsError("; ".join(problems))


def _fresh(setup: Setup, members: Sequence[TrainParams]) -> list[TrainedModel]:
    """The networks among the members, one for each of them; members of equal params share one."""
    data = setup.data
    known: dict[str, TrainedModel] = {}
    found = []
    for params in members:
        if not isinstance(params.model, Network):
            continue
        key = params.model.model_dump_json()
        if key not in known:
            network = fresh_network(params.model, data, params, setup.engine).eval()
            known[key] = TrainedModel(network, data.classes, data.ingest, params.model, data.framing)
        found.append(known[key])
    return found


def _distinct(models: Sequence[TrainedModel]) -> list[TrainedModel]:
    return list({id(model): model for model in models}.values())


def _of(models: Sequence[TrainedModel]) -> TrainedModel:
    return together(models, Average(torch.full((len(models),), 1 / len(models))))
