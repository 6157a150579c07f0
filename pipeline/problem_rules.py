"""Params that need one class per image, so they are invalid where an image may have several labels.

Each rule is a sentence that says why, and what to write instead.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import without_meaning
from pipeline.models.baselines import BASELINES
from pipeline.problem import is_multi_label
from pipeline.problem_params import Problem
from pipeline.training.unlabelled import FROM_LABELLED_ALONE


def broken_rules(problem: Problem | None, name: str, section: Any) -> list[str]:
    """The rules that a section of params breaks for this problem, a sentence each.

    Args:
        name: of the section, such as train; of sections that no rule is about, nothing is broken.
    """
    several = is_multi_label(problem)
    if name == "sources":
        return list(_sources(section, several))
    rules = RULES.get(name) if several else None
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


def _balance(balance: Any) -> Iterator[str]:
    if balance.strategy.name != "none":
        yield (
            f"strategy {balance.strategy.name} evens out classes of which an image has one; a repeated image would "
            "repeat all of its labels. With problem multi_label, set it to {name: none}"
        )


def _augment(augment: Any) -> Iterator[str]:
    if augment.copies.name != "per_image":
        yield (
            f"copies {augment.copies.name} counts images by class, and with problem multi_label an image may have "
            "several labels: use {name: per_image, count: N}"
        )


def _train(train: Any) -> Iterator[str]:
    if train.model.name in BASELINES:
        yield baseline_has_one_class(train.model.name)
    if train.loss.name != "cross_entropy":
        yield (
            f"loss {train.loss.name} needs one class per image: with problem multi_label, use {{name: cross_entropy}}, "
            "which is then the binary cross entropy of each label"
        )
    if train.unlabelled.name != "none":
        yield (
            f"unlabelled {train.unlabelled.name} gives each image without a label one class, and with problem "
            "multi_label an image may have several labels: set it to {name: none}"
        )
    if train.class_weights:
        yield (
            "class_weights weigh images by their class, and with problem multi_label an image may have several labels: "
            "set it to {}"
        )
    if train.unlabelled.name != FROM_LABELLED_ALONE:
        yield (
            f"unlabelled {train.unlabelled.name} gives each image one class: with problem multi_label, set it to "
            "{name: none}"
        )


def baseline_has_one_class(model: str) -> str:
    """What to say of a baseline that is to learn several labels."""
    return (
        f"model {model} gives each image one class: with problem multi_label, take a network, such as cnn, resnet or "
        "efficientnet_lite0"
    )


def _evaluate(evaluate: Any) -> Iterator[str]:
    metrics = {"optimizing": evaluate.optimizing}
    metrics |= {f"satisficing.{name}": limit.metric for name, limit in evaluate.satisficing.items()}
    for place, metric in metrics.items():
        row = METRICS.get(metric.name)
        if row is not None and row.of_labels is None and row.of_sets is None:
            yield f"{place}: {without_meaning(metric.name)}"


RULES: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "balance": _balance,
    "augment": _augment,
    "train": _train,
    "evaluate": _evaluate,
}
