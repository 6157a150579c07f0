"""Choices for a new project that differ where images have several labels, or a number each."""

import math
from collections.abc import Mapping, Sequence

from pipeline.project.params_template import Choice

# What people call an image that has none of the labels.
NO_LABELS = {"none", "nothing", "no", "empty", "background", "negative", "normal", "no finding", "no label", "(none)"}


def of_labels(chosen: Sequence[Choice], classes: Sequence[str]) -> list[Choice]:
    """The choices that differ where images may have several labels: the problem, the metric, and no balancing."""
    none = next((name for name in classes if name.casefold() in NO_LABELS), None)
    why = (
        "some images have several labels"
        if none is None
        else f"some have several labels, and {none} means none of them"
    )
    problem = Choice("problem", {"name": "multi_label", "none": none}, why)
    balance = Choice("balance.strategy", {"name": "none"}, "an image with several labels repeats all of them")
    metric = Choice("evaluate.optimizing", "macro_f1", "each label counts alike; see docs/multi_label.md for others")
    made = []
    for choice in chosen:
        if choice.place == "evaluate.satisficing":
            made.append(metric)
        if choice.place.startswith(("split", "balance")) and problem not in made:
            made.append(problem)
        made.append(balance if choice.place == "balance.strategy" else choice)
    return made


def of_numbers(chosen: Sequence[Choice], numbers: Mapping[float, int]) -> list[Choice]:
    """The choices that differ where images have numbers: problem, loss, metric and limits, and no balancing."""
    values, images = list(numbers), sum(numbers.values())
    mean = sum(value * numbers[value] for value in values) / images
    spread = math.sqrt(sum((value - mean) ** 2 * numbers[value] for value in values) / images)
    small = float(f"{0.05 * (spread or 1.0):.1g}")
    why = f"labels are numbers from {min(values):g} to {max(values):g}, with a standard deviation of {spread:.3g}"
    limits = next(choice for choice in chosen if choice.place == "evaluate.satisficing")
    megabytes = {name: limit for name, limit in limits.value.items() if name == "model_megabytes"}
    unit = "in the unit of your numbers"
    changed = {
        "balance.strategy": Choice("balance.strategy", {"name": "none"}, "there are no classes to even out"),
        "augment.transforms": Choice(
            "augment.transforms",
            [{"preset": "light"}],
            "gentle; a variant must keep the number of its image, so leave out what changes it, such as brightness",
            "{preset: light}, photo, document or digits; or a list of albumentations' transforms with their arguments",
        ),
        "evaluate.satisficing": Choice("evaluate.satisficing", megabytes, limits.why.rpartition(". ")[2]),
        "diagnose.human_error": Choice("diagnose.human_error", small, f"{unit}: a guess until you measure it"),
    }
    left_out = {"split.min_per_class", "split.expected_accuracy", "split.one_sided_classes"}
    made: list[Choice] = []
    for choice in chosen:
        if choice.place.startswith("split") and not any(one.place == "problem" for one in made):
            made.append(Choice("problem", {"name": "regression"}, why))
        if choice.place == "evaluate.satisficing":
            made.append(
                Choice("train.loss", {"name": "squared_error"}, "images have numbers; huber bears wrong ones better")
            )
            made.append(Choice("evaluate.optimizing", "mean_absolute_error", unit))
        if choice.place not in left_out:
            made.append(changed.get(choice.place, choice))
    losses = [{"name": "squared_error"}, {"name": "huber", "delta": 1.0}]
    space = {
        "train.learning_rate": {"name": "log", "low": 0.0003, "high": 0.03},
        "train.loss": {"name": "choice", "values": losses},
    }
    made.append(Choice("tune.space", space, "numbers have no labels to smooth, and huber bears wrong ones better"))
    return [*made, Choice("diagnose.relevant_gap", small, f"{unit}: about a twentieth of their standard deviation")]
