"""Advice for each finding, in the order in which to try it, each with its source."""

from collections.abc import Mapping

from pipeline.diagnosis import costs
from pipeline.diagnosis import data_changes as data
from pipeline.diagnosis import findings as found
from pipeline.diagnosis import shortcut_changes as shortcuts
from pipeline.diagnosis import training_changes as training
from pipeline.diagnosis.advice import LR_RANGE, SPOT_CHECK, Advice, fits_networks, has_classes

FINDING_ADVICE: Mapping[str, tuple[Advice, ...]] = {
    found.LEAK: (
        Advice("keep near-duplicates in one split", "Kaufman et al. (2012)", data.group_copies),
        Advice(
            "check for copies across splits, and inspect the misclassified images of train",
            "Kaufman et al. (2012)",
            command="pipeline audit data/split/manifest.arrow",
            cost="takes minutes",
        ),
    ),
    found.NO_SKILL: (
        Advice(
            "look at images and their numbers: can a person tell the number from the picture? If not, no model can",
            "MLY ch. 14",
            command="pipeline errors",
            cost=costs.look_at_errors,
        ),
        Advice(
            "find a learning rate at which the loss falls",
            "Smith (2017)",
            command="pipeline lr-range",
            cost=LR_RANGE,
            fits=fits_networks,
        ),
        Advice("train longer", "MLY ch. 25", training.longer),
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
            fits=fits_networks,
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
            fits=has_classes,
        ),
    ),
    found.RATE: (
        Advice("a third of the learning rate", "Goodfellow et al. (2016) 11.4.1", training.lower_rate, lever="-rate"),
        Advice(
            "find the rate where the loss falls fastest", "Smith (2017)", command="pipeline lr-range", cost=LR_RANGE
        ),
        Advice("clip long gradients", "Pascanu et al. (2013)", training.clip),
    ),
    found.RATE_LOW: (
        Advice(
            "find the rate where the loss falls fastest", "Smith (2017)", command="pipeline lr-range", cost=LR_RANGE
        ),
        Advice(
            "a much higher learning rate", "Goodfellow et al. (2016) 11.4.1", training.much_higher_rate, lever="+rate"
        ),
    ),
    found.EPOCHS: (
        Advice("train longer", "MLY ch. 25; Goodfellow et al. (2016) 11.4", training.longer),
        Advice("smaller batches, so more steps in each epoch", "Masters and Luschi (2018)", training.smaller_batches),
        Advice("a higher learning rate", "Goodfellow et al. (2016) 11.4.1", training.higher_rate, lever="+rate"),
    ),
    found.EARLY_STOP: (Advice("train through all epochs, without patience", "Prechelt (1998)", training.no_patience),),
    found.COARSE_CHOICE: (
        Advice(
            "keep the last epoch, instead of choosing one with few images",
            "Prechelt (1998)",
            training.keep_last,
            lever="-keep",
        ),
    ),
    found.OVERFIT: (
        Advice("keep the epoch that was best on dev", "Prechelt (1998)", training.keep_best, lever="+keep"),
    ),
    found.UNDERFIT: (),
    found.LABEL_NOISE: (
        Advice(
            "decide in your browser which of the listed labels are wrong, then run `dvc repro` again "
            "(reports/label_issues/label_issues.png shows the first of them)",
            "MLY ch. 16; Northcutt et al. (2021)",
            command="pipeline review labels",
            cost="a person looks at each listed image; then one training",
        ),
    ),
    found.WEAK_JUDGE: (
        Advice(
            "check the listed labels yourself in your browser, or let a better model check all labels: set "
            "label_issues.model in params.yaml to {name: own}",
            "Northcutt et al. (2021)",
            command="pipeline review labels",
            cost="a person looks at each listed image; a better model takes about a training for each fold",
        ),
    ),
    found.HARDER: (
        Advice(
            "inspect these errors: is the label right, and could a person tell the class?",
            "MLY ch. 14, 16 and 33",
            command="pipeline errors",
            cost=costs.look_at_errors,
        ),
        Advice("give production images more weight than raw ones", "MLY ch. 39", data.production_weight),
        Advice("a wider model, which can learn more", "MLY ch. 25", training.wider),
        Advice(
            "measure what people get wrong on production: diagnose.human_error: measured",
            "MLY ch. 22 and 33",
            cost="people name the classes of a few hundred images",
        ),
    ),
    found.IMBALANCE: (
        Advice("give small classes as many rows as the largest", "Buda et al. (2018)", data.oversample_small),
        Advice("count the failing class twice in the loss", "King and Zeng (2001)", training.weigh_small_class),
        Advice("use a loss in which easy images count less", "Lin et al. (2017)", training.focal_for_small),
        Advice("collect more training images of the small classes", "He and Garcia (2009)", cost=costs.small_classes),
    ),
    found.SMALL_CLASS: (
        Advice(
            "collect more images of these classes, first for dev", "MLY ch. 7", cost="people collect and label images"
        ),
    ),
    found.HIDDEN: (
        Advice("rank models by a metric in which all classes count the same", "MLY ch. 8 and 9", data.by_class),
    ),
    found.CLASS: (
        Advice("train with the costs of the metric", "Galdran et al. (2020)", training.cost_sensitive),
        Advice("weight its rows twice in the loss", "King and Zeng (2001)", training.weigh_class),
        Advice("give small classes as many rows as the largest", "Buda et al. (2018)", data.oversample),
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
    found.HARD_SLICE: (
        Advice(
            "inspect the errors of the harder images",
            "MLY ch. 14",
            command="pipeline errors",
            cost=costs.look_at_errors,
        ),
    ),
    found.CALIBRATION: (
        Advice(
            "label smoothing, which makes the model less confident",
            "Müller et al. (2019)",
            training.smoothing,
            lever="+regularisation",
        ),
        Advice(
            "less label smoothing, which makes the model more confident",
            "Müller et al. (2019)",
            training.no_smoothing,
            lever="-regularisation",
        ),
    ),
    found.SMALL_DEV: (),
}
