"""Changes of params that advice stands for: what a run has now -> place in params.yaml and new value.

None: the change is not for this run. What changes nothing, or breaks a rule of params, need not be
looked for here: steps.py leaves it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.params import (
    MOST_COPIES,
    MOST_WIDTH,
    AdamW,
    AugmentParams,
    Baseline,
    MobileNetV2,
    Network,
    PerImage,
    SplitParams,
    TrainParams,
)

Changes = Mapping[str, Any] | None


@dataclass(frozen=True)
class Run:
    """The params of a run that advice may change."""

    split: SplitParams
    augment: AugmentParams
    train: TrainParams


def wider(run: Run) -> Changes:
    """Twice the channels."""
    model = run.train.model
    if isinstance(model, Baseline | MobileNetV2):
        return None
    return {"train.model.width": min(2 * model.width, MOST_WIDTH)}


def longer(run: Run) -> Changes:
    """Twice the epochs."""
    return {"train.epochs": 2 * run.train.epochs} if isinstance(run.train.model, Network) else None


def less_dropout(run: Run) -> Changes:
    """Half the dropout after blocks."""
    model = run.train.model
    if isinstance(model, Baseline | MobileNetV2):
        return None
    return {"train.model.dropout.blocks": model.dropout.blocks / 2}


def thaw(run: Run) -> Changes:
    """All layers of a pretrained network are trained."""
    return {"train.model.frozen": False} if isinstance(run.train.model, MobileNetV2) else None


def of_baselines(run: Run) -> Changes:
    """No change of params; the advice is for a run whose model is no network."""
    return {} if isinstance(run.train.model, Baseline) else None


def more_copies(run: Run) -> Changes:
    """Twice the variants of each image, one at least."""
    copies = run.augment.copies
    if not isinstance(copies, PerImage) or not run.augment.transforms:
        return None
    return {"augment.copies.count": min(2 * copies.count or 1, MOST_COPIES)}


def more_dropout(run: Run) -> Changes:
    """A quarter more, up to a half."""
    model = run.train.model
    if isinstance(model, Baseline):
        return None
    where, now = ("head", model.dropout.head) if isinstance(model, MobileNetV2) else ("blocks", model.dropout.blocks)
    return {f"train.model.dropout.{where}": max(min(0.5, now + 0.25), now)}


def more_decay(run: Run) -> Changes:
    """Ten times the weight decay of AdamW, or the L2 of others."""
    if isinstance(run.train.model, Baseline):
        return None
    optimizer = run.train.optimizer
    if isinstance(optimizer, AdamW):
        return {"train.optimizer.weight_decay": 10 * optimizer.weight_decay or 0.01}
    return {"train.l2": 10 * run.train.l2 or 0.0001}


def all_production(run: Run) -> Changes:
    """No production image of train's part is held back."""
    return {"split.production_in_train": 1.0}
