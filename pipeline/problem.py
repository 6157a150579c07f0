"""What the model should tell apart: the sources' classes, renamed, merged or one against the rest, or bins.

`curate` puts these classes in place of the sources' labels before it looks for conflicting labels. So all that follows
(splits, balance, metrics, models, predictions) knows them alone, and the sources stay as they are.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.bins import Edges, bin_names, bins_of_values, edge_problems
from pipeline.errors import DataError, listing
from pipeline.manifest import NO_LABEL
from pipeline.names import shown
from pipeline.registry import Choice, Registry, one_of
from pipeline.section import EACH_ONCE, Label, Section

# One against the rest: what the rest is called.
REST = "not_{label}"


class Problem(Section):
    """Params of any problem."""

    name: str


class Classes(Problem):
    """Classes, any number of them.

    rename: class -> its new name. merge: new class -> the classes that become it. one_against_rest: of what these
    give, the class that stays; all others become `not_<class>`; null: all stay.
    """

    name: Literal["classes"]
    rename: Annotated[Mapping[Label, Label], EACH_ONCE]
    merge: Annotated[Mapping[Label, Annotated[Sequence[Label], Field(min_length=1)]], EACH_ONCE]
    one_against_rest: Label | None

    @model_validator(mode="after")
    def _each_class_becomes_one(self) -> Self:
        sources = [*self.rename, *(label for labels in self.merge.values() for label in labels)]
        results = [*self.rename.values(), *self.merge]
        if twice := [label for label, count in Counter(sources).items() if count > 1]:
            raise ValueError(
                f"rename and merge list {listing(twice)} more than once: a class can become only one class"
            )
        if twice := [label for label, count in Counter(results).items() if count > 1]:
            raise ValueError(
                f"several entries of rename and merge make {listing(twice)}: write one entry of merge with all of its "
                "classes"
            )
        return self


class Bins(Problem):
    """Classes by the value of each image.

    column: of people's tables, whose values count; null: the labels are the values. edges: n + 1 rising numbers make n
    classes; null at the first or last place leaves that end open. names: of these classes, in order; [] for `2 to 4`.
    """

    name: Literal["bins"]
    column: Annotated[str, Field(min_length=1)] | None = None
    edges: Edges
    names: Sequence[Label] = ()

    @model_validator(mode="after")
    def _edges_rise(self) -> Self:
        if problems := edge_problems(self.edges, self.names):
            raise ValueError("; ".join(problems))
        return self


def _no_column(params: Problem) -> str | None:
    return None


@dataclass(frozen=True)
class ProblemRow(Choice[Problem]):
    """A kind of problem.

    relabel: from params and the labels that the sources have, the class of each label that changes.
    column: the column of people's tables whose values count as the sources' labels; None: the labels themselves do.
    """

    relabel: Callable[[Any, Collection[str]], dict[str, str]]
    column: Callable[[Any], str | None] = _no_column


def classes_of_labels(params: Classes, labels: Collection[str]) -> dict[str, str]:
    """The class of each label that is not its own class; images without a label stay so.

    Args:
        labels: of all images of all sources.

    Raises:
        DataError: with all problems: params name a class that no image has; a new name is that of another class; or
            fewer than two classes are left.
    """
    known = sorted({*labels} - {NO_LABEL})
    becomes = {**params.rename, **{label: name for name, merged in params.merge.items() for label in merged}}
    problems = [
        f"problem names the class {shown(label)}, which no image has{_hint(label, known)}"
        for label in becomes
        if label not in known
    ]
    problems += [
        f"problem makes a class {shown(name)}, and other images are labelled so: add {shown(name)} to the classes that "
        "problem.merge lists for it, or choose another name"
        for name in dict.fromkeys(becomes.values())
        if name in known and name not in becomes
    ]
    found = {label: becomes.get(label, label) for label in known}
    if params.one_against_rest is not None:
        one, classes = params.one_against_rest, sorted(set(found.values()))
        if one not in classes and not problems:
            problems.append(f"problem.one_against_rest is {shown(one)}, which no image has{_hint(one, classes)}")
        found = {label: name if name == one else REST.format(label=one) for label, name in found.items()}
    if problems:
        raise DataError("\n".join(problems))
    if len(known) > 1 and len(set(found.values())) < 2:
        raise DataError(
            f"problem makes one class of all {len(known)} classes ({listing(known)}), but a model needs two"
        )
    return {label: name for label, name in found.items() if name != label}


def classes_of_values(params: Bins, labels: Collection[str]) -> dict[str, str]:
    """The class of each value.

    Raises:
        DataError: values are no numbers or outside of the edges, or a class has no image.
    """
    return bins_of_values(labels, params.edges, params.names or bin_names(params.edges))


def column_of_values(params: Bins) -> str | None:
    """The column that has them; None if the labels do."""
    return params.column


def _hint(label: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(label, known, n=1)
    return f", did you mean {shown(near[0])}?" if near else f"; the sources have {listing(known, 20)}"


PROBLEMS: Registry[ProblemRow] = Registry(
    (
        ProblemRow(Classes, relabel=classes_of_labels),
        ProblemRow(Bins, relabel=classes_of_values, column=column_of_values),
    )
)
AnyProblem = Annotated[Problem, one_of(PROBLEMS)]
