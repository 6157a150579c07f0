"""Advice for each gap between errors, in the order in which to try it, each with its source."""

from collections.abc import Mapping

from pipeline.diagnosis import costs
from pipeline.diagnosis import data_changes as data
from pipeline.diagnosis import training_changes as training
from pipeline.diagnosis.advice import LEARNING_CURVE, SPOT_CHECK, Advice, has_classes
from pipeline.diagnosis.gaps import BIAS, DEV_OVERFIT, MISMATCH, PRODUCTION_GAP, VARIANCE

GAP_ADVICE: Mapping[str, tuple[Advice, ...]] = {
    BIAS: (
        Advice("no penalty on weights", "MLY ch. 25", training.no_penalty, lever="-regularisation"),
        Advice("momentum", "Sutskever et al. (2013)", training.momentum),
        Advice("a wider model, which can learn more", "MLY ch. 25", training.wider),
        Advice("train longer", "MLY ch. 25", training.longer),
        Advice(
            "less dropout, so that the model can learn all of train",
            "MLY ch. 25",
            training.less_dropout,
            lever="-regularisation",
        ),
        Advice("a deeper model", "MLY ch. 25", training.deeper),
        Advice("a hidden fully connected layer", "MLY ch. 25; LeCun et al. (1998)", training.hidden_layer),
        Advice("batch norm", "Ioffe and Szegedy (2015)", training.batch_norm),
        Advice(
            "an optimizer that adapts the step of each weight",
            "MLY ch. 25; Loshchilov and Hutter (2019)",
            training.adamw,
        ),
        Advice("another architecture: residual blocks", "MLY ch. 25; He et al. (2015)", training.residual),
        Advice("train all layers, not only the last", "Yosinski et al. (2014)", training.thaw),
        Advice(
            "another architecture: rank all models on dev",
            "MLY ch. 25",
            command="pipeline spot-check",
            cost=SPOT_CHECK,
            fits=has_classes,
        ),
    ),
    VARIANCE: (
        Advice("more variants of each image", "MLY ch. 27; Shorten and Khoshgoftaar (2019)", data.more_copies),
        Advice("a first set of gentle variants of each image", "MLY ch. 27", data.first_copies),
        Advice(
            "learn from the production images that have no label",
            "Sohn et al. (2020); Iscen et al. (2019)",
            training.learn_unlabelled,
        ),
        Advice("more dropout", "MLY ch. 27; Srivastava et al. (2014)", training.more_dropout, lever="+regularisation"),
        Advice("more weight decay", "MLY ch. 27; Krogh and Hertz (1991)", training.more_decay, lever="+regularisation"),
        Advice(
            "blend images and their labels in pairs", "Zhang et al. (2018)", training.mixup, lever="+regularisation"
        ),
        Advice("new variants in each epoch", "MLY ch. 27", data.online),
        Advice("average the weights of the training", "Izmailov et al. (2018)", training.average_weights),
        Advice(
            "combine networks of several seeds, if that helps out of fold",
            "Lakshminarayanan et al. (2017); Caruana et al. (2004)",
            training.several_seeds,
        ),
        Advice(
            "more images for training: how many, and of which role",
            "MLY ch. 27",
            command="pipeline learning-curve",
            cost=LEARNING_CURVE,
            fits=has_classes,
        ),
        Advice(
            "another architecture: rank all models on dev",
            "MLY ch. 27",
            command="pipeline spot-check",
            cost=SPOT_CHECK,
            fits=has_classes,
        ),
    ),
    MISMATCH: (
        Advice("train on all available production images", "MLY ch. 42", data.all_production),
        Advice("degrade raw images as the production camera does", "MLY ch. 43", data.match_production),
        Advice("give production images more weight than raw ones", "MLY ch. 39", data.production_weight),
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
            data.newest,
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
        Advice("train with the costs of the metric", "Galdran et al. (2020)", training.cost_sensitive),
        Advice(
            "if some mistakes cost more in use, set evaluate.optimizing to mean_cost",
            "MLY ch. 11",
            cost=costs.ONE_TRAINING,
            fits=lambda run: run.evaluate.optimizing.name != "mean_cost",
        ),
    ),
}
