"""What the model should tell: the sources' classes or others made of them, in an order or a tree; labels; or a number.

`curate` puts these classes in place of the sources' labels before it looks for conflicting labels. So all that follows
(splits, balance, metrics, models, predictions) knows them alone, and the sources stay as they are.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pipeline.errors import ParamsError
from pipeline.problem.bins import bin_names, bins_of_values
from pipeline.problem.class_tree import leaves, pruned
from pipeline.problem.framing import UNRELATED, Framing, Nested, Numeric, Ranked
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.params import Bins, Classes, Hierarchy, MultiLabel, Ordinal, Problem, Regression
from pipeline.problem.quantities import VALUE, Quantity, number_of
from pipeline.problem.relabelling import (
    classes_of_labels,
    leaves_of_labels,
    numbers_of_labels,
    ranks_of_labels,
    sets_of_labels,
)
from pipeline.registry import Choice, Registry, one_of


def _no_column(params: Problem) -> str | None:
    return None


def _by_name(params: Problem, classes: Collection[str]) -> tuple[tuple[str, ...], Framing]:
    """Classes without an order of their own."""
    return tuple(sorted(classes)), UNRELATED


@dataclass(frozen=True)
class ProblemRow(Choice[Problem]):
    """A kind of problem.

    relabel: from params and the labels that the sources have, the class of each label that changes.
    column: the column of people's tables whose values count as the sources' labels; None: the labels themselves do.
    frame: from params and the classes that train has (with how many rows each has, where that is known), these in the
        order of their numbers, and how they relate.
    """

    relabel: Callable[[Any, Collection[str]], dict[str, str]]
    column: Callable[[Any], str | None] = _no_column
    frame: Callable[[Any, Collection[str]], tuple[tuple[str, ...], Framing]] = _by_name


def framed(params: Problem, classes: Collection[str]) -> tuple[tuple[str, ...], Framing]:
    """Classes in the order of their numbers, and how they relate."""
    return PROBLEMS.of(params).frame(params, classes)


def classes_of_values(params: Bins, labels: Collection[str]) -> dict[str, str]:
    """The class of each value.

    Raises:
        DataError: values are no numbers or outside of the edges, or a class has no image.
    """
    return bins_of_values(labels, params.edges, params.names or bin_names(params.edges))


def column_of_values(params: Bins | Regression) -> str | None:
    """The column that has them; None if the labels do."""
    return params.column


def is_multi_label(problem: Problem | None) -> bool:
    """Whether an image may have several labels."""
    return isinstance(problem, MultiLabel)


def is_regression(problem: Problem | None) -> bool:
    """Whether each image has a number instead of a class."""
    return isinstance(problem, Regression)


def by_number(params: Regression, classes: Collection[str]) -> tuple[tuple[str, ...], Framing]:
    """The name of what is measured; and mean and deviation of the numbers that train has.

    Args:
        classes: the numbers as texts; with how many rows each has, these count.
    """
    counts = dict(classes) if isinstance(classes, Mapping) else dict.fromkeys(classes, 1)
    # In the order of texts, because sums round.
    pairs = [(float(text), counts[text]) for text in sorted(counts) if number_of(text) is not None]
    rows = sum(count for _, count in pairs)
    mean = math.fsum(number * count for number, count in pairs) / max(rows, 1)
    variance = math.fsum((number - mean) ** 2 * count for number, count in pairs) / max(rows, 1)
    # Of a single number any deviation will do.
    framing = Numeric(name="numeric", mean=mean, deviation=math.sqrt(variance) or 1.0)
    return Quantity((name_of_quantity(params),)), framing


def check_has_classes(problem: Problem | None, what: str) -> None:
    """Raise ParamsError where images have a number instead of a class.

    Args:
        what: needs classes, such as `pipeline spot-check`.
    """
    if is_regression(problem):
        raise ParamsError(
            f"{what} needs a class for each image, and with problem regression an image has a number: make classes of "
            "the numbers with problem bins to use it"
        )


def name_of_quantity(params: Regression) -> str:
    """What is measured: the column's name."""
    return VALUE if params.column is None else params.column


def by_label(params: MultiLabel, classes: Collection[str]) -> tuple[tuple[str, ...], Framing]:
    """Names of labels, of which an image may have several."""
    return LabelNames(sorted(classes)), UNRELATED


def by_rank(params: Ordinal, classes: Collection[str]) -> tuple[tuple[str, ...], Framing]:
    """Classes by their ranks; those that train lacks have none."""
    return tuple(name for name in params.order if name in classes), Ranked(name="ranked", output=params.output)


def by_tree(params: Hierarchy, classes: Collection[str]) -> tuple[tuple[str, ...], Framing]:
    """Classes as the tree has them; those that train lacks are left out of it."""
    tree = pruned(params.tree, classes)
    return leaves(tree), Nested(name="nested", output=params.output, tree=tree)


PROBLEMS: Registry[ProblemRow] = Registry(
    (
        ProblemRow(Classes, relabel=classes_of_labels),
        ProblemRow(Ordinal, relabel=ranks_of_labels, frame=by_rank),
        ProblemRow(Hierarchy, relabel=leaves_of_labels, frame=by_tree),
        ProblemRow(Bins, relabel=classes_of_values, column=column_of_values),
        ProblemRow(MultiLabel, relabel=sets_of_labels, frame=by_label),
        ProblemRow(Regression, relabel=numbers_of_labels, column=column_of_values, frame=by_number),
    )
)
AnyProblem = Annotated[Problem, one_of(PROBLEMS)]
