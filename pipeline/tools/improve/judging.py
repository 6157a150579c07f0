"""Is a model better than the one before, given how many were tried? And how much of the gain is luck?

All models that were tried on one dev are judged together: a difference counts if it is larger than what the largest
difference of all pairs reaches by chance in 95 % of tables (max-t, multiple_comparisons.py). What is kept still looks
better than it is. How much of the gain that is, the bootstrap tells (Tsamardinos, Greasidou and Borboudakis, 2018, here
for a gain and for the rule that was really used): in each resample of dev's groups the same rule chooses, and its
choice is measured on the groups that were not drawn. No model is fitted again, and test is not needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import DataError
from pipeline.manifest import DEV
from pipeline.metrics.bootstrap import ALPHA, resamples
from pipeline.metrics.influence import image_influence
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.metrics.metric import Metric, check_defined, metric_of
from pipeline.metrics.multiple_comparisons import judged_together
from pipeline.metrics.predictions import checked_predictions, classes_of
from pipeline.stages.evaluate.params import EvaluateParams

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """A model beside another one on the same images of dev, in the metric's own units.

    difference: above 0 is better, whatever the metric. low, high: of an interval that holds for all pairs of the models
    tried together at 95 %.
    """

    value: float
    difference: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Beyond noise."""
        return self.low > 0

    @property
    def worse(self) -> bool:
        """Beyond noise."""
        return self.high < 0


class Tried:
    """The models that were tried on one dev, the first of them today's.

    Args:
        first: today's predictions, of which dev's are taken.

    Raises:
        DataError: dev has too few independent groups to tell models apart.
    """

    def __init__(self, first: pd.DataFrame, params: EvaluateParams) -> None:
        self.params = params
        self._dev = dev_of(first)
        classes = classes_of(self._dev)
        self.metric: Metric = metric_of(params.optimizing, classes)
        self._models = [checked_predictions(self._dev, classes)]
        check_defined(self.metric, self._models[0].labels, classes, DEV)
        self._codes = pd.factorize(self._dev["group"], sort=True)[0]
        self._groups = len(np.unique(self._codes[self.metric.counted(self._models[0])]))
        if self._groups < MIN_GROUPS:
            raise DataError(
                f"dev has {self._groups} independent groups of images, and models can be compared with at least "
                f"{MIN_GROUPS}: collect more production images"
            )

    def __len__(self) -> int:
        return len(self._models)

    def value(self, number: int) -> float:
        """The optimizing metric of a model on dev."""
        return float(self.metric.value(self._models[number]))

    def is_comparable(self, predictions: pd.DataFrame) -> bool:
        """Whether predictions are of the same images with the same labels."""
        return _images(dev_of(predictions)) == _images(self._dev)

    def add(self, predictions: pd.DataFrame) -> int:
        """A model more; its number."""
        own = dev_of(predictions)
        self._models.append(checked_predictions(own, self._models[0].classes))
        return len(self._models) - 1

    def judged(self, number: int, beside: int) -> Judgement:
        """One model beside another, all that were tried held together."""
        difference = self._sign * (self.value(number) - self.value(beside))
        reach = float(self._reach()[number, beside])
        return Judgement(self.value(number), difference, difference - reach, difference + reach)

    def gain_without_choice(self, order: Sequence[tuple[int, bool]], kept: int) -> float:
        """What the kept model's gain over today's is without the choice, about; at most the gain that dev says.

        Args:
            order: the models that might have been kept, in the order in which they were tried, and whether each holds
                all limits. kept: the number of the last one that was.
        """
        claimed = self._sign * (self.value(kept) - self.value(0))
        groups = self._dev["group"]
        count, seed = self.params.bootstrap, self.params.seed
        reach = self._reach()
        gains: list[Floats] = []
        for weights in resamples(groups, count, seed, "improve"):
            inside, outside = (
                self._sign * np.stack([self.metric.values(model, one) for model in self._models])
                for one in (weights, (weights == 0).astype(np.int64))
            )
            chosen = np.zeros(inside.shape[1], np.intp)
            columns = np.arange(inside.shape[1])
            for number, holds in order:
                beyond = inside[number] - inside[chosen, columns] > reach[number, chosen]
                chosen = np.where(holds & beyond, number, chosen)
            gain = outside[chosen, columns] - outside[0]
            gains.append(gain[(chosen > 0) & ~np.isnan(gain)])
        drawn = np.concatenate(gains)
        return min(claimed, float(drawn.mean())) if len(drawn) else claimed

    @property
    def _sign(self) -> int:
        return 1 if self.metric.maximise else -1

    def _reach(self) -> Floats:
        influences = np.stack([image_influence(self.metric, model) for model in self._models])
        return judged_together(influences, self._codes, self._groups, ALPHA, self.params.seed).reach


def dev_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """Dev's rows, in the order of their ids."""
    return predictions[predictions["split"].astype(str) == DEV].sort_values("id", ignore_index=True)


def _images(dev: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(dev["id"].astype(str), dev["label"].astype(str), strict=True))
