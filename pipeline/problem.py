"""What the model should tell apart: the sources' classes or others made of them, in an order or a tree; or labels.

`curate` puts these classes in place of the sources' labels before it looks for conflicting labels. So all that follows
(splits, balance, metrics, models, predictions) knows them alone, and the sources stay as they are.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.bins import Edges, bin_names, bins_of_values, edge_problems
from pipeline.class_tree import AnyTree, leaves, not_there, pruned, tree_problems
from pipeline.errors import DataError, listing
from pipeline.framing import UNRELATED, Framing, Nested, Ranked
from pipeline.label_sets import NONE, SEPARATOR, LabelNames, all_names, joined
from pipeline.manifest import NO_LABEL
from pipeline.names import alike_labels, clean, shown
from pipeline.registry import Choice, Registry, one_of
from pipeline.section import EACH_ONCE, Label, Section

# One against the rest: what the rest is called.
REST = "not_{label}"


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
    number a picture, and thresholds between the classes; softmax: it learns each class for itself.
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
    frame: from params and the classes that train has, these in the order of their numbers, and how they relate.
    """

    relabel: Callable[[Any, Collection[str]], dict[str, str]]
    column: Callable[[Any], str | None] = _no_column
    frame: Callable[[Any, Collection[str]], tuple[tuple[str, ...], Framing]] = _by_name


def framed(params: Problem, classes: Collection[str]) -> tuple[tuple[str, ...], Framing]:
    """Classes in the order of their numbers, and how they relate."""
    return PROBLEMS.of(params).frame(params, classes)


def classes_of_labels(params: Classes, labels: Collection[str]) -> dict[str, str]:
    """The class of each label that is not its own class; images without a label stay so.

    Args:
        labels: of all images of all sources.

    Raises:
        DataError: with all problems: params name a class that no image has; a new name is that of another class; or
            fewer than two classes are left.
    """
    found, problems = _renamed(params, labels)
    if params.one_against_rest is not None:
        one, classes = params.one_against_rest, sorted(set(found.values()))
        if one not in classes and not problems:
            problems.append(not_there("problem.one_against_rest", one, classes))
        found = {label: name if name == one else REST.format(label=one) for label, name in found.items()}
    if not problems and len(found) > 1 and len(set(found.values())) < 2:
        problems.append(
            f"problem makes one class of all {len(found)} classes ({listing(found)}), but a model needs two"
        )
    return _changed(found, problems)


def ranks_of_labels(params: Ordinal, labels: Collection[str]) -> dict[str, str]:
    """The class of each label that is not its own class.

    Raises:
        DataError: as for classes; and classes that the order lacks, or that no image has.
    """
    found, problems = _renamed(params, labels)
    classes = sorted(set(found.values()))
    if lacking := [name for name in classes if name not in params.order]:
        problems.append(f"problem.order lacks {listing(lacking)}: each class needs a place in it")
    problems += [not_there("problem.order", name, classes) for name in params.order if name not in classes]
    return _changed(found, problems)


def leaves_of_labels(params: Hierarchy, labels: Collection[str]) -> dict[str, str]:
    """The class of each label that is not its own class.

    Raises:
        DataError: as for classes; and classes that the tree lacks, or that no image has, or a group called like one.
    """
    found, problems = _renamed(params, labels)
    return _changed(found, [*problems, *tree_problems(params.tree, set(found.values()))])


def _renamed(params: Relabelled, labels: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """The class of each label after rename and merge, and what does not fit, a message each."""
    known = sorted({*labels} - {NO_LABEL})
    becomes = {**params.rename, **{label: name for name, merged in params.merge.items() for label in merged}}
    problems = [not_there("problem", label, known) for label in becomes if label not in known]
    problems += [
        f"problem makes a class {shown(name)}, and other images are labelled so: add {shown(name)} to the classes that "
        "problem.merge lists for it, or choose another name"
        for name in dict.fromkeys(becomes.values())
        if name in known and name not in becomes
    ]
    return {label: becomes.get(label, label) for label in known}, problems


def _changed(found: Mapping[str, str], problems: Sequence[str]) -> dict[str, str]:
    # A new name may be one of another class in other letters.
    if problems := [*problems, *alike_labels({*found.values()})]:
        raise DataError("\n".join(problems))
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


def sets_of_labels(params: MultiLabel, labels: Collection[str]) -> dict[str, str]:
    """The set of each text of the sources that is written otherwise: names in order, once each.

    Raises:
        DataError: with all problems: `none` stands beside other labels, or no image has it; names that may mean the
            same; a name that stands for no label elsewhere; or no label is left.
    """
    found, problems = {}, []
    for text in sorted({*labels} - {NO_LABEL}):
        names = {clean(name) for name in text.split(SEPARATOR)}
        if "" in names:
            problems.append(
                f"the label {shown(text)} has nothing on one side of a {SEPARATOR}: write cat{SEPARATOR}dog"
            )
        if NONE in names:
            problems.append(f"the label {shown(text)} has the name {NONE}, which stands for no label: choose another")
        if params.none in names and len(names) > 1:
            problems.append(
                f"the label {shown(text)} says {shown(params.none or '')} (problem.none) beside other labels"
            )
        found[text] = joined(names - {params.none or ""})
    names_there = all_names(found.values())
    problems += alike_labels(names_there)
    if params.none is not None and NONE not in found.values():
        problems.append(not_there("problem.none", params.none, sorted(found)))
    if not names_there and not problems:
        problems.append("no image has a label, so there is nothing to learn")
    if problems:
        raise DataError("\n".join(problems))
    return {text: name for text, name in found.items() if text != name}


def is_multi_label(problem: Problem | None) -> bool:
    """Whether an image may have several labels."""
    return isinstance(problem, MultiLabel)


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
    )
)
AnyProblem = Annotated[Problem, one_of(PROBLEMS)]
