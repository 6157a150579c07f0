"""Params of what the model should tell apart: a class of Section for each kind of problem."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.errors import listing
from pipeline.problem.bins import Edges, edge_problems
from pipeline.problem.class_tree import AnyTree
from pipeline.section import EACH_ONCE, Label, Section


class Problem(Section):
    """Params of any problem."""

    name: str


NewNames = Annotated[Mapping[Label, Label], EACH_ONCE]
Merged = Annotated[Mapping[Label, Annotated[Sequence[Label], Field(min_length=1)]], EACH_ONCE]


class Relabelled(Problem):
    """Params of a problem whose classes may have other names than the sources have.

    rename: class -> its new name. merge: new class -> the classes that become it.
    """

    rename: NewNames = Field(default_factory=dict)
    merge: Merged = Field(default_factory=dict)

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


class Classes(Relabelled):
    """Classes, any number of them.

    rename: class -> its new name. merge: new class -> the classes that become it. one_against_rest: of what these
    give, the class that stays; all others become `not_<class>`; null: all stay.
    """

    name: Literal["classes"]
    rename: NewNames
    merge: Merged
    one_against_rest: Label | None


class Ordinal(Relabelled):
    """Classes in an order: the further apart label and prediction, the worse.

    order: all classes, after rename and merge, from the least to the most. output: cumulative: a network learns one
    number per picture, and thresholds between the classes; softmax: it learns each class for itself.
    """

    name: Literal["ordinal"]
    order: Annotated[Sequence[Label], Field(min_length=2)]
    output: Literal["cumulative", "softmax"] = "cumulative"

    @model_validator(mode="after")
    def _each_has_one_rank(self) -> Self:
        if twice := [label for label, count in Counter(self.order).items() if count > 1]:
            raise ValueError(f"order lists {listing(twice)} more than once: a class has one rank")
        return self


class Hierarchy(Relabelled):
    """Classes in groups, and these in wider ones: the wider the group that label and prediction share, the worse.

    tree: group -> what is in it: groups, or classes, after rename and merge. output: cascade: a network tells the
    widest groups apart first, and then what is in each; softmax: it learns each class for itself.
    """

    name: Literal["hierarchy"]
    tree: AnyTree
    output: Literal["cascade", "softmax"] = "cascade"


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


class MultiLabel(Problem):
    """Labels of which an image may have several, such as cat|dog.

    none: the label of the sources that says that an image has none of the others; null: no label does.
    """

    name: Literal["multi_label"]
    none: Label | None = None


class Regression(Problem):
    """A number of each image, such as a ripeness of 3.5, instead of classes.

    column: of people's tables, that has the numbers; null: the labels are the numbers, or `values` has theirs.
    values: label of the sources -> its number; {}: the labels, or the column, are the numbers themselves.
    """

    name: Literal["regression"]
    column: Annotated[str, Field(min_length=1)] | None = None
    values: Annotated[Mapping[Label, Annotated[float, Field(allow_inf_nan=False)]], EACH_ONCE] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.values and len(set(self.values.values())) < 2:
            raise ValueError("values gives all labels the same number, so there is nothing to learn")
        return self
