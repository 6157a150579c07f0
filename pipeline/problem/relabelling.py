"""From labels of the sources to the classes, the sets of labels or the numbers that `problem` makes of them."""

from collections.abc import Collection, Mapping, Sequence

from pipeline.errors import DataError, listing
from pipeline.manifest import NO_LABEL
from pipeline.names import alike_labels, clean, shown
from pipeline.problem.class_tree import not_there, tree_problems
from pipeline.problem.label_sets import NONE, SEPARATOR, all_names, joined
from pipeline.problem.params import Classes, Hierarchy, MultiLabel, Ordinal, Regression, Relabelled
from pipeline.problem.quantities import number_of, text_of

# One against the rest: what the rest is called.
REST = "not_{label}"


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


def numbers_of_labels(params: Regression, labels: Collection[str]) -> dict[str, str]:
    """The number of each label that is written otherwise, as the shortest text.

    A label that is no number stays as it is: curate takes its images out, and says how many.

    Raises:
        DataError: with all problems: `values` lacks a label, or names one that no image has.
    """
    known = sorted({*labels} - {NO_LABEL})
    if not params.values:
        numbers = {label: number_of(label) for label in known}
        texts = {label: text_of(number) for label, number in numbers.items() if number is not None}
        return {label: text for label, text in texts.items() if text != label}
    problems = [not_there("problem.values", label, known) for label in params.values if label not in known]
    if lacking := [label for label in known if label not in params.values]:
        problems.append(f"problem.values lacks {listing(lacking)}: give each label its number")
    if problems:
        raise DataError("\n".join(problems))
    return {label: text_of(params.values[label]) for label in known if text_of(params.values[label]) != label}
