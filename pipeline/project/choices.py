"""Values for a new project's params, from what was seen of its sources; each with the reason."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pipeline.errors import ParamsError, listing
from pipeline.project.choices_by_problem import of_labels, of_numbers
from pipeline.project.inspect_sources import SourceSeen
from pipeline.project.label_files import SEPARATORS, has_several
from pipeline.project.model_choice import BACKBONE, ModelChoice, model_choice, model_name
from pipeline.project.params_template import Choice
from pipeline.project.picture_choices import picture_choices, size_choice
from pipeline.project.pretrained_trial import pretrained_trial
from pipeline.project.seen import NUMBER, Seen
from pipeline.transforms.presets import PRESETS

# Rows an epoch that are no wait on two cores.
MANY_ROWS = 20_000
# Of images of dev in the smallest class: with fewer, one or two of them decide whether a recall of 0.5 is held.
MIN_FOR_RECALL = 5
# Training images from which on a network from scratch may learn small pictures as well as a pretrained one knows them:
# a guess, because such large sets of small photos were not measured.
MANY_FOR_SCRATCH = 20_000
# Names of classes that a mirror image, or a turn, makes another one.
SIDES = ("left", "right", "links", "rechts", "arrow", "sign", "turn", "clock")
PAGES = ("invoice", "letter", "form", "receipt", "memo", "page", "scan", "document", "email", "resume", "handwritten")


@dataclass(frozen=True)
class Overrides:
    """What the command line chose instead."""

    size: int | None = None
    model: str | None = None
    preset: str | None = None


def choose(seen: Seen, overrides: Overrides) -> list[Choice]:
    """The params that fit, in the order of the file.

    Raises:
        ParamsError: an override names what there is not.
    """
    raw, production = seen.counts("raw"), seen.counts("production")
    if seen.numbers is not None:
        # Numbers are no classes: what is chosen by the sizes of classes sees one.
        raw, production = (Counter({NUMBER: one.total()} if one else {}) for one in (raw, production))
    preset = _preset(seen, overrides.preset)
    size = size_choice(seen, overrides.size, overrides.model)
    shares = _shares(raw.total(), production.total())
    train = raw + Counter({label: math.ceil(count * shares["train"]) for label, count in production.items()})
    training_set, rows = _training_set(train, preset)
    begins_with, why = _model_that_fits(seen, size.value, train.total(), overrides.model)
    model = model_choice(size.value, rows, begins_with, why)
    chosen = [
        Choice(
            "sources", _sources(seen.sources), "; ".join(f"{one.name}: {one.why}" for one in seen.sources if one.why)
        ),
        size,
        *picture_choices(seen, size.value, pretrained=begins_with == BACKBONE),
        *_split(raw, production, shares, train.total()),
        *training_set,
        *model.choices,
        *_limits(production, shares, model),
        Choice("diagnose.human_error", 0.02, "a guess until you measure it: see feedback/README.md"),
    ]
    if seen.numbers is not None:
        return of_numbers(chosen, seen.numbers)
    return of_labels(chosen, seen.classes) if seen.several else chosen


def _model_that_fits(seen: Seen, size: int, train: int, wanted: str | None) -> tuple[str | None, str]:
    """The model that a trial on some images speaks for, and why; None where its answer is the usual one, or unclear.

    Args:
        size, train: pixels per side, and training images.
    """
    trial = pretrained_trial([source.pictures for source in seen.sources]) if wanted is None else None
    if trial is None:
        return wanted, ""
    usual = model_name(size, None)
    if trial.gains and usual != BACKBONE and train <= MANY_FOR_SCRATCH:
        return BACKBONE, trial.words
    if trial.loses and usual == BACKBONE:
        return "cnn", trial.words
    return None, ""


def _sources(sources: Sequence[SourceSeen]) -> dict[str, Any]:
    found: dict[str, Any] = {one.name: dict(one.source) for one in sources}
    tables = [one["labels"] for one in found.values() if one.get("labels", {}).get("name") == "table"]
    separator = next((labels["separator"] for labels in tables if "separator" in labels), None)
    exports = [one["labels"] for one in found.values() if one.get("labels", {}).get("name") == "label_studio"]
    if separator is not None or any(has_several(labels) for labels in exports):
        # A table in which no image has two labels must say so as well.
        for labels in tables:
            labels.setdefault("separator", separator or SEPARATORS[0])
        for labels in exports:
            labels["several_choices"] = "keep"
    return found


def _shares(raw: int, production: int) -> dict[str, float]:
    if raw and production < 1000:
        return {"train": 0.3, "dev": 0.35, "test": 0.35}
    if raw or production < 1000:
        return {"train": 0.5, "dev": 0.25, "test": 0.25}
    return {"train": 0.6, "dev": 0.2, "test": 0.2} if production < 10_000 else {"train": 0.8, "dev": 0.1, "test": 0.1}


def _split(raw: Counter[str], production: Counter[str], shares: Mapping[str, float], train: int) -> list[Choice]:
    dev = production.total() * shares["dev"]
    # Half of the 95 % interval of an accuracy of 90 %.
    half = 196 * math.sqrt(0.09 / dev)
    told = f"dev has about {dev:,.0f} images: an accuracy of 90 % has an interval of about {half:.0f} points either way"
    few = "too few to tell small differences; add production images" if half > 4 else ""
    least = min(production.values())
    minimum = max(1, min(5, (least - 1) // 3))
    share = min(0.2, max(0.05, math.ceil(100 * 300 / train) / 100))
    choices = [
        Choice("split.production", dict(shares), "; ".join(filter(None, [told, few]))),
        Choice("split.train_dev", share, f"about {share * train:,.0f} of {train:,} images"),
        Choice("split.min_per_class", minimum, f"the smallest class has {least:,} production images"),
        Choice("split.expected_accuracy", 0.9),
    ]
    one_sided = sorted(raw.keys() ^ production.keys()) if raw else []
    if one_sided:
        why = (
            f"{listing(one_sided)}: only raw or only production images. The model is trained on all, and "
            "measured on those with production images"
        )
        choices.insert(3, Choice("split.one_sided_classes", "train", why))
    return choices


def _training_set(train: Counter[str], preset: Choice) -> tuple[list[Choice], int]:
    """Balance and variants so that an epoch ends in time; and its rows, about."""
    rows, largest, smallest = train.total(), max(train.values()), min(train.values())
    repeated = largest * len(train)
    copies = 3 if rows < 1000 else 1
    ratio = largest / max(smallest, 1)
    counts = f"the largest class has about {ratio:.1f} times the images of the smallest"
    strategy: dict[str, Any]
    if ratio < 1.5:
        strategy, why, rows_balanced = {"name": "none"}, counts, rows
    elif repeated * (1 + copies) <= min(MANY_ROWS, 3 * rows * (1 + copies)) and repeated <= 2 * rows:
        strategy, rows_balanced = {"name": "oversample", "target": {"name": "majority"}}, repeated
        why = f"{counts}: repeats make about {repeated:,} rows of {rows:,}"
    else:
        strategy, rows_balanced = {"name": "weights"}, rows
        why = f"{counts}: repeats would make {repeated:,} rows of {rows:,}, weights add none"
    choices = [Choice("balance.strategy", strategy, why)]
    total = rows_balanced * (1 + copies)
    if total > MANY_ROWS:
        why = f"{rows_balanced:,} rows: stored variants would make {total:,}, and an epoch would take long"
        choices += [Choice("augment.mode", "online", why), Choice("augment.copies", {"name": "per_image", "count": 0})]
        return [*choices, preset], rows_balanced
    choices.append(Choice("augment.copies", {"name": "per_image", "count": copies}, f"about {total:,} rows per epoch"))
    return [*choices, preset], total


def _preset(seen: Seen, wanted: str | None) -> Choice:
    if wanted is not None and wanted not in PRESETS:
        raise ParamsError(f"--preset {wanted}: it must be one of {', '.join(PRESETS)}")
    name, why = (wanted, "as --preset says") if wanted is not None else _preset_that_fits(seen)
    comment = "{preset: light}, photo, document or digits; or a list of albumentations' transforms with their arguments"
    return Choice("augment.transforms", [{"preset": name}], why, comment)


def _preset_that_fits(seen: Seen) -> tuple[str, str]:
    labels = [label.lower() for label in seen.classes]
    facts = [source.facts for source in seen.sources]
    gray, paper = (median(getattr(one, which) for one in facts) for which in ("gray", "paper"))
    if all(label.isdigit() for label in labels) and gray > 0.5:
        return "digits", "the classes are numbers, and the images have no colours; this preset mirrors nothing"
    if any(word in label for label in labels for word in PAGES) or (gray > 0.5 and paper > 0.5):
        return "document", "these look like pages or forms; this preset never mirrors text"
    if all(len(label) <= 2 for label in labels):
        return "light", "the classes may be signs or letters, and a mirror image can change them"
    if any(word in label for label in labels for word in SIDES):
        return "light", "the names of the classes suggest sides or signs, and a mirror image can change them"
    return "photo", "photos of things that may be mirrored; if yours may not, use light"


def _limits(production: Counter[str], shares: Mapping[str, float], model: ModelChoice) -> list[Choice]:
    smallest = min(production.values()) * shares["dev"]
    limits: dict[str, Any] = {
        "worst_class_recall": {"metric": "worst_class_recall", "min": 0.5, "max": None},
        "model_megabytes": {"metric": "model_megabytes", "min": None, "max": model.max_megabytes},
    }
    why = "a first limit; raise it when a model reaches it"
    if smallest < MIN_FOR_RECALL:
        del limits["worst_class_recall"]
        images = f"{max(smallest, 1):.0f} image{'s' * (round(smallest) > 1)}"
        why = f"dev has about {images} of the smallest class: too few for a limit on the recall of each class"
    elif smallest < 20:
        why = f"dev has about {smallest:.0f} images of the smallest class: a recall of 5 in 10 is all that shows"
    why += f". {model.why_megabytes}"
    return [Choice("evaluate.satisficing", limits, why)]
