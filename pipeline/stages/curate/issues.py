"""Marks of what may be wrong with an image, by the facts that ingest measured; nothing is removed."""

from typing import Any

import pandas as pd

from pipeline.issues import ISSUES
from pipeline.stages.curate.params import IssueParams


def with_issues(images: pd.DataFrame, params: IssueParams) -> pd.DataFrame:
    """The images with a column of true and false for each of issues.ISSUES.

    Args:
        images: with source and the facts of manifest.FACTS. Their sizes are compared within a source.
    """
    found = {name: ISSUES[name].found(ISSUES[name].value(images), getattr(params, name)) for name in ISSUES}
    return images.assign(**found)


def issue_counts(images: pd.DataFrame) -> dict[str, dict[str, int]]:
    """How many images of each source have each issue; sources sorted."""
    counts = images.groupby(images["source"].astype(str))[[*ISSUES]].sum()
    return {str(source): {name: int(row[name]) for name in ISSUES} for source, row in counts.iterrows()}


def worst(images: pd.DataFrame, name: str, most: int) -> tuple["pd.Series[Any]", pd.DataFrame]:
    """The values and rows of the images that have the issue worst; so many at most, equal ones by id."""
    rule = ISSUES[name]
    values = pd.Series(rule.value(images), index=images.index)[images[name].to_numpy(bool)]
    order = pd.DataFrame({"value": -values if rule.above else values, "id": images["id"]}).loc[values.index]
    chosen = order.sort_values(["value", "id"]).index[:most]
    return values.loc[chosen], images.loc[chosen]
