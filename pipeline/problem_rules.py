"""What params may not say with a problem: levers that are made for another kind, such as one class per image.

Each rule is a sentence that says why, and what to write instead.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import not_of_numbers, of_numbers_alone, without_meaning
from pipeline.models.baselines import BASELINES, baseline_has_one_class, baseline_problem, one_or_other
from pipeline.problem.params import Problem
from pipeline.problem.problem import is_multi_label, is_regression
from pipeline.training.loss_functions import LOSSES, losses_for
from pipeline.training.unlabelled import FROM_LABELLED_ALONE

Rules = Callable[[Any], Iterator[str]]


def broken_rules(problem: Problem | None, name: str, section: Any) -> list[str]:
    """The rules that a section of params breaks for this problem, a sentence each.

    Args:
        name: of the section, such as train; of sections that no rule is about, nothing is broken.
    """
    several = is_multi_label(problem)
    if name == "sources":
        return list(_sources(section, several))
    table = OF_LABELS if several else OF_NUMBERS if is_regression(problem) else OF_CLASSES
    rules = table.get(name)
    return [] if rules is None else list(rules(section))


def _sources(sources: Mapping[str, Any], several: bool) -> Iterator[str]:
    """Cells with several labels are read as such, or rejected, by what their source says: it must fit the problem."""
    for name, source in sources.items():
        labels = source.labels
        place = f"{name}.labels"
        if labels.name == "table" and several != (labels.separator is not None) and labels.columns.label:
            yield (
                f"{place}: set separator to what stands between the labels of one cell, such as '|', because "
                "problem is multi_label"
                if several
                else f"{place}.separator makes several labels of a cell: take problem multi_label, or remove it"
            )
        if labels.name == "label_studio" and several != (labels.several_choices == "keep"):
            yield (
                f"{place}: set several_choices to keep, because problem is multi_label"
                if several
                else f"{place}.several_choices keep makes sets of labels: take problem multi_label, or remove it"
            )


def _balance_of_labels(balance: Any) -> Iterator[str]:
    if balance.strategy.name != "none":
        yield (
            f"strategy {balance.strategy.name} evens out classes of which an image has one; a repeated image would "
            "repeat all of its labels. With problem multi_label, set it to {name: none}"
        )


def _augment_without_classes(augment: Any, has: str) -> Iterator[str]:
    if augment.copies.name != "per_image":
        yield f"copies {augment.copies.name} counts images by class, and {has}: use {{name: per_image, count: N}}"


def _augment_of_labels(augment: Any) -> Iterator[str]:
    yield from _augment_without_classes(augment, "with problem multi_label an image may have several labels")


def _train_of_labels(train: Any) -> Iterator[str]:
    if train.model.name in BASELINES:
        yield baseline_has_one_class(train.model.name)
    if train.loss.name != "cross_entropy":
        yield (
            f"loss {train.loss.name} needs one class per image: with problem multi_label, use {{name: cross_entropy}}, "
            "which is then the binary cross entropy of each label"
        )
    if train.unlabelled.name != FROM_LABELLED_ALONE:
        yield (
            f"unlabelled {train.unlabelled.name} gives each image without a label one class, and with problem "
            "multi_label an image may have several labels: set it to {name: none}"
        )
    if train.class_weights:
        yield (
            "class_weights weigh images by their class, and with problem multi_label an image may have several labels: "
            "set it to {}"
        )


def _metrics_of(evaluate: Any) -> Iterator[tuple[str, Any]]:
    """Place and row of each metric that params name; a size or a time is none."""
    metrics = {"optimizing": evaluate.optimizing}
    metrics |= {f"satisficing.{name}": limit.metric for name, limit in evaluate.satisficing.items()}
    for place, metric in metrics.items():
        if metric.name in METRICS:
            yield place, METRICS[metric.name]


def _evaluate_of_labels(evaluate: Any) -> Iterator[str]:
    for place, row in _metrics_of(evaluate):
        if row.of_labels is None and row.of_sets is None:
            yield f"{place}: {without_meaning(row.name)}"


def _balance_of_numbers(balance: Any) -> Iterator[str]:
    if balance.strategy.name != "none":
        yield (
            f"strategy {balance.strategy.name} evens out classes, and with problem regression an image has a number: "
            "set it to {name: none}, or make classes of the numbers with problem bins"
        )


def _augment_of_numbers(augment: Any) -> Iterator[str]:
    yield from _augment_without_classes(augment, "with problem regression an image has a number")


def _train_of_numbers(train: Any) -> Iterator[str]:
    if problem := baseline_problem(train.model.name, True):
        yield problem
    if LOSSES.of(train.loss).of_errors is None:
        yield (
            f"loss {train.loss.name} is about classes, and with problem regression an image has a number: take "
            f"{one_or_other(losses_for(True))}"
        )
    if train.unlabelled.name != FROM_LABELLED_ALONE:
        yield (
            f"unlabelled {train.unlabelled.name} gives each image without a label a class, and with problem regression "
            "an image has a number: set it to {name: none}"
        )
    if train.ensemble.name != "none":
        yield (
            f"ensemble {train.ensemble.name} combines probabilities of classes, and with problem regression a model "
            "gives a number: set it to {name: none}"
        )
    if train.class_weights:
        yield "class_weights weigh images by class, and with problem regression an image has a number: set it to {}"
    if train.label_smoothing:
        yield "label_smoothing is about classes, and with problem regression an image has a number: set it to 0.0"


def _evaluate_of_numbers(evaluate: Any) -> Iterator[str]:
    for place, row in _metrics_of(evaluate):
        if row.of_numbers is None:
            yield f"{place}: {not_of_numbers(row.name)}"
    for name, limit in evaluate.satisficing.items():
        if limit.metric.name == "slice_error":
            yield (
                f"satisficing.{name}: slice_error is a share of misclassified images, and with problem regression an "
                "image has a number: remove this limit"
            )


def _train_of_classes(train: Any) -> Iterator[str]:
    if problem := baseline_problem(train.model.name, False):
        yield problem
    if LOSSES.of(train.loss).of_errors is not None:
        yield f"loss {train.loss.name} is about numbers (problem regression): take {one_or_other(losses_for(False))}"


def _evaluate_of_classes(evaluate: Any) -> Iterator[str]:
    for place, row in _metrics_of(evaluate):
        if row.of_numbers is not None:
            yield f"{place}: {of_numbers_alone(row.name)}"


def _diagnose_of_shares(diagnose: Any) -> Iterator[str]:
    if diagnose.human_error != "measured" and diagnose.human_error > 1:
        yield f"human_error must be at most 1, got {diagnose.human_error:g}: it is a share of images"
    if diagnose.relevant_gap >= 1:
        yield f"relevant_gap must be below 1, got {diagnose.relevant_gap:g}: it is a difference of shares of images"


OF_CLASSES: Mapping[str, Rules] = {
    "train": _train_of_classes,
    "evaluate": _evaluate_of_classes,
    "diagnose": _diagnose_of_shares,
}
OF_LABELS: Mapping[str, Rules] = {
    "balance": _balance_of_labels,
    "augment": _augment_of_labels,
    "train": _train_of_labels,
    "evaluate": _evaluate_of_labels,
    "diagnose": _diagnose_of_shares,
}
OF_NUMBERS: Mapping[str, Rules] = {
    "balance": _balance_of_numbers,
    "augment": _augment_of_numbers,
    "train": _train_of_numbers,
    "evaluate": _evaluate_of_numbers,
}
