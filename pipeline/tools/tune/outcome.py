"""The result of a search, as a table and in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.errors import listing
from pipeline.metrics.comparison import Row
from pipeline.tools.tune.beside_random import BesideRandom, lines_beside_random
from pipeline.tools.tune.study import EPOCHS, REASON, SECONDS, values_of_trial
from pipeline.tuning.params import TuneParams
from pipeline.tuning.selection import Selection

# The name of today's params among the trials; rows of the printed table.
TODAY, SHOWN = "today", 10


@dataclass(frozen=True)
class Outcome:
    """What a search brought.

    rows: of today's params and all trials that ended with a model, the best first; their names are trials' numbers.
    changes: dotted place -> value of the winner, where it differs from today's; empty: today's params won.
    better: whether the winner beats today's params beyond noise. selection: what the choice did to its number.
    """

    metric: str
    rows: Sequence[Row]
    trials: pd.DataFrame
    importances: Mapping[str, float]
    winner: str
    changes: Mapping[str, Any]
    better: bool
    selection: Selection | None
    command: str
    beside: BesideRandom | None = None


def trials_table(trials: Sequence[FrozenTrial], tune: TuneParams) -> pd.DataFrame:
    """A row per trial, in order: its state, value on dev, broken limits, epochs, seconds, and what varied."""
    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                "state": trial.state.name.lower(),
                "value": trial.value if trial.state == TrialState.COMPLETE else None,
                "broken": " ".join(trial.user_attrs.get("broken", [])),
                "epochs": trial.user_attrs.get(EPOCHS, len(trial.intermediate_values)),
                "seconds": trial.user_attrs.get(SECONDS),
                **{place: _cell(value) for place, value in values_of_trial(trial, tune).items()},
                "reason": trial.user_attrs.get(REASON, ""),
            }
            for trial in trials
        ]
    )


def how_it_ended(trial: FrozenTrial, metric: str) -> str:
    """A trial in a few words."""
    if trial.state == TrialState.PRUNED:
        return f"ended early after {len(trial.intermediate_values)} epochs, worse than half of the others"
    if trial.state == TrialState.FAIL:
        return f"failed: {trial.user_attrs.get(REASON, 'it was stopped')}"
    broken = trial.user_attrs["broken"]
    limits = f", breaks {listing(broken)}" if broken else ""
    return f"{metric} {trial.value:.4f}{limits} ({trial.user_attrs[EPOCHS]} epochs, {trial.user_attrs[SECONDS]:.1f} s)"


def print_outcome(found: Outcome, console: Console) -> None:
    """Print the best trials, what choosing did to the number, and what to do."""
    table = Table(title=escape(f"{found.metric} on dev, the best of {len(found.rows)} models"), title_justify="left")
    for column in ("trial", found.metric, "95 % interval", "beside the best"):
        table.add_column(escape(column), justify="right", no_wrap=True)
    shown = [row for row in found.rows if row.name != TODAY][:SHOWN]
    for row in [*shown, *(row for row in found.rows if row.name == TODAY)]:
        ends = "" if row.low is None else f"{row.low:.3f} to {row.high:.3f}"
        limits = "" if row.accepted else f"breaks {listing(row.broken)}"
        state = ", ".join(filter(None, [limits, row.standing or ""]))
        table.add_row(row.name, f"{row.value:.4f}", ends, escape(state))
    console.print(table)
    for line in outcome_lines(found):
        console.print(escape(line), soft_wrap=True)


def outcome_lines(found: Outcome) -> list[str]:
    """What was found, in sentences; the command of the winner last."""
    lines = [] if found.beside is None else lines_beside_random(found.beside, found.metric)
    if not found.winner:
        return [
            *lines,
            "No trial holds all limits of evaluate.satisficing, and today's params do not either: widen the ranges",
        ]
    if found.winner == TODAY:
        return [*lines, "No trial is better than today's params"]
    if found.selection is not None:
        one = found.selection
        lines.append(
            f"Trial {found.winner} has {one.value:.4f} on dev, the best of {len(found.rows)} models. This is "
            f"partly luck: without it, expect about {one.corrected:.4f} (95 % interval "
            f"{one.low:.4f} to {one.high:.4f})"
        )
    if not found.better:
        lines.append("No better: the difference from today's params may be chance. To try it anyway:")
    else:
        lines.append("Better than today's params beyond chance. To evaluate it, run it as an experiment:")
    return [*lines, f"  {found.command}"]


def _cell(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
