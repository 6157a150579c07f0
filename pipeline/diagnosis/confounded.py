"""Can the model tell a class by something else than what it looks like? Facts that give train's classes away.

A source of one class, a camera, a size: what a model may learn instead of the class (shortcut learning; Geirhos et al.,
2020). Every gap rests on that, so it is named before them. Facts that belong to what a picture shows, such as its
brightness, come first only if the same rule fails on dev: what the classes look like would hold there, too.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.diagnosis.findings import CONFOUNDED, FACT_TELLS, Finding
from pipeline.diagnosis.run import Confounder
from pipeline.manifest import DEV, EXTRA_COLUMNS, PRODUCTION, TRAIN
from pipeline.metrics.confounding import measure_confounding, named, rows_of_part
from pipeline.metrics.fact_rules import ALL, RuleOn, rule_on
from pipeline.metrics.facts import column_name
from pipeline.metrics.giving_away import NAMED, Strength

# Facts that are one column of texts, so that params can name them.
PLAIN_COLUMNS = ("source", "role", "format")
# Facts told beside the strongest.
MAX_OTHERS = 3
# Of fewer images on one side no errors are told.
MIN_IMAGES = 15
# Images of a class that a value needs before weights can act on them.
MIN_IN_CELL = 5
MAX_CELLS = 3


def confounded(
    predictions: pd.DataFrame, manifest: pd.DataFrame, without: Collection[str]
) -> tuple[list[Finding], Confounder | None]:
    """A finding for the strongest fact that gives train's classes away and the others beside it, and what it is.

    Args:
        without: facts that people named as no confounders.
    """
    splits = manifest["split"].astype(str)
    train, dev = manifest[splits == TRAIN], manifest[splits == DEV]
    columns = {*without, *(f"{EXTRA_COLUMNS}{name}" for name in without)}
    told = [
        (one, rule_on(rows_of_part(train, one.part), dev, one.fact))
        for one in named(measure_confounding(train, columns))
    ]
    first = [(one, on_dev) for one, on_dev in told if not one.shown or _fails(on_dev)]
    rest = [(one, on_dev) for one, on_dev in told if one.shown and not _fails(on_dev)]
    found = [_finding(CONFOUNDED, first, train, dev, predictions)] if first else []
    found += [_finding(FACT_TELLS, rest, train, dev, predictions)] if rest else []
    return found, _confounder(first[0][0], train, dev, manifest) if first else None


def _fails(on_dev: RuleOn | None) -> bool:
    """Whether a rule that holds in train surely does not on dev."""
    return on_dev is not None and on_dev.high < NAMED


def _finding(
    name: str,
    told: Sequence[tuple[Strength, RuleOn | None]],
    train: pd.DataFrame,
    dev: pd.DataFrame,
    predictions: pd.DataFrame,
) -> Finding:
    one, on_dev = told[0]
    images = "train's images" if one.part == ALL else f"train's {one.part} images"
    words = f"{one.words} alone {one.gives_away.replace('images', images, 1)}"
    # Each with its own figure: weaker ones tell less.
    for other, _ in told[1 : 1 + MAX_OTHERS]:
        words += f"; {other.words} alone {other.gives_away.partition(' of images (')[0]}"
    figures: dict[str, float | int | str] = {
        "share": one.share,
        "low": one.low,
        "high": one.high,
        "accuracy": one.accuracy,
        "majority": one.majority,
    }
    said = [words]
    if name == FACT_TELLS:
        said.append("if your classes really differ in this, nothing is wrong")
    elif on_dev is None:
        said.append("dev has none of these values, so a model that learnt them instead of the classes fails there")
    else:
        figures |= {"dev_share": on_dev.share, "dev_accuracy": on_dev.accuracy}
        told_of = f"{on_dev.balanced:.0%} of dev's"
        said.append(
            f"the same rule tells {told_of}, so dev cannot show whether the model learnt it instead of the classes"
            if on_dev.share >= NAMED
            else f"the same rule tells only {told_of}, so a model that learnt it instead of the classes fails there"
        )
        errors = _errors(on_dev, dev, predictions)
        if errors is not None:
            figures |= {"error_where_right": errors[0], "error_where_wrong": errors[1]}
            said.append(
                f"the model misclassifies {errors[1]:.1%} of dev's images where the rule is wrong, and {errors[0]:.1%} "
                "where it is right"
            )
    if cells := _rare_cells(one, rows_of_part(train, one.part)):
        said.append(f"rarest: {cells}")
    return Finding(
        name,
        ". ".join(each[0].upper() + each[1:] if each is not words else each for each in said),
        figures,
        gain=max(one.share, 0.0),
        subject=column_name(one.fact),
    )


def _errors(on_dev: RuleOn, dev: pd.DataFrame, predictions: pd.DataFrame) -> tuple[float, float] | None:
    """The model's error on dev's images where the rule is right, and where it is wrong; None of few images."""
    told = pd.Series(on_dev.told, index=pd.Index(on_dev.ids))
    rows = predictions[predictions["id"].isin(told.index)]
    wrong = (rows["label"].astype(str) != rows["predicted"].astype(str)).to_numpy()
    right: npt.NDArray[np.bool_] = rows["label"].astype(str).to_numpy() == told.loc[rows["id"]].to_numpy()
    if min(right.sum(), (~right).sum()) < MIN_IMAGES:
        return None
    return float(wrong[right].mean()), float(wrong[~right].mean())


def _is_column(fact: str) -> bool:
    return fact in PLAIN_COLUMNS or fact.startswith(EXTRA_COLUMNS)


def _counts(rows: pd.DataFrame, fact: str) -> pd.DataFrame:
    """Images of each class (columns) in each value (rows)."""
    return pd.crosstab(rows[fact].astype(str), rows["label"].astype(str))


def _rare_cells(one: Strength, rows: pd.DataFrame) -> str:
    """The combinations of class and value with the fewest images, of values that most images have."""
    if not _is_column(one.fact):
        return ""
    counts = _counts(rows, one.fact)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index[:8]]
    cells = sorted(
        (int(count), str(label), str(value)) for value, row in counts.iterrows() for label, count in row.items()
    )
    name = column_name(one.fact)
    rarest = [f"{label} with {name} {value or 'empty'} ({count:,})" for count, label, value in cells[:MAX_CELLS]]
    return ", ".join(rarest)


def _confounder(one: Strength, train: pd.DataFrame, dev: pd.DataFrame, manifest: pd.DataFrame) -> Confounder:
    if not _is_column(one.fact):
        return Confounder(None, mixed=False, in_dev=0, cell=0)
    counts = _counts(train, one.fact)
    production: Any = _counts(manifest[manifest["role"].astype(str) == PRODUCTION], one.fact)
    return Confounder(
        one.fact,
        mixed=bool(((counts >= MIN_IN_CELL).sum(axis=1) > 1).any()),
        in_dev=int(dev[one.fact].astype(str).nunique()),
        cell=int(production.to_numpy()[production.to_numpy() > 0].min()) if len(production) > 1 else 0,
    )
