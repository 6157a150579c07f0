"""Framings that fit the data: what each makes of today's classes, what its mistakes cost, and the params for it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from pipeline.problem.class_tree import Tree, leaves, tree_distances
from pipeline.problem.framing import UNRELATED, Framing, Nested, Ranked, rank_distances
from pipeline.problem.params import Relabelled
from pipeline.problem.relabelling import REST

Costs = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

# Each class against the rest is tried up to so many classes: each takes a model.
MAX_CLASSES_EACH = 8
# With three, a group of two says no more than the two merged.
MIN_CLASSES_FOR_TREE = 4
# Names of degrees, from the least to the most; an order is proposed if all classes are in one of them.
SCALES = (
    ("none", "few", "little", "some", "many", "much", "most", "all"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("tiny", "small", "medium", "large", "huge"),
    ("very_low", "low", "medium", "middle", "high", "very_high"),
    ("bad", "poor", "fair", "good", "very_good", "excellent"),
    ("none", "mild", "moderate", "severe", "extreme"),
    ("unripe", "ripe", "overripe", "rotten"),
    ("young", "adult", "old"),
    ("cold", "cool", "warm", "hot"),
)


@dataclass(frozen=True)
class Candidate:
    """A framing.

    classes: its own, in the order of their numbers. becomes: the number that each of today's classes has there, (k,).
    costs: of its mistakes, [actual, predicted]. scale: what they count, for people. params: what means it in
    params.yaml, by place. same_classes: whether it has today's classes, in whatever order.
    """

    name: str
    classes: tuple[str, ...]
    becomes: Codes
    framing: Framing
    costs: Costs
    scale: str
    params: Mapping[str, Any]

    @property
    def same_classes(self) -> bool:
        """Whether no two of today's classes are one here."""
        return len(set(self.becomes.tolist())) == len(self.becomes)


@dataclass(frozen=True)
class Asked:
    """What people say of today's classes: an order, a tree, and what mistakes cost [actual, predicted], (k, k)."""

    order: Sequence[str] | None = None
    tree: Tree | None = None
    costs: Costs | None = None


def in_order(classes: tuple[str, ...], asked: Asked, problem: Relabelled) -> list[Candidate]:
    """The classes in their order, learnt as such, and learnt as unrelated ones."""
    order = asked.order or proposed_order(classes)
    if order is None or len(classes) < 3:
        return []
    becomes = np.array([list(order).index(name) for name in classes])
    costs = rank_distances(len(classes)) if asked.costs is None else _moved(asked.costs, becomes)
    scale = "ranks" if asked.costs is None else "your costs"
    found = []
    for name, output in (("ordinal", "cumulative"), ("ordinal, softmax", "softmax")):
        framing = Ranked(name="ranked", output=output)  # type: ignore[arg-type]
        written = {"name": "ordinal", "order": list(order), "output": output, **_names(problem)}
        params = _params(written, asked)
        found.append(Candidate(name, tuple(order), becomes, framing, costs, scale, params))
    return found


def in_tree(
    classes: tuple[str, ...], tree: Tree, name: str, costs: Costs | None, problem: Relabelled, scale: str
) -> list[Candidate]:
    """The classes in a tree, learnt as such, and learnt as unrelated ones.

    Args:
        costs: of today's classes; None: those of the tree.
    """
    order = leaves(tree)
    becomes = np.array([order.index(label) for label in classes])
    own = tree_distances(tree, order) if costs is None else _moved(costs, becomes)
    found = []
    for end, output in (("", "cascade"), (", softmax", "softmax")):
        framing = Nested(name="nested", output=output, tree=dict(tree))  # type: ignore[arg-type]
        written = {"name": "hierarchy", "tree": _short(tree), "output": output, **_names(problem)}
        params = {"problem": written, **({"evaluate.optimizing": "mean_distance"} if costs is None else {})}
        found.append(Candidate(f"{name}{end}", order, becomes, framing, own, scale, params))
    return found


def unrelated(classes: tuple[str, ...], today: Framing, costs: Costs | None, problem: Relabelled) -> Candidate:
    """The classes of today's order or tree without it, on its scale."""
    own = today.distances(len(classes)) if costs is None else costs
    assert own is not None  # noqa: S101
    params = {"problem": {"name": "classes", "rename": {}, "merge": {}, "one_against_rest": None, **_names(problem)}}
    scale = "distance of today" if costs is None else "your costs"
    return Candidate("classes", classes, np.arange(len(classes)), UNRELATED, own, scale, params)


