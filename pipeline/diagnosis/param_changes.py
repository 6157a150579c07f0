"""Changes of params that advice stands for: what a run has now -> place in params.yaml and new value.

None: the change is not for this run. What changes nothing, or breaks a rule of params, need not be
looked for here: steps.py leaves it out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.models.params import MAX_UNITS, MAX_WIDTH, Baseline, Cnn, Mlp, MobileNetV2, Network
from pipeline.stages.augment.params import MAX_COPIES, AugmentParams, PerImage
from pipeline.stages.balance.params import BalanceParams, NoBalance
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.split.params import SplitParams
from pipeline.stages.train.params import TrainParams
from pipeline.training.params import AdamW, RmsProp, Sgd

# A new value, or this for a param that goes.
DROPPED = object()
Changes = Mapping[str, Any] | None
# A label that the command line of DVC takes without quotes, and YAML for a text.
PLAIN_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
NO_TEXTS = {"null", "true", "false", "yes", "no", "on", "off", "nan", "inf"}


@dataclass(frozen=True)
class Run:
    """What a run did: its params that advice may change, and some facts.

    stopped_early: patience ended training. failing: the class that fails worst. bold: confidences are too high (None:
    nothing is wrong with them). dated: production images have times of capture.
    """

    curate: CurateParams
    split: SplitParams
    balance: BalanceParams
    augment: AugmentParams
    train: TrainParams
    evaluate: EvaluateParams
    stopped_early: bool = False
    failing: str | None = None
    bold: bool | None = None
    dated: bool = False

    @property
    def network(self) -> bool:
        """Whether the model is fitted epoch by epoch."""
        return isinstance(self.train.model, Network)


def wider(run: Run) -> Changes:
    """About four times the weights: twice the channels, whose square counts, or four times the units.

    One step should tell. Twice the units of a narrow layer is within what another start of the weights does.
    """
    model = run.train.model
    if isinstance(model, Baseline | MobileNetV2):
        return None
    width = min(4 * model.width, MAX_UNITS) if isinstance(model, Mlp) else min(2 * model.width, MAX_WIDTH)
    return {"train.model.width": width}


def deeper(run: Run) -> Changes:
    """One block more."""
    model = run.train.model
    return None if isinstance(model, Baseline | MobileNetV2) else {"train.model.depth": model.depth + 1}


def longer(run: Run) -> Changes:
    """Twice the epochs, unless training ended before those that there are."""
    return {"train.epochs": 2 * run.train.epochs} if run.network and not run.stopped_early else None


def less_dropout(run: Run) -> Changes:
    """Half the dropout after blocks."""
    model = run.train.model
    if isinstance(model, Baseline | MobileNetV2):
        return None
    return {"train.model.dropout.blocks": model.dropout.blocks / 2}


def no_penalty(run: Run) -> Changes:
    """Neither L1 nor L2, nor a mixing of images."""
    return {"train.l1": 0.0, "train.l2": 0.0} if run.network else None


def batch_norm(run: Run) -> Changes:
    """Batch norm where there is none."""
    return None if isinstance(run.train.model, Baseline | MobileNetV2) else {"train.model.batch_norm": True}


def adamw(run: Run) -> Changes:
    """AdamW at its usual rate instead of SGD or RMSProp."""
    optimizer = run.train.optimizer
    if not run.network or not isinstance(optimizer, Sgd | RmsProp):
        return None
    gone = {f"train.optimizer.{name}": DROPPED for name in type(optimizer).model_fields if name != "name"}
    new = {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.01}
    return {**gone, **{f"train.optimizer.{name}": value for name, value in new.items()}, "train.learning_rate": 0.001}


def residual(run: Run) -> Changes:
    """A network of residual blocks instead of single ones."""
    cnn = isinstance(run.train.model, Cnn)
    return {"train.model.name": "resnet", "train.model.blocks": 2} if cnn else None


def thaw(run: Run) -> Changes:
    """All layers of a pretrained network are trained."""
    return {"train.model.frozen": False} if isinstance(run.train.model, MobileNetV2) else None


def more_copies(run: Run) -> Changes:
    """Four times the variants of each image, four at least: where images are few, one more hardly shows."""
    copies = run.augment.copies
    if not isinstance(copies, PerImage) or not run.augment.transforms:
        return None
    return {"augment.copies.count": min(4 * max(copies.count, 1), MAX_COPIES)}


def first_copies(run: Run) -> Changes:
    """Variants of each image by transforms that leave most labels right."""
    if run.augment.transforms or not isinstance(run.augment.copies, PerImage):
        return None
    return {"augment.transforms": [{"preset": "light"}], "augment.copies.count": max(run.augment.copies.count, 4)}


def online(run: Run) -> Changes:
    """Variants are made while training."""
    return {"augment.mode": "online"} if run.augment.transforms and run.network else None


def more_dropout(run: Run) -> Changes:
    """A quarter more, up to a half."""
    model = run.train.model
    if isinstance(model, Baseline):
        return None
    where, now = ("head", model.dropout.head) if isinstance(model, MobileNetV2) else ("blocks", model.dropout.blocks)
    return {f"train.model.dropout.{where}": max(min(0.5, now + 0.25), now)}


def more_decay(run: Run) -> Changes:
    """Ten times the weight decay of AdamW, or the L2 of others."""
    if not run.network:
        return None
    optimizer = run.train.optimizer
    if isinstance(optimizer, AdamW):
        return {"train.optimizer.weight_decay": 10 * optimizer.weight_decay or 0.01}
    return {"train.l2": 10 * run.train.l2 or 0.0001}


def mixup(run: Run) -> Changes:
    """Mixup, if nothing is mixed."""
    if not run.network or run.train.mixing.name != "none":
        return None
    return {"train.mixing.name": "mixup", "train.mixing.alpha": 0.2}


def all_production(run: Run) -> Changes:
    """No production image of train's part is held back."""
    return {"split.production_train_fraction": 1.0}


