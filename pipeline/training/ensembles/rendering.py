"""The outcome of an ensemble, as a sentence and as a report for other programs."""

import math
from dataclasses import asdict
from typing import Any

from pipeline.training.ensembles.setup import Outcome

NONE = Outcome("none", False, None, "", [], "train.ensemble is none")


def sentence_of(outcome: Outcome | None) -> str:
    """A line for the stage's summary; empty without an ensemble."""
    if outcome is None:
        return ""
    what = f"ensemble ({outcome.name})" if outcome.kept else f"no ensemble ({outcome.name})"
    measured = "" if outcome.gain is None else f" Log loss on {outcome.measured}: {outcome.gain.sentence}."
    return f"\n{what}: {outcome.why}.{measured}"


def report_of(outcome: Outcome | None) -> dict[str, Any]:
    """The same as plain values."""
    found = outcome or NONE
    report: dict[str, Any] = {"name": found.name, "kept": found.kept, "why": found.why, "members": found.members}
    if (gain := found.gain) is not None:
        report |= {"measured": found.measured, "log_loss": gain.ensemble, "single_log_loss": gain.single}
        # JSON has no NaN.
        report |= {"low": gain.low, "high": gain.high} if not math.isnan(gain.low) else {}
        report |= {"on_correct_labels": asdict(gain.correct)} if gain.correct is not None else {}
    return report
