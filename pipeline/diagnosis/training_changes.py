"""Changes of the params of models and training: what a run has now -> place in params.yaml and new value."""

import re

from pipeline.diagnosis.param_changes import DROPPED, Changes, value_of
from pipeline.diagnosis.run import Run
from pipeline.models.network import Network
from pipeline.models.networks import NETWORKS
from pipeline.training.optimizers import OPTIMIZERS

# A label that the command line of DVC takes without quotes, and YAML for a text.
PLAIN_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
NO_TEXTS = {"null", "true", "false", "yes", "no", "on", "off", "nan", "inf"}
# AdamW's learning rate that fine-tuning begins with, at most.
FINE_TUNING_RATE = 0.0003
# Units of a first hidden fully connected layer.
HIDDEN_UNITS = 128
# Networks that an ensemble of seeds begins with.
SEEDS = 4


def wider(run: Run) -> Changes:
    """About four times the weights: twice the channels, whose square counts, or four times the units.

    One step should tell. Twice the units of a narrow layer is within what another start of the weights does.
    """
    model = run.train.model
    wider_width = NETWORKS.of(model).wider if isinstance(model, Network) else None
    return None if wider_width is None else {"train.model.width": wider_width(value_of(model, "width"))}


def deeper(run: Run) -> Changes:
    """One block more."""
    depth = value_of(run.train.model, "depth")
    return None if depth is None else {"train.model.depth": depth + 1}


def hidden_layer(run: Run) -> Changes:
    """A hidden fully connected layer before the output layer, where there could be one and is none."""
    return {"train.model.dense": [HIDDEN_UNITS]} if value_of(run.train.model, "dense") == [] else None


def focal(run: Run) -> Changes:
    """The focal loss at its authors' gamma instead of cross entropy."""
    if not run.network or run.train.loss.name != "cross_entropy":
        return None
    return {"train.loss.name": "focal", "train.loss.gamma": 2.0}


def cost_sensitive(run: Run) -> Changes:
    """A loss by the costs of the metric, where the metric has costs and the loss does not know them."""
    loss = run.train.loss
    if not run.network or run.evaluate.optimizing.name != "mean_cost" or loss.name == "cost_sensitive":
        return None
    gone = {f"train.loss.{name}": DROPPED for name in type(loss).model_fields if name != "name"}
    return {**gone, "train.loss.name": "cost_sensitive", "train.loss.strength": 1.0}


def longer(run: Run) -> Changes:
    """Twice the epochs, unless training ended before those that there are."""
    return {"train.epochs": 2 * run.train.epochs} if run.network and not run.stopped_early else None


def less_dropout(run: Run) -> Changes:
    """Half the dropout after blocks."""
    share = value_of(run.train.model, "dropout", "blocks")
    return None if share is None else {"train.model.dropout.blocks": share / 2}


def no_penalty(run: Run) -> Changes:
    """Neither L1 nor L2, nor a mixing of images."""
    return {"train.l1": 0.0, "train.l2": 0.0} if run.network else None


def batch_norm(run: Run) -> Changes:
    """Batch norm where there is none."""
    return None if value_of(run.train.model, "batch_norm") is None else {"train.model.batch_norm": True}


def adamw(run: Run) -> Changes:
    """AdamW at its usual rate instead of an optimizer that it often beats."""
    optimizer = run.train.optimizer
    if not run.network or not OPTIMIZERS.of(optimizer).adam_is_next:
        return None
    gone = {f"train.optimizer.{name}": DROPPED for name in type(optimizer).model_fields if name != "name"}
    new = {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.01}
    return {**gone, **{f"train.optimizer.{name}": value for name, value in new.items()}, "train.learning_rate": 0.001}


def residual(run: Run) -> Changes:
    """An architecture that can learn more: residual blocks instead of single ones, say."""
    model = run.train.model
    instead = NETWORKS.of(model).instead if isinstance(model, Network) else None
    if instead is None:
        return None
    known = NETWORKS[instead["name"]].params.model_fields
    gone = {f"train.model.{name}": DROPPED for name in type(model).model_fields if name not in known}
    return {**gone, **{f"train.model.{name}": value for name, value in instead.items()}}


def thaw(run: Run) -> Changes:
    """All layers of a pretrained network are trained."""
    model = run.train.model
    if value_of(model, "trained") in ("head", "last"):
        # At the rate of an output layer alone, other layers would lose what they know.
        share = value_of(model, "backbone_rate")
        most = rounded(FINE_TUNING_RATE / share)
        slower = {"train.learning_rate": most} if run.train.learning_rate > 1.01 * most else {}
        return {"train.model.trained": "all", **slower}
    return None if value_of(model, "frozen") is None else {"train.model.frozen": False}


def more_dropout(run: Run) -> Changes:
    """A quarter more, up to a half."""
    model = run.train.model
    for where in ("blocks", "head"):
        now = value_of(model, "dropout", where)
        if now is not None:
            return {f"train.model.dropout.{where}": max(min(0.5, now + 0.25), now)}
    return None