def match_production(run: Run) -> Changes:
    """Raw images are degraded as production's camera does."""
    return {"augment.match_production": True}


def production_weight(run: Run) -> Changes:
    """A production image counts as twice as many raw ones."""
    return {"balance.production_weight": 2 * run.balance.production_weight}


def newest(run: Run) -> Changes:
    """dev and test are the production images taken last."""
    return {"split.method": "newest"} if run.dated and run.split.folds is None else None


def group_copies(run: Run) -> Changes:
    """Near copies are never split apart."""
    return {"curate.near_duplicates": "group"}


def lower_rate(run: Run) -> Changes:
    """A third of the learning rate."""
    return {"train.learning_rate": rounded(run.train.learning_rate / 3)} if run.network else None


def higher_rate(run: Run) -> Changes:
    """Three times the learning rate."""
    return {"train.learning_rate": rounded(3 * run.train.learning_rate)} if run.network else None


def clip(run: Run) -> Changes:
    """Gradients no longer than 1, if they may have any length."""
    return {"train.clip_norm": 1.0} if run.network and run.train.clip_norm is None else None


def keep_best(run: Run) -> Changes:
    """The weights of the best epoch, not of the last."""
    return {"train.keep": "best"} if run.network else None


def by_class(run: Run) -> Changes:
    """The mean of the classes' recalls as the number that ranks models."""
    simple = {*type(run.evaluate.optimizing).model_fields} == {"name"}
    return {"evaluate.optimizing": "balanced_accuracy"} if simple else None


def weigh_class(run: Run) -> Changes:
    """Twice the weight of the failing class in the loss."""
    label = run.failing
    if label is None or PLAIN_LABEL.fullmatch(label) is None or label.lower() in NO_TEXTS:
        return None
    return {f"train.class_weights.{label}": 2 * run.train.class_weights.get(label, 1.0)}


def oversample(run: Run) -> Changes:
    """Rows of small classes are repeated, if nothing is balanced."""
    if not isinstance(run.balance.strategy, NoBalance):
        return None
    return {"balance.strategy.name": "oversample", "balance.strategy.target": {"name": "majority"}}


def some_smoothing(run: Run) -> Changes:
    """Label smoothing, if there is none."""
    return {"train.label_smoothing": max(run.train.label_smoothing, 0.1)} if run.network else None


def smoothing(run: Run) -> Changes:
    """Some label smoothing for a model that is too sure."""
    return {"train.label_smoothing": max(run.train.label_smoothing, 0.1)} if run.network and run.bold else None


def no_smoothing(run: Run) -> Changes:
    """No label smoothing for a model that is too unsure."""
    return {"train.label_smoothing": 0.0} if run.network and run.bold is False else None


def rounded(rate: float) -> float:
    """A rate to two digits."""
    return float(f"{rate:.2g}")
