"""Learn the weights that all architectures of a space share, and rank the architectures by them.

Each batch trains one architecture that was drawn: by chance at first (Guo et al., 2019, single path one-shot), in the
second half by the controller, which learns from images of train that the weights never see (ENAS, Pham et al., 2018).
Dev is not read: so the choice among thousands of networks by shared weights flatters no number on dev.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.data.loader import Batch, WeightedBatch, batches, weighted_batches
from pipeline.data.order import KeyedOrder
from pipeline.data.statistics import channel_statistics
from pipeline.errors import DataError
from pipeline.metrics.metric import Metric
from pipeline.models.output_layers import output_layer
from pipeline.models.shared_network import SharedNetwork
from pipeline.problem.framing import decision
from pipeline.randomness import keyed_generator
from pipeline.stages.train.params import TrainParams
from pipeline.training.architectures import PASSES_OF_STEP, Networks, held_back
from pipeline.training.checkpoint import Progress
from pipeline.training.fit_data import TrainingData
from pipeline.training.fitting import loss_weights
from pipeline.training.loop import TrainingLoop
from pipeline.training.loss_functions import losses_of
from pipeline.training.tally import EpochTally
from pipeline.tuning.architectures import Decision
from pipeline.tuning.controller import SAMPLES, Controller
from pipeline.tuning.methods import Architecture as Method
from pipeline.workers.engine import Engine
from pipeline.workers.progress import progress

# Held-back images that are measured at once.
HELD_BACK_BATCH = 256
# Before the controller learns, the weights must know a little of all architectures.
UNIFORM_SHARE = 0.5
# Passes on held-back images, beside the work of training.
CONTROLLER_SHARE = 0.5
# All of so many are measured at the end; of more, that many that the controller draws.
MAX_RANKED = 256
# Lines about the training of the shared weights.
LINES = 8


@dataclass(frozen=True)
class SharedTask:
    """What shared weights are learnt for.

    metric: whose value on held-back images ranks. decisions: of the space.
    """

    data: TrainingData
    params: TrainParams
    metric: Metric
    networks: Networks
    decisions: Sequence[Decision]
    method: Method
    seed: int


@dataclass(frozen=True)
class Score:
    """What an architecture, by its number, is worth with shared weights on held-back images of train."""

    number: int
    value: float
    loss: float


@dataclass(frozen=True)
class Learnt:
    """What the shared weights say.

    scores: the best first. likely: probability of each value of each decision. work: passes times the cost of each
        network. seconds: that it took, without stops.
    """

    scores: Sequence[Score]
    likely: Sequence[npt.NDArray[np.float64]]
    work: float
    seconds: float


def learn_shared(
    task: SharedTask, engine: Engine, checkpoint: Progress | None = None, tell: Callable[[str], None] = lambda _: None
) -> Learnt:
    """Train shared weights and rank the architectures by them.

    Args:
        checkpoint: where a stopped training goes on from, an epoch at a time.
        tell: takes some lines on the way.

    Raises:
        DataError: train has too few groups to hold some back, or the loss became NaN.
    """
    task = replace(task, metric=replace(task.metric, decide=decision(task.data.framing, len(task.data.classes))))
    return _Run(task, engine, checkpoint, tell).learn()


class _Run:
    """The training of shared weights under way."""

    def __init__(
        self, task: SharedTask, engine: Engine, checkpoint: Progress | None, tell: Callable[[str], None]
    ) -> None:
        self._task, self._engine, self._checkpoint, self._tell = task, engine, checkpoint, tell
        data, params = task.data, task.params
        data.train.keep_pixels()
        self._taught, measured = held_back(data.rows, task.seed, params.batch_size)
        mean, std = channel_statistics(data.train, engine)
        output = output_layer(data.framing, len(data.classes)).layer
        networks = task.networks
        names = [one.model.name for one in networks.architectures]
        self._network = SharedNetwork(
            names, networks.skeletons, mean, std, None if output is None else output(), task.seed
        )
        self._loop = TrainingLoop(self._network, params, losses_of(params.loss, params.label_smoothing, task.metric))
        sizes = [len(one.values) for one in task.decisions]
        self._controller = Controller(sizes, networks.numbers)
        self._measure = _chunks(batches(data.train.part(measured), HELD_BACK_BATCH, engine))
        self._epoch, self._work, self._seconds = 0, 0.0, 0.0

    def learn(self) -> Learnt:
        task, data = self._task, self._task.data
        self._go_on()
        begun = time.perf_counter() - self._seconds
        train = data.train.part(self._taught)
        weights = loss_weights(data, task.params)[self._taught]
        size, epochs = min(task.params.batch_size, len(train)), task.method.epochs
        order = KeyedOrder(len(train), task.seed)
        before = self._epoch
        with (
            weighted_batches(train, weights, size, order, self._engine, epochs) as loader,
            progress("shared weights", len(loader) * epochs, before=len(loader) * before) as advance,
        ):
            while self._epoch < epochs:
                loss = self._train(loader.epoch(self._epoch), len(loader), advance)
                if task.method.sampling == "controller" and self._epoch >= UNIFORM_SHARE * epochs:
                    self._learn_choices(len(train))
                self._epoch += 1
                self._seconds = time.perf_counter() - begun
                self._save()
                if self._epoch % max(1, epochs // LINES) == 0:
                    left = self._seconds / self._epoch * (epochs - self._epoch)
                    self._tell(self._line(loss, left))
        scores = self._ranking()
        return Learnt(scores, self._controller.probabilities, self._work, time.perf_counter() - begun)

    def _train(self, loader: Iterable[WeightedBatch], count: int, advance: Callable[[int], None]) -> float:
        """An epoch of the shared weights; returns its mean loss."""
        params, epochs, losses = self._task.params, self._task.method.epochs, []

        def rate(batch: int) -> float:
            done = (self._epoch + batch / count) / epochs
            return params.learning_rate * (1 + math.cos(math.pi * done)) / 2

        for step in self._loop.epoch(self._epoch, self._drawn(loader), rate):
            losses.append(float(step.loss))
            if not math.isfinite(losses[-1]):
                raise DataError(
                    f"the loss of the shared weights is {losses[-1]} in epoch {self._epoch}: lower train.learning_rate "
                    f"(it is {params.learning_rate:g})"
                )
            advance(1)
        return float(np.mean(losses))

    def _drawn(self, loader: Iterable[WeightedBatch]) -> Iterator[WeightedBatch]:
        """The batches; before each, the architecture that it trains is drawn."""
        for number, batch in enumerate(loader):
            generator = keyed_generator(self._task.seed, "architecture", self._epoch, number)
            self._choose(self._controller.number(self._controller.sample(generator)), PASSES_OF_STEP * len(batch[1]))
            yield batch

    def _learn_choices(self, rows: int) -> None:
        """Let the controller learn from a few comparisons, each on the same held-back images."""
        size = len(self._measure[0][1])
        updates = max(1, round(CONTROLLER_SHARE * PASSES_OF_STEP * rows / (SAMPLES * size)))
        for update in range(updates):
            generator = keyed_generator(self._task.seed, "controller", self._epoch, update)
            samples = [self._controller.sample(generator) for _ in range(SAMPLES)]
            batch = self._measure[int(generator.integers(len(self._measure)))]
            scores = {number: self._score(number, [batch]) for number in map(self._controller.number, samples)}
            found = [scores[self._controller.number(choices)] for choices in samples]
            # Undefined on images that lack a class.
            by_loss = any(math.isnan(score.value) for score in found)
            self._controller.update(samples, [-score.loss if by_loss else self._signed(score) for score in found])

    def _ranking(self) -> list[Score]:
        count = len(self._task.networks.architectures)
        numbers: Sequence[int] = range(count)
        if count > MAX_RANKED:
            generator = keyed_generator(self._task.seed, "ranked")
            drawn = [self._controller.number(self._controller.sample(generator)) for _ in range(10 * MAX_RANKED)]
            numbers = list(dict.fromkeys(drawn))[:MAX_RANKED]
        scores = [self._score(number, self._measure) for number in numbers]
        return sorted(scores, key=lambda one: (-np.nan_to_num(self._signed(one), nan=-math.inf), one.loss, one.number))

    def _score(self, number: int, measured: Sequence[Batch]) -> Score:
        self._choose(number, sum(len(labels) for _, labels in measured))
        tally = EpochTally(self._task.metric, len(self._task.data.classes))
        for loss, logits, labels in self._loop.evaluate(measured):
            tally.add(loss, logits, labels)
        return Score(number, tally.metric, tally.loss)

    def _signed(self, score: Score) -> float:
        return score.value if self._task.metric.maximise else -score.value

    def _choose(self, number: int, passes: int) -> None:
        self._network.choose(number)
        self._work += passes * self._task.networks.skeletons[number].cost

    def _line(self, loss: float, left: float) -> str:
        words = f"shared weights: epoch {self._epoch} of {self._task.method.epochs}, loss {loss:.3f}"
        if self._task.method.sampling == "controller" and self._epoch > UNIFORM_SHARE * self._task.method.epochs:
            words += f"; likeliest: {likeliest(self._task.decisions, self._controller.probabilities)}"
        return f"{words}; {f'about {left / 60:.0f} minutes' if left > 90 else 'less than two minutes'} left"

    def _save(self) -> None:
        if self._checkpoint is not None:
            state = {"epoch": self._epoch, "work": self._work, "seconds": self._seconds}
            self._checkpoint.save({**state, "loop": self._loop.state(), "controller": self._controller.state()})

    def _go_on(self) -> None:
        state: Any = None if self._checkpoint is None else self._checkpoint.load()
        if state is not None:
            self._epoch, self._work, self._seconds = state["epoch"], state["work"], state["seconds"]
            self._loop.go_on(state["loop"])
            self._controller.go_on(state["controller"])


def likeliest(decisions: Sequence[Decision], probabilities: Sequence[npt.NDArray[np.float64]]) -> str:
    """The likeliest value of each decision, with its probability."""
    return ", ".join(
        f"{one.name} {one.values[int(part.argmax())]} ({part.max():.0%})"
        for one, part in zip(decisions, probabilities, strict=True)
    )


def _chunks(loader: Iterable[Batch]) -> list[Batch]:
    """All rows, in chunks of one size but for a row, because norms take the statistics of the chunk."""
    pixels, labels = zip(*loader, strict=True)
    count = -(-sum(map(len, labels)) // HELD_BACK_BATCH)
    return list(zip(torch.cat(pixels).tensor_split(count), torch.cat(labels).tensor_split(count), strict=True))