def against_rest(classes: tuple[str, ...], one: str, problem: Relabelled) -> Candidate:
    """One class against all others."""
    names = tuple(sorted((one, REST.format(label=one))))
    becomes = np.array([names.index(one if name == one else REST.format(label=one)) for name in classes])
    params = {"problem": {"name": "classes", "rename": {}, "merge": {}, "one_against_rest": one, **_names(problem)}}
    return Candidate(f"{one} against the rest", names, becomes, UNRELATED, 1 - np.eye(2), "wrong", params)


def merged(classes: tuple[str, ...], pair: tuple[int, int], problem: Relabelled) -> Candidate:
    """Two classes as one."""
    one, other = (classes[number] for number in pair)
    name = f"{one}_or_{other}"
    names = tuple(sorted({*classes} - {one, other} | {name}))
    becomes = np.array([names.index(name if label in (one, other) else label) for label in classes])
    of = _sources(problem)
    renamed = {old: new for old, new in problem.rename.items() if new not in (one, other)}
    kept = {new: list(olds) for new, olds in problem.merge.items() if new not in (one, other)}
    written = {
        "name": "classes",
        "rename": renamed,
        "merge": {**kept, name: [*of.get(one, [one]), *of.get(other, [other])]},
        "one_against_rest": None,
    }
    return Candidate(
        f"{one} and {other} as one",
        names,
        becomes,
        UNRELATED,
        1 - np.eye(len(names)),
        "wrong",
        {"problem": written},
    )


def most_confused(confusion: Costs) -> tuple[int, int]:
    """The two classes that are taken for each other most, by their images; confusion [actual, predicted], (k, k)."""
    sizes = confusion.sum(axis=1)
    rates = (confusion + confusion.T) / np.maximum(sizes[:, None] + sizes, 1)
    np.fill_diagonal(rates, -1)
    one, other = np.unravel_index(int(np.triu(rates, 1).argmax()), rates.shape)
    return int(one), int(other)


def clustered_tree(classes: tuple[str, ...], shares: Costs) -> Tree | None:
    """A tree of two levels whose groups hold classes that are taken for one another; None if there are none.

    Groups are joined while their classes share more than classes do on average (average linkage).

    Args:
        shares: the mean probability that images of a class have of each class, (k, k), rows adding up to 1.
    """
    if len(classes) < MIN_CLASSES_FOR_TREE:
        return None
    likeness = np.round((shares + shares.T) / 2, 6)
    np.fill_diagonal(likeness, 0)
    apart = likeness.max() - likeness
    np.fill_diagonal(apart, 0)
    pairs = squareform(apart)
    numbers = fcluster(linkage(pairs, "average"), float(pairs.mean()), "distance")
    groups: dict[int, list[str]] = {}
    for label, number in zip(classes, numbers.tolist(), strict=True):
        groups.setdefault(number, []).append(label)
    if not 1 < len(groups) < len(classes):
        return None
    return {
        (" and ".join(members) if len(members) > 1 else members[0]): (
            dict.fromkeys(members) if len(members) > 1 else None
        )
        for members in groups.values()
    }


def proposed_order(classes: Sequence[str]) -> list[str] | None:
    """The order that names suggest: by the numbers in them, or as degrees of one scale; None if they suggest none."""
    numbers = [re.search(r"-?\d+(?:\.\d+)?", name) for name in classes]
    if all(numbers):
        values = {name: float(found[0]) for name, found in zip(classes, numbers, strict=True) if found}
        if len(set(values.values())) == len(classes):
            return sorted(classes, key=lambda name: values[name])
    keys = {name: name.casefold().strip().replace(" ", "_").replace("-", "_") for name in classes}
    for scale in SCALES:
        if set(keys.values()) <= set(scale):
            return sorted(classes, key=lambda name: scale.index(keys[name]))
    return None


def _params(written: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    return {"problem": written, **({"evaluate.optimizing": "mean_distance"} if asked.costs is None else {})}


def _names(problem: Relabelled) -> dict[str, Any]:
    """`rename` and `merge`, where they are not empty."""
    names = {"rename": dict(problem.rename), "merge": {name: list(labels) for name, labels in problem.merge.items()}}
    return {place: values for place, values in names.items() if values}


def _sources(problem: Relabelled) -> dict[str, list[str]]:
    """The sources' labels behind each class that has another name."""
    return {
        **{new: [old] for old, new in problem.rename.items()},
        **{n: list(olds) for n, olds in problem.merge.items()},
    }


def _short(tree: Tree) -> Any:
    """A tree as a person writes it: groups of classes alone are lists."""
    if all(inner is None for inner in tree.values()):
        return list(tree)
    return {name: None if inner is None else _short(inner) for name, inner in tree.items()}


def _moved(costs: Costs, becomes: Codes) -> Costs:
    """Costs of today's classes in another order of them."""
    found = np.zeros_like(costs)
    found[np.ix_(becomes, becomes)] = costs
    return found
