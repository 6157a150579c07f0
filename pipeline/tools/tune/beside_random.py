"""How a search of architectures compares with a random search of the same cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import kendalltau

from pipeline.metrics.metric import Metric
from pipeline.metrics.predictions import Predictions
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.tools.tune.architecture import Plan, key_of_drawn
from pipeline.tools.tune.study import SECONDS
from pipeline.tuning.selection import Difference, after_selection, difference_after_selection

# Networks by chance, before their order says something of the shared weights' ranking.
MIN_FOR_TAU = 6


@dataclass(frozen=True)
class Side:
    """One of both searches.

    best: value on dev of its best trial that holds all limits, None if there is none. corrected, low, high: what that
    is worth without the choice, and its interval. seconds: that it took on this machine.
    """

    trials: int
    seconds: float
    best: float | None
    corrected: tuple[float, float, float] | None


@dataclass(frozen=True)
class BesideRandom:
    """Both sides, the search first.

    difference: above 0 the search is better; None: it cannot be told. tau: Kendall's, of values with shared weights and
    on dev, over `ranked` networks that were drawn by chance. unfinished: planned trials that have not ended.
    """

    search: Side
    random: Side
    difference: Difference | None
    tau: float | None
    ranked: int
    unfinished: int
    table: pd.DataFrame


def beside_random(
    plan: Plan,
    trials: Sequence[FrozenTrial],
    said: Mapping[str, Predictions],
    metric: Metric,
    groups: "pd.Series[Any]",
    evaluate: EvaluateParams,
) -> BesideRandom:
    """Compare both sides by the trials that have ended.

    Args:
        said: trial's number -> what its model says of dev, of those that hold all limits.
        groups: of dev's images.
    """
    ended = {key_of_drawn(trial.params): trial for trial in trials}
    sides, models = [], []
    for keys, before in ((plan.candidates, plan.seconds), (plan.by_chance, 0.0)):
        of_side = [ended[key] for key in keys if key in ended]
        held = [said[str(one.number)] for one in of_side if str(one.number) in said]
        found = [metric.value(seen) for seen in held]
        chosen = after_selection(metric, held, groups, evaluate.bootstrap, evaluate.seed) if held else None
        sides.append(
            Side(
                trials=len(of_side),
                seconds=before + sum(one.user_attrs.get(SECONDS, _duration(one)) for one in of_side),
                best=(max(found) if metric.maximise else min(found)) if found else None,
                corrected=None if chosen is None else (chosen.corrected, chosen.low, chosen.high),
            )
        )
        models.append(held)
    values = {key: one.value for key, one in ended.items() if one.state == TrialState.COMPLETE}
    ranked = [key for key in plan.by_chance if key in values and key in plan.scores]
    tau = None
    if len(ranked) >= MIN_FOR_TAU:
        statistic = kendalltau([plan.scores[key].value for key in ranked], [values[key] for key in ranked]).statistic
        tau = None if np.isnan(statistic) else float(statistic)
    return BesideRandom(
        search=sides[0],
        random=sides[1],
        difference=difference_after_selection(
            metric, (models[0], models[1]), groups, evaluate.bootstrap, evaluate.seed
        ),
        tau=tau,
        ranked=len(ranked),
        unfinished=sum(key_of_drawn(drawn) not in ended for drawn in plan.drawn),
        table=_table(plan, ended),
    )


def lines_beside_random(found: BesideRandom, metric: str) -> list[str]:
    """The comparison, in sentences."""
    lines = [
        f"Architecture search: {_shown(found.search, metric)}",
        f"Random search of the same cost: {_shown(found.random, metric)}",
    ]
    if found.unfinished:
        return [*lines, f"{found.unfinished} planned trials have not run, so the two are not compared"]
    if found.difference is None:
        lines.append(_why_not_compared(found))
    else:
        one = found.difference
        ends = f"{one.value:+.4f} (95 % interval {one.low:+.4f} to {one.high:+.4f})"
        verdict = (
            "Architecture search found better networks than random search"
            if one.low > 0
            else "Random search found better networks than architecture search"
            if one.high < 0
            else "Architecture search is no better than random search"
        )
        lines.append(f"{verdict}: difference without the luck of the best {ends}, above 0 if the search is better")
    if found.tau is not None:
        lines.append(
            f"Kendall's tau between the ranking by shared weights and that on dev is {found.tau:.2f}, over "
            f"{found.ranked} networks drawn at random"
        )
    return lines


def _why_not_compared(found: BesideRandom) -> str:
    if found.search.best is None or found.random.best is None:
        return "The two are not compared, because that needs a network of each that holds all limits"
    return "Too few independent groups in dev to compare the two"


def _shown(side: Side, metric: str) -> str:
    if side.best is None:
        return f"none of {side.trials} networks holds all limits, {side.seconds:.0f} s"
    words = f"best {metric} {side.best:.4f} of {side.trials} networks"
    if side.corrected is not None:
        value, low, high = side.corrected
        words += f", without the luck of the best {value:.4f} ({low:.4f} to {high:.4f})"
    return f"{words}, {side.seconds:.0f} s"


def _table(plan: Plan, ended: Mapping[str, FrozenTrial]) -> pd.DataFrame:
    """A row an architecture that was ranked or fitted: its params, rank, values, and which search fitted it."""
    order = {key: rank for rank, key in enumerate(plan.scores, 1)}
    rows = []
    for key in dict.fromkeys([*plan.scores, *plan.by_chance]):
        trial, score = ended.get(key), plan.scores.get(key)
        sides = [name for name, keys in (("search", plan.candidates), ("random", plan.by_chance)) if key in keys]
        rows.append(
            {
                "rank": order.get(key),
                **plan.shown[key],
                "value_with_shared_weights": None if score is None else score.value,
                "loss_with_shared_weights": None if score is None else score.loss,
                "fitted_by": " and ".join(sides),
                "trial": None if trial is None else trial.number,
                "value": None if trial is None or trial.state != TrialState.COMPLETE else trial.value,
            }
        )
    frame = pd.DataFrame(rows)
    return frame.assign(rank=frame["rank"].astype("Int64"), trial=frame["trial"].astype("Int64"))


def _duration(trial: FrozenTrial) -> float:
    return 0.0 if trial.duration is None else trial.duration.total_seconds()
