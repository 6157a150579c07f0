"""How much of a metric's change between two runs comes from other dev images, and how much from another model.

The earlier model is measured on both dev sets: its change is the dev set's. Then both models are measured on the later
dev set: their difference is the models'. What the earlier model was trained on cannot measure it, and is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.manifest import DEV, TRAIN
from pipeline.metrics.bootstrap import ALPHA
from pipeline.metrics.influence import image_influence
from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.metrics.metric import Metric, check_defined, key_of, metric_of
from pipeline.metrics.params import AnyMetric
from pipeline.metrics.predictions import Predictions, checked_predictions, classes_of, probability_columns
from pipeline.metrics.upper_tails import student_quantile


@dataclass(frozen=True)
class Part:
    """A difference of the metric (later minus earlier), and its 95 % interval; None on too few independent groups."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Effect:
    """What a change of the metric on dev consists of: by_dev + by_model + rest.

    rest: what the dev images that were left out change in the later model's value; 0 if there are none.
    dev_before, dev_after: images of each dev. common: of both, by id and label. predicted: images on which the earlier
    model was run for this; left_out: those that it was trained on.
    """

    metric: str
    before: float
    after: float
    by_dev: Part
    by_model: Part
    rest: float
    dev_before: int
    dev_after: int
    common: int
    predicted: int
    left_out: int


def metric_change(
    before: pd.DataFrame,
    after: pd.DataFrame,
    optimizing: AnyMetric,
    predict: Callable[[list[str]], pd.DataFrame],
) -> Effect:
    """Take a change apart.

    Args:
        before, after: predictions of the two runs, of all splits, as `evaluate` writes them.
        predict: what the earlier model predicts for images of the later dev, by id: rows like theirs.

    Raises:
        DataError: dev lacks what the metric needs, or predictions cannot be used.
    """
    dev_before, dev_after = _dev(before), _dev(after)
    trained = before[before["split"] == TRAIN]
    seen = dev_after["id"].isin(trained["id"]) | dev_after["group"].isin(trained["group"])
    kept = dev_after[~seen].reset_index(drop=True)
    earlier = _earlier_on(dev_before, kept, predict)
    names = classes_of(pd.concat([dev_before, dev_after, earlier]))
    metric = metric_of(optimizing, names)
    values: list[float] = []
    influences: list[npt.NDArray[np.float64]] = []
    for rows in (dev_before, earlier, kept, dev_after):
        judged = _judged(metric, rows, names)
        values.append(float(metric.value(judged)))
        influences.append(image_influence(metric, judged))
    first, moved, later, last = values
    return Effect(
        metric=key_of(optimizing),
        before=first,
        after=last,
        by_dev=_part(moved - first, (earlier["group"], influences[1]), (dev_before["group"], influences[0])),
        by_model=_part(later - moved, (kept["group"], influences[2]), (kept["group"], influences[1])),
        rest=last - later,
        dev_before=len(dev_before),
        dev_after=len(dev_after),
        common=len(_common(dev_before, dev_after)),
        predicted=int((~kept["id"].isin(dev_before["id"])).sum()),
        left_out=int(seen.sum()),
    )


def _dev(predictions: pd.DataFrame) -> pd.DataFrame:
    dev = predictions[predictions["split"] == DEV].sort_values("id", ignore_index=True)
    return dev.assign(**{name: dev[name].astype(str) for name in ("label", "predicted", "group")})


def _common(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    return one[["id", "label"]].merge(other[["id", "label"]])


def _earlier_on(before: pd.DataFrame, kept: pd.DataFrame, predict: Callable[[list[str]], pd.DataFrame]) -> pd.DataFrame:
    """What the earlier model says of the later dev images, with their labels and groups of now, in their order."""
    new = kept.loc[~kept["id"].isin(before["id"]), "id"].tolist()
    known = before[before["id"].isin(kept["id"])]
    rows = pd.concat([known, predict(new)]) if new else known
    rows = rows.set_index("id").loc[kept["id"].tolist()].reset_index()
    return rows.assign(label=kept["label"], group=kept["group"], predicted=rows["predicted"].astype(str))


def _judged(metric: Metric, rows: pd.DataFrame, classes: tuple[str, ...]) -> Predictions:
    # A class that one of the models does not know has no chance there.
    wanted = probability_columns(classes)
    missing = [name for name in wanted if name not in rows]
    rows = rows.assign(**dict.fromkeys(missing, 0.0)) if len(missing) < len(wanted) else rows
    columns = [name for name in wanted if name in rows]
    judged = checked_predictions(rows.assign(**rows[columns].fillna(0.0)), classes)
    check_defined(metric, judged.truth, classes, DEV)
    return judged


def _part(
    value: float,
    one: tuple["pd.Series[str]", npt.NDArray[np.float64]],
    other: tuple["pd.Series[str]", npt.NDArray[np.float64]],
) -> Part:
    """A difference of two values, with an interval by the influences of groups, which may be on both sides."""
    sums = [
        pd.Series(influence / len(influence)).groupby(groups.to_numpy()).sum() for groups, influence in (one, other)
    ]
    both = sums[0].sub(sums[1], fill_value=0.0)
    if min(len(each) for each in sums) < MIN_GROUPS:
        return Part(value, None, None)
    reach = student_quantile(ALPHA / 2, len(both) - 1) * float(np.sqrt((both**2).sum() * len(both) / (len(both) - 1)))
    return Part(value, value - reach, value + reach)
