"""Bins: values of images, such as a ripeness of 3.5, become classes by the edges between them."""

import bisect
import itertools
import math
from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import Field

from pipeline.errors import DataError, listing
from pipeline.manifest import NO_LABEL
from pipeline.names import alike_labels
from pipeline.problem.quantities import number_of

# Numbers, null at an end that is open.
Edges = Annotated[Sequence[float | None], Field(min_length=3)]


def edge_problems(edges: Sequence[float | None], names: Sequence[str]) -> list[str]:
    """What is wrong with edges and the names of the classes between them, a message each."""
    problems = []
    inner = [place for place, edge in enumerate(edges[1:-1], 1) if edge is None]
    if inner:
        problems.append(
            f"edges has null at position {listing(place + 1 for place in inner)}: only the first and the last edge may "
            "be null, for an open end"
        )
    numbers = [edge for edge in edges if edge is not None]
    falls = [f"{after:g} after {before:g}" for before, after in itertools.pairwise(numbers) if after <= before]
    if falls:
        problems.append(f"edges must rise, got {listing(falls)}: sort them, and name each once")
    if names and len(names) != len(edges) - 1:
        problems.append(f"edges make {len(edges) - 1} classes, and names has {len(names)}: name each class, or none")
    if len(set(names)) < len(names):
        problems.append(f"names has one name twice ({listing(names)}): the classes of two bins cannot be told apart")
    return [*problems, *alike_labels(names)]


def bin_names(edges: Sequence[float | None]) -> list[str]:
    """A name for each bin, such as `2 to 4`, `below 2` and `4 or more`."""
    names = []
    for low, high in itertools.pairwise(edges):
        if low is None:
            names.append(f"below {high:g}")
        else:
            names.append(f"{low:g} or more" if high is None else f"{low:g} to {high:g}")
    return names


def bins_of_values(values: Collection[str], edges: Sequence[float | None], names: Sequence[str]) -> dict[str, str]:
    """The class of each value. A value at an inner edge belongs to the bin above it, one at the last edge to the last.

    Args:
        values: as texts; images without a value have none, and stay so.

    Raises:
        DataError: values that are no numbers, values outside of the edges, and classes without an image, all at once.
    """
    numbers = {value: number_of(value) for value in values if value != NO_LABEL}
    texts = sorted(value for value, number in numbers.items() if number is None)
    known = {value: number for value, number in numbers.items() if number is not None}
    low, high = (math.inf * sign if edge is None else edge for edge, sign in ((edges[0], -1), (edges[-1], 1)))
    outside = sorted((number, value) for value, number in known.items() if not low <= number <= high)
    inner = [edge for edge in edges[1:-1] if edge is not None]
    found = {value: names[bisect.bisect_right(inner, number)] for value, number in known.items()}
    problems = []
    if texts:
        problems.append(
            f"problem bins needs numbers, and {len(texts)} values are none: {listing(texts)}. Write numbers with a "
            "decimal point, or take problem classes"
        )
    if outside:
        problems.append(
            f"{len(outside)} values are outside of problem.edges, which begin at {low:g} and end at {high:g}: "
            f"{listing(value for _, value in outside)}. Move the outer edge, or open it with null"
        )
    if not problems and known:
        empty = [name for name in names if name not in found.values()]
        if empty:
            problems.append(f"no image falls into {listing(empty, 20)}: move problem.edges, or leave these bins out")
    if problems:
        raise DataError("\n".join(problems))
    return found