def more_decay(run: Run) -> Changes:
    """Ten times the optimizer's own weight decay, or the L2 of those that have none."""
    if not run.network:
        return None
    decay = value_of(run.train.optimizer, "weight_decay")
    if decay is not None:
        return {"train.optimizer.weight_decay": 10 * decay or 0.01}
    return {"train.l2": 10 * run.train.l2 or 0.0001}


def mixup(run: Run) -> Changes:
    """Mixup, if nothing is mixed."""
    if not run.network or run.train.mixing.name != "none":
        return None
    return {"train.mixing.name": "mixup", "train.mixing.alpha": 0.2}


def average_weights(run: Run) -> Changes:
    """The moving average of the weights, where one network is all."""
    if not run.network or run.train.ensemble.name != "none" or run.train.unlabelled.name != "none":
        return None
    return {"train.ensemble.name": "average_weights", "train.ensemble.method": {"name": "ema", "decay": 0.99}}


def several_seeds(run: Run) -> Changes:
    """Networks of several seeds, of which those are taken that help; behind frozen layers they would be alike."""
    model = run.train.model
    frozen = value_of(model, "trained") == "head" or value_of(model, "frozen") is True
    taken = run.train.ensemble.name != "none" or run.train.unlabelled.name != "none"
    if not run.network or frozen or taken:
        return None
    return {"train.ensemble.name": "voting", "train.ensemble.members": [{}], "train.ensemble.seeds": SEEDS}


def learn_unlabelled(run: Run) -> Changes:
    """Labels spread to images without one; a network whose layers are all trained learns from their variants instead.

    Where there are at least half as many as labelled ones: fewer can tell little.
    """
    labelled = sum((run.images or {}).values())
    if (
        run.train.unlabelled.name != "none"
        or run.train.ensemble.name != "none"
        or not run.unlabelled
        or 2 * run.unlabelled < labelled
    ):
        return None
    head_alone = value_of(run.train.model, "trained") == "head" or value_of(run.train.model, "frozen") is True
    return {"train.unlabelled.name": "consistency" if run.network and not head_alone else "pseudo_labels"}


def lower_rate(run: Run) -> Changes:
    """A third of the learning rate."""
    return {"train.learning_rate": rounded(run.train.learning_rate / 3)} if run.network else None


def higher_rate(run: Run) -> Changes:
    """Three times the learning rate."""
    return {"train.learning_rate": rounded(3 * run.train.learning_rate)} if run.network else None


def much_higher_rate(run: Run) -> Changes:
    """Thirty times the learning rate, if that is a rate still."""
    rate = rounded(30 * run.train.learning_rate)
    return {"train.learning_rate": rate} if run.network and rate <= 1 else None


def smaller_batches(run: Run) -> Changes:
    """A quarter of the batch, so four times the steps of an epoch."""
    return {"train.batch_size": run.train.batch_size // 4} if run.network and run.train.batch_size > 16 else None


def no_patience(run: Run) -> Changes:
    """Training runs through all of its epochs."""
    return {"train.patience": None} if run.network and run.train.patience is not None else None


def keep_last(run: Run) -> Changes:
    """The weights of the last epoch."""
    return {"train.keep": "last"} if run.network else None


def momentum(run: Run) -> Changes:
    """The usual momentum where there is none."""
    return {"train.optimizer.momentum": 0.9} if value_of(run.train.optimizer, "momentum") == 0 and run.network else None


def clip(run: Run) -> Changes:
    """Gradients no longer than 1, if they may have any length."""
    return {"train.clip_norm": 1.0} if run.network and run.train.clip_norm is None else None


def keep_best(run: Run) -> Changes:
    """The weights of the best epoch, not of the last."""
    return {"train.keep": "best"} if run.network else None


def weigh_class(run: Run) -> Changes:
    """Twice the weight of the failing class in the loss."""
    label = run.failing
    if label is None or PLAIN_LABEL.fullmatch(label) is None or label.lower() in NO_TEXTS:
        return None
    return {f"train.class_weights.{label}": 2 * run.train.class_weights.get(label, 1.0)}


def weigh_small_class(run: Run) -> Changes:
    """The same, if the failing class is smaller in train than classes are on average, and predicted too seldom."""
    counts = run.counts or {}
    small = counts.get(run.failing or "", 0) * len(counts) < sum(counts.values())
    return weigh_class(run) if small and run.seldom_small is not False else None


def focal_for_small(run: Run) -> Changes:
    """The focal loss, unless small classes are predicted too often already."""
    return None if run.seldom_small is False else focal(run)


def smoothing(run: Run) -> Changes:
    """Some label smoothing for a model that is too sure."""
    return {"train.label_smoothing": max(run.train.label_smoothing, 0.1)} if run.network and run.bold else None


def no_smoothing(run: Run) -> Changes:
    """No label smoothing for a model that is too unsure."""
    return {"train.label_smoothing": 0.0} if run.network and run.bold is False else None


def rounded(rate: float) -> float:
    """A rate to two digits."""
    return float(f"{rate:.2g}")
