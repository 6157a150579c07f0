"""The framings beside today's as a table and in sentences, with the params of those that gain."""

from collections.abc import Iterator, Sequence

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.metrics.intervals import MIN_GROUPS
from pipeline.project.params_template import flow
from pipeline.tools.reframe.measuring import Result
from pipeline.tools.reframe.reframe import Reframed

GAIN, DECISION, NONE, UNKNOWN = "gain", "by the decision alone", "no gain", "cannot tell"


def verdict(result: Result) -> str:
    """What may be said of a framing."""
    if result.low is None:
        return UNKNOWN
    if result.gain:
        return GAIN
    return DECISION if result.decision and result.value < result.today else NONE


def table_of(results: Sequence[Result]) -> pd.DataFrame:
    """A row a framing: mean costs of today's model and of the framing, the interval of their difference; a verdict."""
    return pd.DataFrame(
        {
            "framing": [each.candidate.name for each in results],
            "counts": [each.candidate.scale for each in results],
            "today": [each.today for each in results],
            "cost": [each.value for each in results],
            "low": [each.low for each in results],
            "high": [each.high for each in results],
            "verdict": [verdict(each) for each in results],
            "params": [params_of(each) for each in results],
        }
    )


def params_of(result: Result) -> str:
    """What to write into params.yaml for a framing, one line per place."""
    return "\n".join(f"{place}: {flow(value)}" for place, value in result.candidate.params.items())


def print_table(found: Reframed, console: Console) -> None:
    """Print it, and what follows."""
    title = f"mean cost per prediction on {found.measured:,} production images (of {found.images:,} of train and dev)"
    shown = Table(title=title, title_justify="left")
    for column in ("framing", "counts"):
        shown.add_column(column)
    for column in ("today", "framed", "difference, 95 % interval"):
        shown.add_column(column, justify="right")
    shown.add_column("is")
    for each in found.results:
        ends = "too few groups" if each.low is None else f"{each.low:+.4f} to {each.high:+.4f}"
        name, counts = escape(each.candidate.name), escape(each.candidate.scale)
        shown.add_row(name, counts, f"{each.today:.4f}", f"{each.value:.4f}", ends, verdict(each))
    console.print(shown)
    for line in sentences(found):
        console.print(escape(line), soft_wrap=True)


def sentences(found: Reframed) -> Iterator[str]:
    """What follows from the results."""
    yield (
        f"The models are linear, on {found.kind}, and never predict a group that they were fitted to. The intervals "
        "hold for all rows together."
    )
    yield from found.notes
    verdicts = [verdict(each) for each in found.results]
    if not found.results:
        return
    if UNKNOWN in verdicts:
        yield f"Fewer than {MIN_GROUPS} independent groups of production images: too few to compare framings."
        return
    if DECISION in verdicts:
        yield (
            "by the decision alone: only the rule that turns probabilities into a class helps, not what is learnt. Use "
            "the params of the row with softmax"
        )
    gains = [each for each in found.results if verdict(each) == GAIN]
    if not gains:
        yield "No gain: none of these framings costs less than today's beyond noise. Leave `problem` as it is."
        return
    yield "Try these framings with your own model: write one into params.yaml, run `dvc repro`, and compare:"
    for each in gains:
        yield f"# {each.candidate.name}"
        yield params_of(each)
