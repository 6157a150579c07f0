"""Errors of human level, train, train_dev and dev -> gaps, verdicts, and what to try next.

The scheme is Andrew Ng's (Machine Learning Yearning, ch. 40-43): avoidable bias is train's error
above human level, variance is train_dev's above train's, data mismatch is dev's above train_dev's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.core.evaluate.bootstrap import interval
from pipeline.core.evaluate.judged import classes_of, judged
from pipeline.core.evaluate.optimizing import MINIMISED, Metric, metric_of
from pipeline.core.manifest import DEV, SEEN_SPLITS, TRAIN, TRAIN_DEV
from pipeline.errors import DataError, listing
from pipeline.params import (
    MOST_COPIES,
    MOST_WIDTH,
    AdamW,
    AugmentParams,
    Baseline,
    DiagnoseParams,
    EvaluateParams,
    MobileNetV2,
    Model,
    Network,
    PerImage,
    Plain,
    SplitParams,
    TrainParams,
)

Verdict = Literal["present", "absent", "cannot tell"]
BIAS, VARIANCE, MISMATCH = "avoidable_bias", "variance", "data_mismatch"
# gap -> (the level with more error, the level with less); None is human level.
LEVELS: Mapping[str, tuple[str, str | None]] = {
    BIAS: (TRAIN, None),
    VARIANCE: (TRAIN_DEV, TRAIN),
    MISMATCH: (DEV, TRAIN_DEV),
}


@dataclass(frozen=True)
class Errors:
    """The error of a split as a share, and its bootstrap values, shape (resamples,)."""

    value: float
    resampled: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gap:
    """A difference of two errors (shares), its 95 % interval, and what to make of it."""

    name: str
    value: float
    low: float
    high: float
    verdict: Verdict


def errors_of_splits(predictions: pd.DataFrame, params: EvaluateParams) -> dict[str, Errors]:
    """What the metric of errors lacks of 1, on train, train_dev and dev.

    Raises:
        DataError: a split has no predictions.
    """
    missing = [split for split in SEEN_SPLITS if not (predictions["split"] == split).any()]
    if missing:
        raise DataError(f"no predictions of {listing(missing)}: run `dvc repro evaluate`")
    classes = classes_of(predictions)
    metric = metric_of_errors(params, classes)
    errors = {}
    for split in SEEN_SPLITS:
        part = predictions[predictions["split"] == split]
        seen = judged(part, classes)
        resampled = metric.resampled(seen, part["group"], params.bootstrap, params.seed, split)
        errors[split] = Errors(1 - metric.value(seen), 1 - resampled)
    return errors


def metric_of_errors(params: EvaluateParams, classes: tuple[str, ...]) -> Metric:
    """The optimizing metric; accuracy if that is minimised: a loss or a cost is no share of human errors."""
    minimised = params.optimizing.name in MINIMISED
    return metric_of(Plain(name="accuracy") if minimised else params.optimizing, classes)


def find_gaps(errors: Mapping[str, Errors], params: DiagnoseParams) -> list[Gap]:
    """Avoidable bias, variance and data mismatch, the largest first.

    A gap is present when it is at least `relevant_gap` and its interval lies above 0, absent when its
    interval lies below `relevant_gap`, and otherwise the data cannot tell.
    """
    gaps = []
    for name, (upper, lower) in LEVELS.items():
        below = Errors(params.human_error, np.array([params.human_error])) if lower is None else errors[lower]
        value = errors[upper].value - below.value
        low, high = interval(errors[upper].resampled - below.resampled)
        gaps.append(Gap(name, value, low, high, _verdict(value, low, high, params.relevant_gap)))
    return sorted(gaps, key=lambda gap: (gap.verdict != "present", -gap.value))


def sentence(gaps: Sequence[Gap]) -> str:
    """The diagnosis, the largest gap first."""
    present = [gap for gap in gaps if gap.verdict == "present"]
    unclear = [gap for gap in gaps if gap.verdict == "cannot tell"]
    named = [f"{_words(gap)} of {100 * gap.value:.1f} points ({_interval(gap)})" for gap in present]
    unknown = [f"{_words(gap)} ({_interval(gap)})" for gap in unclear]
    sentences = [
        f"{_joined(named)}." if named else "",
        f"too few images to tell about {_joined(unknown)}." if unknown else "",
        "" if named or unknown else "nothing stands out: every gap is smaller than is worth work.",
    ]
    return " ".join(words[0].upper() + words[1:] for words in sentences if words)


def page(
    errors: Mapping[str, Errors],
    gaps: Sequence[Gap],
    steps: Sequence[str],
    params: DiagnoseParams,
    evaluate: EvaluateParams,
) -> str:
    """The diagnosis in Markdown: what holds the model back, what to try next, and the figures."""
    advice = (
        ["Try next:", *(f"- {step}" for step in steps)]
        if steps
        else ["Nothing to try from here. Once you mean to use the model, look at test: `dvc repro final/dvc.yaml`."]
    )
    name = evaluate.optimizing.name
    meaning = [f"Errors are 1 - accuracy: {name} is no share of images.", ""] if name in MINIMISED else []
    return "\n".join([sentence(gaps), "", *advice, "", *meaning, *levels_table(errors, gaps, params), ""])


def levels_table(errors: Mapping[str, Errors], gaps: Sequence[Gap], params: DiagnoseParams) -> list[str]:
    """Lines of a Markdown table: the error levels from human to dev, and the gap above each."""
    by_upper = {LEVELS[gap.name][0]: gap for gap in gaps}
    lines = ["| level | error | gap to the level above it | 95 % interval | verdict |", "|---|---|---|---|---|"]
    lines.append(f"| human | {params.human_error:.2%} | | | |")
    for split in SEEN_SPLITS:
        gap = by_upper[split]
        lines.append(
            f"| {split} | {errors[split].value:.2%} | {_words(gap)}: {100 * gap.value:.1f} points "
            f"| {100 * gap.low:.1f} to {100 * gap.high:.1f} | {gap.verdict} |"
        )
    return lines


def next_steps(gaps: Sequence[Gap], split: SplitParams, augment: AugmentParams, train: TrainParams) -> list[str]:
    """Experiments to run, as commands, for the gaps that are present; the largest gap's first.

    What each gap asks for: Machine Learning Yearning, ch. 25 (bias), 27 (variance) and 42 (mismatch).
    What this run already does is not proposed again.
    """
    copies = augment.copies.count if isinstance(augment.copies, PerImage) else None
    more = min(2 * copies or 1, MOST_COPIES) if copies is not None else None
    proposals = {
        BIAS: [
            *_larger(train.model),
            f"dvc exp run -S train.epochs={2 * train.epochs}" if isinstance(train.model, Network) else None,
        ],
        VARIANCE: [
            f"dvc exp run -S augment.copies.count={more}" if augment.transforms and more != copies else None,
            *_smaller(train),
            "collect more images for training",
        ],
        MISMATCH: [
            "dvc exp run -S split.production_in_train=1.0" if split.production_in_train < 1 else None,
            "look at dev's errors: what do they have that the training images lack?",
            "collect more production images for training",
        ],
    }
    return [step for gap in gaps if gap.verdict == "present" for step in proposals[gap.name] if step is not None]


def _larger(model: Model) -> list[str]:
    """Steps that let a model learn more from the same images."""
    if isinstance(model, Baseline):
        return ["try a network: `pipeline spot-check` ranks all models on dev"]
    if isinstance(model, MobileNetV2):
        return ["dvc exp run -S train.model.frozen=false"] if model.frozen else []
    wider, dropout = min(2 * model.width, MOST_WIDTH), model.dropout.blocks
    return [
        *([f"dvc exp run -S train.model.width={wider}"] if wider > model.width else []),
        *([f"dvc exp run -S train.model.dropout.blocks={dropout / 2:g}"] if dropout else []),
    ]


def _smaller(train: TrainParams) -> list[str]:
    """Steps that keep a network from learning the images by heart."""
    model = train.model
    if isinstance(model, Baseline):
        return []
    where = "head" if isinstance(model, MobileNetV2) else "blocks"
    dropout = model.dropout.head if isinstance(model, MobileNetV2) else model.dropout.blocks
    more = f"dvc exp run -S train.model.dropout.{where}={min(0.5, dropout + 0.25):g}"
    return [*([more] if dropout < 0.5 else []), _more_decay(train)]


def _more_decay(train: TrainParams) -> str:
    if isinstance(train.optimizer, AdamW):
        return f"dvc exp run -S train.optimizer.weight_decay={10 * train.optimizer.weight_decay or 0.01:g}"
    return f"dvc exp run -S train.l2={10 * train.l2 or 0.0001:g}"


def _verdict(value: float, low: float, high: float, relevant: float) -> Verdict:
    if value >= relevant and low > 0:
        return "present"
    return "absent" if high < relevant else "cannot tell"


def _words(gap: Gap) -> str:
    return gap.name.replace("_", " ")


def _interval(gap: Gap) -> str:
    return f"95 % interval {100 * gap.low:.1f} to {100 * gap.high:.1f}"


def _joined(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
