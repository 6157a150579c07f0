"""The table of advice: what a gap or finding asks for, in the order in which to try it, each with its source.

An entry is words, and for an experiment the change of params that it stands for (changes.py). steps.py turns
those that a run has not followed yet into commands. MLY is Andrew Ng's Machine Learning Yearning.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.diagnosis import costs
from pipeline.diagnosis import findings as found
from pipeline.diagnosis import param_changes as changes
from pipeline.diagnosis import shortcut_changes as shortcuts
from pipeline.diagnosis.gaps import BIAS, DEV_OVERFIT, MISMATCH, PRODUCTION_GAP, VARIANCE
from pipeline.diagnosis.param_changes import Changes, Run


@dataclass(frozen=True)
class Advice:
    """What to try. change: place in params.yaml -> value, None where it is not for this run; command: one to copy.

    lever: what it moves, and the way: "+" or "-" and the lever's name. Of two that move one lever in opposite ways the
    later one is left out. Of advice that is no change of params, cost: what it costs; fits: whether it can act.
    """

    words: str
    source: str
    change: Callable[[Run], Changes] | None = None
    command: str | None = None
    lever: str = ""
    cost: str | Callable[[Run], str] = ""
    fits: Callable[[Run], bool] = lambda run: True


SPOT_CHECK = "takes about ten trainings, most of them of small models"
LR_RANGE = "takes less than one training"
LEARNING_CURVE = "takes up to 30 trainings, most of them on parts of train"


def _network(run: Run) -> bool:
    return run.network


TABLE: Mapping[str, tuple[Advice, ...]] = {
    BIAS: (
        Advice("no penalty on weights", "MLY ch. 25", changes.no_penalty, lever="-regularisation"),
        Advice("momentum", "Sutskever et al. (2013)", changes.momentum),
        Advice("a wider model, which can learn more", "MLY ch. 25", changes.wider),
        Advice("train longer", "MLY ch. 25", changes.longer),
        Advice(
            "less dropout, so that the model can learn all of train",
            "MLY ch. 25",
            changes.less_dropout,
            lever="-regularisation",
        ),
        Advice("a deeper model", "MLY ch. 25", changes.deeper),
        Advice("a hidden fully connected layer", "MLY ch. 25; LeCun et al. (1998)", changes.hidden_layer),
        Advice("batch norm", "Ioffe and Szegedy (2015)", changes.batch_norm),
        Advice(
            "an optimizer that adapts the step of each weight",
            "MLY ch. 25; Loshchilov and Hutter (2019)",
            changes.adamw,
        ),
        Advice("another architecture: residual blocks", "MLY ch. 25; He et al. (2015)", changes.residual),
        Advice("train all layers, not only the last", "Yosinski et al. (2014)", changes.thaw),
        Advice(
            "another architecture: rank all models on dev", "MLY ch. 25", command="pipeline spot-check", cost=SPOT_CHECK
        ),
    ),
    VARIANCE: (
        Advice("more variants of each image", "MLY ch. 27; Shorten and Khoshgoftaar (2019)", changes.more_copies),
        Advice("a first set of gentle variants of each image", "MLY ch. 27", changes.first_copies),
        Advice(
            "learn from the production images that have no label",
            "Sohn et al. (2020); Iscen et al. (2019)",
            changes.learn_unlabelled,
        ),
        Advice("more dropout", "MLY ch. 27; Srivastava et al. (2014)", changes.more_dropout, lever="+regularisation"),
        Advice("more weight decay", "MLY ch. 27; Krogh and Hertz (1991)", changes.more_decay, lever="+regularisation"),
        Advice("blend images and their labels in pairs", "Zhang et al. (2018)", changes.mixup, lever="+regularisation"),
        Advice("new variants in each epoch", "MLY ch. 27", changes.online),
        Advice(
            "more images for training: how many, and of which role",
            "MLY ch. 27",
            command="pipeline learning-curve",
            cost=LEARNING_CURVE,
        ),
        Advice(
            "another architecture: rank all models on dev", "MLY ch. 27", command="pipeline spot-check", cost=SPOT_CHECK
        ),
    ),
    MISMATCH: (
        Advice("train on all available production images", "MLY ch. 42", changes.all_production),
        Advice("degrade raw images as the production camera does", "MLY ch. 43", changes.match_production),
        Advice("give production images more weight than raw ones", "MLY ch. 39", changes.production_weight),
        Advice(
            "tag dev's errors: what do they have that the training images lack?",
            "MLY ch. 14 and 42",
            command="pipeline errors",
            cost=costs.look_at_errors,
        ),
        Advice("collect more production images, for training", "MLY ch. 42", cost=costs.production_as_many_again),
    ),
    DEV_OVERFIT: (
        Advice(
            "collect a larger dev set: your choices have overfitted to its images",
            "MLY ch. 11",
            cost="people collect and label about as many images as dev has",
        ),
        Advice(
            "choose the simplest of the models within noise",
            "Blum and Hardt (2015)",
            command="pipeline compare",
            cost="takes seconds",
        ),
    ),
    PRODUCTION_GAP: (
        Advice(
            "measure on the newest images: the inputs may have drifted",
            "MLY ch. 11; Quionero-Candela et al. (2009)",
            changes.newest,
        ),
        Advice(
            "add the images of these outcomes to a production source: dev and test no longer look like production",
            "MLY ch. 11",
            cost=costs.ONE_TRAINING,
        ),
        Advice(
            "label some outcomes again: their labels may follow other rules than those of the test set",
            "MLY ch. 16",
            cost="a person looks at a few hundred images",
        ),
        Advice("train with the costs of the metric", "Galdran et al. (2020)", changes.cost_sensitive),
        Advice(
            "if some mistakes cost more in use, set evaluate.optimizing to mean_cost",
            "MLY ch. 11",
            cost=costs.ONE_TRAINING,
            fits=lambda run: run.evaluate.optimizing.name != "mean_cost",
        ),
    ),
    found.LEAK: (
        Advice("keep near-duplicates in one split", "Kaufman et al. (2012)", changes.group_copies),
        Advice(
            "check for copies across splits, and inspect the misclassified images of train",
            "Kaufman et al. (2012)",
            command="pipeline audit data/split/manifest.arrow",
            cost="takes minutes",
        ),
    ),
    found.BEYOND_PEOPLE: (
        Advice(
            "set diagnose.human_error to that error, which the model has shown to be possible; or collect "
            "better answers, from experts or from several people together (feedback/answers.csv)",
            "MLY ch. 33 to 35",
            cost="takes seconds; answers take people's time",
        ),
    ),
    found.SCENES: (
        Advice("keep all images of a scene in one split", "Kaufman et al. (2012)", shortcuts.group_scenes),
        Advice(
            "make a new split, because the frozen one separates images of a scene. Dev and test change, so "
            "you cannot compare earlier results with later ones",
            "Kaufman et al. (2012)",
            shortcuts.split_anew,
        ),
        Advice(
            "look at the pairs in pairs.png",
            "Kaufman et al. (2012)",
            command="pipeline audit data/split/manifest.arrow --scene-sheet pairs.png",
            cost="takes minutes, and a person looks at one sheet",
        ),
    ),
    found.CONFOUNDED: (
        Advice(
            "look at reports/curate/confounding.png: if this fact follows from the class, add it to "
            "curate.not_confounding",
            "Geirhos et al. (2020)",
            cost="a person looks at one sheet",
        ),
        Advice(
            "give the classes the same weight within each of its values",
            "Kamiran and Calders (2012)",
            shortcuts.weights_within,
        ),
        Advice("measure dev separately for each of its values", "Sagawa et al. (2020)", shortcuts.slice_by_fact),
        Advice(
            "give dev and test the same proportions of its values as production, in each class",
            "MLY ch. 5 and 7",
            shortcuts.stratify_by_fact,
        ),
        Advice(
            "collect training images of the rarest combinations of class and value: weights cannot replace "
            "missing images",
            "Geirhos et al. (2020)",
            cost="people collect and label images of them",
        ),
    ),
    found.FACT_TELLS: (
        Advice(
            "look at reports/curate/confounding.png: if your classes really differ in this, add it to "
            "curate.not_confounding",
            "Geirhos et al. (2020)",
            cost="a person looks at one sheet",
        ),
    ),
    found.MISSING: (
        Advice(
            "give each split images of each class: collect some, or remove the class from the sources",
            "MLY ch. 7 and 12",
            cost="people collect and label images of it",
        ),
    ),
    found.NOTHING_LEARNT: (
        Advice(
            "find the rate where the loss falls fastest",
            "Smith (2017)",
            command="pipeline lr-range",
            cost=LR_RANGE,
            fits=_network,
        ),
        Advice(
            "check the images and labels that training sees: reports/previews/batch.png",
            "Karpathy (2019), A Recipe, 1 and 2",
            cost="a person looks at one sheet",
        ),
        Advice(
            "check whether any model learns from these images",
            "MLY ch. 25",
            command="pipeline spot-check",
            cost=SPOT_CHECK,
        ),
    ),
    found.RATE: (
        Advice("a third of the learning rate", "Goodfellow et al. (2016) 11.4.1", changes.lower_rate, lever="-rate"),
        Advice(
            "find the rate where the loss falls fastest", "Smith (2017)", command="pipeline lr-range", cost=LR_RANGE
        ),
        Advice("clip long gradients", "Pascanu et al. (2013)", changes.clip),
    ),
    found.RATE_LOW: (
        Advice(
            "find the rate where the loss falls fastest", "Smith (2017)", command="pipeline lr-range", cost=LR_RANGE
        ),
        Advice(
            "a much higher learning rate", "Goodfellow et al. (2016) 11.4.1", changes.much_higher_rate, lever="+rate"
        ),
    ),
    found.EPOCHS: (
        Advice("train longer", "MLY ch. 25; Goodfellow et al. (2016) 11.4", changes.longer),
        Advice("smaller batches, so more steps in each epoch", "Masters and Luschi (2018)", changes.smaller_batches),
        Advice("a higher learning rate", "Goodfellow et al. (2016) 11.4.1", changes.higher_rate, lever="+rate"),
    ),
    found.EARLY_STOP: (Advice("train through all epochs, without patience", "Prechelt (1998)", changes.no_patience),),
    found.COARSE_CHOICE: (
        Advice(
            "keep the last epoch, instead of choosing one with few images",
            "Prechelt (1998)",
            changes.keep_last,
            lever="-keep",
        ),
    ),
    found.OVERFIT: (
        Advice("keep the epoch that was best on dev", "Prechelt (1998)", changes.keep_best, lever="+keep"),
    ),
    found.UNDERFIT: (),
    found.LABEL_NOISE: (
        Advice(
            "open reports/label_issues/label_issues.png, correct wrong labels in their sources "
            "(label_issues.csv names the files), and run `dvc repro` again",
            "MLY ch. 16; Northcutt et al. (2021)",
            cost="a person looks at the sheet; then one training",
        ),
    ),
    found.WEAK_JUDGE: (
        Advice(
            "check reports/label_issues/label_issues.png yourself, or let a better model check the labels: set "
            "label_issues.model in params.yaml to {name: own}",
            "Northcutt et al. (2021)",
            cost="a person looks at the sheet; a better model takes about a training for each fold",
        ),
    ),
    found.HARDER: (
        Advice(
            "inspect these errors: is the label right, and could a person tell the class?",
            "MLY ch. 14, 16 and 33",
            command="pipeline errors",
            cost=costs.look_at_errors,
        ),
        Advice("give production images more weight than raw ones", "MLY ch. 39", changes.production_weight),
        Advice("a wider model, which can learn more", "MLY ch. 25", changes.wider),
        Advice(
            "measure what people get wrong on production: diagnose.human_error: measured",
            "MLY ch. 22 and 33",
            cost="people name the classes of a few hundred images",
        ),
    ),
    found.IMBALANCE: (
        Advice("give small classes as many rows as the largest", "Buda et al. (2018)", changes.oversample),
        Advice("count the failing class twice in the loss", "King and Zeng (2001)", changes.weigh_class),
        Advice("use a loss in which easy images count less", "Lin et al. (2017)", changes.focal),
        Advice("collect more training images of the small classes", "He and Garcia (2009)", cost=costs.small_classes),
    ),
    found.HIDDEN: (
        Advice("rank models by a metric in which all classes count the same", "MLY ch. 8 and 9", changes.by_class),
    ),
    found.CLASS: (
        Advice("train with the costs of the metric", "Galdran et al. (2020)", changes.cost_sensitive),
        Advice("weight its rows twice in the loss", "King and Zeng (2001)", changes.weigh_class),
        Advice("give small classes as many rows as the largest", "Buda et al. (2018)", changes.oversample),
        Advice(
            "collect more images of it, and check its labels",
            "MLY ch. 14 and 16",
            command="pipeline errors",
            cost=costs.look_at_errors,
        ),
    ),
    found.SLICE: (
        Advice(
            "inspect its errors, then collect or make training images like them",
            "MLY ch. 14 and 42",
            command="pipeline errors",
            cost=costs.look_at_errors,
        ),
    ),
    found.CALIBRATION: (
        Advice(
            "label smoothing, which makes the model less confident",
            "Müller et al. (2019)",
            changes.smoothing,
            lever="+regularisation",
        ),
        Advice(
            "less label smoothing, which makes the model more confident",
            "Müller et al. (2019)",
            changes.no_smoothing,
            lever="-regularisation",
        ),
    ),
    found.SMALL_DEV: (),
}
