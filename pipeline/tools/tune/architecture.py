"""The trials of an architecture search: the best networks by shared weights, and as much random search."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.metrics.limits import LATENCY
from pipeline.metrics.metric import metric_of
from pipeline.metrics.params import ModelFact
from pipeline.models.building import build_model
from pipeline.models.files import TrainedModel
from pipeline.models.latency import p95_milliseconds
from pipeline.project.params_file import Params
from pipeline.randomness import keyed_generator
from pipeline.training.architectures import Networks, distinct_networks, work_of_fit
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.fit_data import TrainingData
from pipeline.training.shared_weights import Score, SharedTask, learn_shared, likeliest
from pipeline.tuning.architectures import Architecture, architectures_of, decisions_of
from pipeline.tuning.methods import Architecture as Method
from pipeline.tuning.ranges import Range, value_of
from pipeline.versions.stages import version_of
from pipeline.workers.engine import Engine

FILE = "shared_weights.pt"
SIZE = ModelFact(name="model_megabytes")


@dataclass(frozen=True)
class Plan:
    """Which networks are fitted by themselves, by the keys of what they draw.

    drawn: of all trials, in order. candidates: the best with shared weights. by_chance: of the random search; a network
    may be in both, and is fitted once. scores: with shared weights, the best first. shown: place -> value. seconds:
    that the shared weights took.
    """

    drawn: Sequence[Mapping[str, Any]]
    candidates: Sequence[str]
    by_chance: Sequence[str]
    scores: Mapping[str, Score]
    shown: Mapping[str, Mapping[str, Any]]
    seconds: float


def key_of_drawn(drawn: Mapping[str, Any]) -> str:
    """A key of what a trial draws."""
    return json.dumps(drawn, sort_keys=True)


def planned_architectures(
    params: Params, values: Mapping[str, Any], data: TrainingData, folder: Path, show: Callable[[str], None]
) -> Plan:
    """Learn the shared weights, or take them over from a call that was stopped, and plan the trials.

    Args:
        params: of a trial with today's model. values: of params.yaml. folder: of the search.

    Raises:
        ParamsError: the space has no network whose weights can be shared.
        DataError: train is too small.
    """
    space = params.tune.space
    networks = distinct_networks(
        architectures_of(values["train"]["model"], space),
        len(data.classes),
        data.ingest.size,
        data.framing,
        _largest(params, SIZE),
    )
    checkpoint = Checkpoint(folder / FILE)
    # The folder is of this data and these params; shared weights are of this code, too.
    done = f"{version_of(learn_shared)} done"
    kept = checkpoint.load(done)
    if kept is None:
        kept = _learn(params, networks, data, checkpoint, show)
        checkpoint.save(done, kept)
    scores = [Score(**one) for one in kept["scores"]]
    chosen, by_chance = kept["chosen"], kept["by_chance"]
    keys = [key_of_drawn(one.drawn) for one in networks.architectures]
    return Plan(
        drawn=[networks.architectures[number].drawn for number in dict.fromkeys([*chosen, *by_chance])],
        candidates=[keys[number] for number in chosen],
        by_chance=[keys[number] for number in by_chance],
        scores={keys[score.number]: score for score in scores},
        shown={key: _shown(one, space) for key, one in zip(keys, networks.architectures, strict=True)},
        seconds=float(kept["seconds"]),
    )


def _learn(
    params: Params, networks: Networks, data: TrainingData, checkpoint: Checkpoint, show: Callable[[str], None]
) -> dict[str, Any]:
    """What shared weights say of the networks, and the numbers of those that are fitted by themselves."""
    tune, method = params.tune, params.tune.method
    assert isinstance(method, Method)  # noqa: S101
    for reason, count in networks.left_out.items():
        show(f"left out {count} of the space's combinations: {reason}")
    show(f"shared weights: {len(networks.architectures)} networks")
    decisions = decisions_of(tune.space)
    metric = metric_of(params.evaluate.optimizing, data.classes)
    task = SharedTask(data, params.train, metric, networks, decisions, method, tune.seed)
    learnt = learn_shared(task, Engine(1), checkpoint.under(version_of(learn_shared)), show)
    show(f"shared weights: ranked {len(learnt.scores)} networks ({learnt.seconds:.1f} s)")
    if method.sampling == "controller":
        show(f"the controller prefers {likeliest(decisions, learnt.likely)}")
    fast = _Fast(networks, params, data)
    chosen = [score.number for score in learnt.scores if fast(score.number, method.candidates)]
    if fast.slow:
        show(f"left out {fast.slow} of the best networks: each takes longer than evaluate.satisficing allows")
    return {
        "scores": [asdict(one) for one in learnt.scores],
        "seconds": learnt.seconds,
        "chosen": chosen,
        "by_chance": _by_chance(networks, chosen, learnt.work, params, data),
    }


def _by_chance(networks: Networks, chosen: Sequence[int], work: float, params: Params, data: TrainingData) -> list[int]:
    """Networks of a random search that costs what the search did, at least one.

    Costs are counted, not measured: else the number of trials would be another on each machine.
    """
    rows, dev_rows, epochs = len(data.train), len(data.dev), params.train.epochs
    cost = [work_of_fit(one, epochs, rows, dev_rows) for one in networks.skeletons]
    budget = work + sum(cost[number] for number in chosen)
    order = keyed_generator(params.tune.seed, "random search").permutation(len(cost)).tolist()
    found: list[int] = []
    for number in order:
        # The nearest number of trials: half of the last one may lie beyond.
        if found and budget < cost[number] / 2:
            break
        found.append(number)
        budget -= cost[number]
    return found


class _Fast:
    """Whether a network holds the limit on time, which needs no weights; measured until enough do."""

    def __init__(self, networks: Networks, params: Params, data: TrainingData) -> None:
        self._networks, self._params, self._data = networks, params, data
        self._limit = _largest(params, LATENCY)
        self._held = 0
        self.slow = 0

    def __call__(self, number: int, enough: int) -> bool:
        if self._held == enough:
            return False
        if math.isfinite(self._limit) and self._milliseconds(number) > self._limit:
            self.slow += 1
            return False
        self._held += 1
        return True

    def _milliseconds(self, number: int) -> float:
        data, model = self._data, self._networks.architectures[number].model
        middle, one = np.full(3, 0.5), np.ones(3)
        network = build_model(model, len(data.classes), data.ingest.size, middle, one, 0, data.framing)
        return p95_milliseconds(
            TrainedModel(network, data.classes, data.ingest, model, data.framing), self._params.train.threads
        )


def _largest(params: Params, fact: ModelFact) -> float:
    """The largest value of a fact that limits allow."""
    limits = [limit.max for limit in params.evaluate.satisficing.values() if limit.metric == fact]
    return min((limit for limit in limits if limit is not None), default=math.inf)


def _shown(one: Architecture, space: Mapping[str, Range]) -> dict[str, Any]:
    values = {place: value_of(space[place], drawn) for place, drawn in one.drawn.items()}
    return {place: value if isinstance(value, int | float | str) else str(value) for place, value in values.items()}
