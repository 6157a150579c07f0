"""A tree of classes: its checks, pruning it to the classes that exist, and the distance between two classes.

It is nested mappings, whose keys are names. Of a group the value is the mapping of what is in it, of a class None.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from pipeline.errors import listing
from pipeline.names import shown
from pipeline.section import Label

# Name -> what is in it, or None of a class.
Tree = Mapping[str, Any]
# Deeper ones are no longer read by a person, and could exhaust the stack.
MAX_DEPTH = 20

_LABEL: TypeAdapter[str] = TypeAdapter(Label)


def checked_tree(value: Any) -> dict[str, Any]:
    """A tree as params.yaml has it, in which a list stands for classes, as nested mappings.

    Raises:
        ValueError: with all that is wrong with it.
    """
    problems: list[str] = []
    tree = _checked(value, (), problems)
    names = Counter(name for name, _ in _entries(tree))
    problems += [
        f"{shown(name)} is in it {count} times: each class and each group has one place"
        for name, count in names.items()
        if count > 1
    ]
    if problems:
        raise ValueError("; ".join(problems))
    return tree


def _checked(value: Any, path: tuple[str, ...], problems: list[str]) -> dict[str, Any]:
    where = f"the group {shown(' / '.join(path))}" if path else "the tree"
    if len(path) > MAX_DEPTH:
        problems.append(f"the group {shown(path[0])} has more than {MAX_DEPTH} levels")
        return {}
    if isinstance(value, list | tuple):
        names = [name for name in value if not isinstance(name, dict | list)]
        if len(names) < len(value):
            problems.append(f"{where} is a list with something else than names of classes in it: write a mapping")
        entries: list[tuple[Any, Any]] = [(name, None) for name in names]
    elif isinstance(value, Mapping):
        entries = list(value.items())
    else:
        problems.append(f"{where} must be a mapping or a list of classes, got {shown(str(value), 60)}")
        return {}
    if len(entries) < 2:
        problems.append(f"{where} has {len(entries)} entries: a group needs two, or leave it out")
    found: dict[str, Any] = {}
    for name, below in entries:
        try:
            label = _LABEL.validate_python(name)
        except ValidationError as error:
            problems.append(f"{shown(str(name), 60)}: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
            continue
        if label in found:
            problems.append(f"{shown(label)} is twice in {where}: each class and each group has one place")
        found[label] = None if below is None else _checked(below, (*path, label), problems)
    return found


AnyTree = Annotated[dict[str, Any], BeforeValidator(checked_tree)]


def _entries(tree: Tree) -> Iterator[tuple[str, Any]]:
    for name, inner in tree.items():
        yield name, inner
        if inner is not None:
            yield from _entries(inner)


def leaves(tree: Tree) -> tuple[str, ...]:
    """The classes of a tree, in its order."""
    return tuple(name for name, inner in _entries(tree) if inner is None)


def paths(tree: Tree) -> dict[str, tuple[str, ...]]:
    """Class -> the groups that it is in, the widest first, and then itself."""
    found: dict[str, tuple[str, ...]] = {}
    for name, inner in tree.items():
        below = {name: ()} if inner is None else paths(inner)
        found |= {leaf: (name, *path) if inner is not None else (name,) for leaf, path in below.items()}
    return found


def pruned(tree: Tree, classes: Collection[str]) -> dict[str, Any]:
    """The tree of some of its classes: groups without any are left out, one of a single entry becomes this entry."""
    found = _pruned(tree, classes)
    while len(found) == 1 and (only := next(iter(found.values()))) is not None:
        found = only
    return found


def _pruned(tree: Tree, classes: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in tree.items():
        if inner is None:
            if name in classes:
                found[name] = None
            continue
        below = _pruned(inner, classes)
        if len(below) > 1:
            found[name] = below
        else:
            found |= below
    return found


def in_order(tree: Tree, classes: Sequence[str]) -> dict[str, Any]:
    """The same tree with each group's entries in the order of classes; JSON with sorted keys has lost it."""
    places = {name: place for place, name in enumerate(classes)}

    def first(entry: tuple[str, Any]) -> int:
        name, inner = entry
        return min(places.get(leaf, len(places)) for leaf in ((name,) if inner is None else leaves(inner)))

    ordered = sorted(tree.items(), key=first)
    return {name: None if inner is None else in_order(inner, classes) for name, inner in ordered}


def tree_distances(tree: Tree, classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """Half the edges between two classes, shape (k, k): 0 to itself, 1 to one of the same group, more to others.

    The edges are the tree-induced error of Dekel, Keshet and Singer (2004); half of it, so that the mistake between two
    classes of one group costs as much as any mistake costs without a tree.
    """
    of = paths(tree)
    depths = np.array([len(of[name]) for name in classes])
    found: npt.NDArray[np.float64] = (depths[:, None] + depths) / 2
    for level in range(1, levels(tree) + 1):
        groups = groups_at(tree, classes, level)
        # A class that lies higher up is in no group of this level.
        found -= (groups[:, None] == groups) & (depths >= level)
    return found


def levels(tree: Tree) -> int:
    """How many levels it has: 1 without groups."""
    return max(map(len, paths(tree).values()))


def groups_at(tree: Tree, classes: Sequence[str], level: int) -> npt.NDArray[np.intp]:
    """The number of the group that each class is in at a level, 1 for the widest; itself where it lies higher up."""
    names = [path[:level] for path in (paths(tree)[name] for name in classes)]
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([known[name] for name in names], np.intp)


def tree_problems(tree: Tree, classes: Collection[str]) -> list[str]:
    """What of a tree does not fit the classes that images have: a message each."""
    named = leaves(tree)
    lacking = sorted(set(classes) - set(named))
    unknown = sorted(set(named) - set(classes))
    groups = {name for name, inner in _entries(tree) if inner is not None}
    problems = [
        f"problem.tree has the group {shown(name)}, and images are labelled so: give the group another name"
        for name in lacking
        if name in groups
    ]
    if left := [name for name in lacking if name not in groups]:
        problems.append(f"problem.tree lacks {listing(left)}: each class needs a place in it")
    problems += [not_there("problem.tree", name, sorted(set(classes) - groups)) for name in unknown]
    return problems


def not_there(param: str, label: str, known: Sequence[str]) -> str:
    """What to say of a class that a param names, and that no image has."""
    near = difflib.get_close_matches(label, known, n=1)
    hint = f", did you mean {shown(near[0])}?" if near else f"; the sources have {listing(known, 20)}"
    return f"{param} names the class {shown(label)}, which no image has{hint}"
