"""Try the framings that fit the data of the last run, on the vectors of train's and dev's images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline import catalogue
from pipeline.data.vectors import image_vectors
from pipeline.errors import DataError, ParamsError, listing
from pipeline.manifest import DEV, NO_LABEL, PRODUCTION, SPLIT, TRAIN, check_manifest
from pipeline.metrics.class_measures import MeanCost
from pipeline.metrics.metric import metric_of
from pipeline.metrics.predictions import class_codes
from pipeline.problem.class_tree import checked_tree, leaves
from pipeline.problem.framing import UNRELATED
from pipeline.problem.params import Hierarchy, Ordinal, Relabelled
from pipeline.problem.problem import framed
from pipeline.project.params_file import Params
from pipeline.tools.reframe.candidates import (
    MAX_CLASSES_EACH,
    MIN_CLASSES_FOR_TREE,
    Asked,
    Candidate,
    against_rest,
    clustered_tree,
    in_order,
    in_tree,
    merged,
    most_confused,
    unrelated,
)
from pipeline.tools.reframe.measuring import Images, Result, measure, out_of_fold
from pipeline.tools.reframe.wishes import Wishes
from pipeline.training.embedded import FOLDS, Floats, Rows
from pipeline.training.folds import folds_of
from pipeline.workers.engine import Engine
from pipeline.workers.progress import progress


@dataclass(frozen=True)
class Reframed:
    """The results; how many images were measured, of how many; what their vectors are made of; what was left out."""

    results: Sequence[Result]
    measured: int
    images: int
    kind: str
    notes: Sequence[str]


def reframe(params: Params, wishes: Wishes, engine: Engine) -> Reframed:
    """Each framing beside today's, on the production images of train and dev.

    Raises:
        ParamsError: the problem has no classes to reframe, or wishes do not fit the classes.
        DataError: there are fewer than two classes.
    """
    problem = params.problem
    if not isinstance(problem, Relabelled):
        raise ParamsError(
            f"pipeline reframe tries other framings of classes, and problem is {problem.name}: there is nothing to try"
        )
    rows = check_manifest(catalogue.SPLIT.read(Path(catalogue.SPLIT.path)), SPLIT)
    labels = rows["label"].astype(str)
    rows = rows[rows["split"].isin((TRAIN, DEV)) & (labels != NO_LABEL)].sort_values("id", ignore_index=True)
    classes, framing = framed(problem, rows["label"].astype(str).unique().tolist())
    if len(classes) < 2:
        raise DataError(
            f"train and dev have images of {listing(classes) or 'no class'} only: a framing needs two classes"
        )
    asked = _asked(wishes, params, classes)
    originals, embeddings = (each.read(Path(each.path)) for each in (catalogue.ORIGINALS, catalogue.EMBEDDINGS))
    found = image_vectors(rows, embeddings, originals, engine)
    numbers, groups = class_codes(rows["label"].to_numpy(), classes), rows["group"].to_numpy(str)
    images = Images(
        rows=Rows(found.vectors, numbers, np.ones(len(rows), np.float32), groups, len(classes)),
        folds=folds_of(rows["label"].to_numpy(str), groups, FOLDS, params.train.seed),
        measured=(rows["role"] == PRODUCTION).to_numpy(),
        framing=framing,
    )
    with progress("reframe", 2) as advance:
        softmax = out_of_fold(UNRELATED, images.rows, images.folds)
        advance(1)
        same = getattr(framing, "output", "softmax") == "softmax"
        today = softmax if same else out_of_fold(framing, images.rows, images.folds)
        advance(1)
    candidates, notes = _candidates(classes, asked, problem, images, softmax)
    with progress("reframe: framings", len(candidates)) as advance:
        results = measure(images, today, softmax, candidates, params.train.seed, advance)
    return Reframed(results, int(images.measured.sum()), len(rows), found.kind, notes)


def _asked(wishes: Wishes, params: Params, classes: tuple[str, ...]) -> Asked:
    """What people say of the classes, checked; all that is wrong at once."""
    problem, problems = params.problem, []
    order = wishes.order or (problem.order if isinstance(problem, Ordinal) else None)
    if order is not None:
        order = [name for name in order if name in classes] if wishes.order is None else order
        problems += _misfits("--order", order, classes)
    tree = problem.tree if isinstance(problem, Hierarchy) else None
    if wishes.tree is not None:
        try:
            tree = checked_tree(wishes.tree)
        except ValueError as error:
            problems.append(f"--tree: {error}")
    if tree is not None and wishes.tree is not None:
        problems += _misfits("--tree", leaves(tree), classes)
    if problems:
        raise ParamsError("\n".join(problems))
    return Asked(order, tree, _costs(wishes, params, classes))


def _misfits(option: str, names: Sequence[str], classes: Sequence[str]) -> list[str]:
    lacking, unknown = sorted(set(classes) - set(names)), sorted(set(names) - set(classes))
    found = [f"{option} lacks {listing(lacking)}: each class needs a place in it"] if lacking else []
    found += (
        [f"{option} names {listing(unknown)}, which no image has: the classes are {listing(classes, 20)}"]
        if (unknown)
        else []
    )
    if len(set(names)) < len(names):
        found.append(f"{option} names a class twice: each has one place")
    return found


def _costs(wishes: Wishes, params: Params, classes: tuple[str, ...]) -> Floats | None:
    """Costs of mistakes [actual, predicted]; None: those of an order or tree."""
    if wishes.costs is not None:
        return metric_of(MeanCost(name="mean_cost", costs=wishes.costs, otherwise=wishes.otherwise), classes).costs
    optimizing = params.evaluate.optimizing
    return metric_of(optimizing, classes).costs if optimizing.name == "mean_cost" else None


def _no_tree(classes: tuple[str, ...]) -> str:
    why = (
        "no classes are confused more than the rest"
        if len(classes) >= MIN_CLASSES_FOR_TREE
        else f"one made from mistakes needs {MIN_CLASSES_FOR_TREE} classes or more"
    )
    return f"no tree was tried, because {why}. Give one with --tree"


def _candidates(
    classes: tuple[str, ...], asked: Asked, problem: Relabelled, images: Images, softmax: Floats
) -> tuple[list[Candidate], list[str]]:
    """The framings that fit, and why others were left out."""
    notes: list[str] = []
    found = in_order(classes, asked, problem)
    if len(classes) < 3:
        return found, ["with two classes, there is no order, tree or rest to try"]
    if not found:
        notes.append(
            "no order was tried, because the names of the classes suggest none. Give one with --order none,some,much"
        )
    elif asked.order is None:
        notes.append(
            f"the order is a guess from the names: {', '.join(found[0].classes)}. Give another one with --order"
        )
    if asked.tree is not None:
        scale = "half edges" if asked.costs is None else "your costs"
        found += in_tree(classes, asked.tree, "hierarchy", asked.costs, problem, scale)
    labels = images.rows.labels
    confusion, shares = np.zeros((len(classes), len(classes))), np.zeros((len(classes), len(classes)))
    np.add.at(confusion, (labels, softmax.argmax(axis=1)), 1)
    np.add.at(shares, labels, softmax)
    if asked.tree is None:
        tree = clustered_tree(classes, shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12))
        if tree is None:
            notes.append(_no_tree(classes))
        else:
            wrong = 1 - np.eye(len(classes)) if asked.costs is None else asked.costs
            scale = "wrong" if asked.costs is None else "your costs"
            found += in_tree(classes, tree, "hierarchy found", wrong, problem, scale)[:1]
    found.append(merged(classes, most_confused(confusion), problem))
    if len(classes) <= MAX_CLASSES_EACH:
        found += [against_rest(classes, one, problem) for one in sorted(classes)]
    else:
        notes.append(f"one class against the rest: not tried for more than {MAX_CLASSES_EACH} classes")
    if images.framing != UNRELATED:
        found.append(unrelated(classes, images.framing, asked.costs, problem))
    return [each for each in found if (each.framing, each.classes) != (images.framing, classes)], notes
