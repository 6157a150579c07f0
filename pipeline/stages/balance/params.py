"""Params of the stage balance: a strategy, and the class size that it works towards."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section, Seed


class Majority(Section):
    """As many rows as the largest class has."""

    name: Literal["majority"]


class Minority(Section):
    """As many rows as the smallest class has."""

    name: Literal["minority"]


class Median(Section):
    """As many rows as the median of the classes, rounded down."""

    name: Literal["median"]


class RowCount(Section):
    """So many rows."""

    name: Literal["count"]
    rows: Annotated[int, Field(ge=1, le=1_000_000_000)]


class Ratio(Section):
    """So many rows that the smallest class has at least this share of the largest."""

    name: Literal["ratio"]
    value: Annotated[float, Field(ge=1e-6, le=1)]


# A target that would change nothing is not offered: undersampling to the largest class, for one.
UpTarget = Annotated[Majority | Median | RowCount | Ratio, Field(discriminator="name")]
DownTarget = Annotated[Minority | Median | RowCount | Ratio, Field(discriminator="name")]
AnyTarget = Annotated[Majority | Minority | Median | RowCount | Ratio, Field(discriminator="name")]


class NoBalance(Section):
    """Leave the class counts alone."""

    name: Literal["none"]


class Oversample(Section):
    """Repeat rows of classes below the target."""

    name: Literal["oversample"]
    target: UpTarget


class Undersample(Section):
    """Drop rows of classes above the target."""

    name: Literal["undersample"]
    target: DownTarget


class OverAndUndersample(Section):
    """Repeat rows of classes below the target, drop rows of those above it.

    A ratio is a band around the median: from median x sqrt(ratio) to median / sqrt(ratio).
    """

    name: Literal["both"]
    target: AnyTarget


class TomekLinks(Section):
    """Drop rows whose nearest picture is of another class, and is theirs in turn (Tomek, 1976)."""

    name: Literal["tomek_links"]


class EditedNearestNeighbours(Section):
    """Drop rows whose nearest pictures are of other classes: if any of them is, or most are (Wilson, 1972)."""

    name: Literal["edited_nearest_neighbours"]
    neighbours: Annotated[int, Field(ge=1, le=100)]
    drop_if: Literal["any", "most"]


class NearMiss(Section):
    """Drop rows of classes above the target, keeping pictures near the smallest class (Mani and Zhang, 2003).

    version: 1 keeps those nearest to their nearest pictures of the smallest class, 2 those nearest to
    its farthest ones, 3 the farthest of those that are neighbours of one of its pictures.
    """

    name: Literal["near_miss"]
    version: Literal[1, 2, 3]
    neighbours: Annotated[int, Field(ge=1, le=100)]
    target: DownTarget


class ClassWeights(Section):
    """Leave the rows alone and let the loss weigh them, so that each class counts alike."""

    name: Literal["weights"]


class BalanceParams(Section):
    """How classes and roles are evened out in the training rows.

    production_weight: each production row counts as so many raw ones of its class, in class sizes,
    targets and draws alike: it stands so many times as often as they do, to the nearest row. The
    strategy `weights` puts it into the loss instead. 1 = off.
    """

    seed: Seed
    production_weight: Annotated[float, Field(ge=1, le=100)]
    strategy: Annotated[
        NoBalance
        | Oversample
        | Undersample
        | OverAndUndersample
        | TomekLinks
        | EditedNearestNeighbours
        | NearMiss
        | ClassWeights,
        Field(discriminator="name"),
    ]
