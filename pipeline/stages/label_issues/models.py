"""Models that check labels, beside the baselines of `train`: a table of them, and what each says of images.

params.yaml is read through this module, so what computes is imported by the functions that need it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.models.baselines import BASELINES, Baseline
from pipeline.registry import Choice, Registry, one_of
from pipeline.section import Section

if TYPE_CHECKING:
    from pipeline.metrics.params import AnyMetric
    from pipeline.stages.train.params import TrainParams
    from pipeline.training.out_of_fold import FoldedRows
    from pipeline.workers.engine import Engine

P = TypeVar("P", bound="LabelModel")
Probabilities = npt.NDArray[np.float64]
BaselineThatChecks = Annotated[Baseline, one_of(*(row.params for row in BASELINES.values() if row.finds_label_issues))]


class LabelModel(Section):
    """Params of a model that checks labels and is no baseline."""

    name: str


class OwnModel(LabelModel):
    """The model of `train`, fitted again for each fold."""

    name: Literal["own"]


class LinearOnEmbeddings(LabelModel):
    """The mean of logistic regression and nearest neighbours on the vectors of the stage embed.

    The penalty and the number of neighbours are those of the least log loss out of fold.

    otherwise: the baseline that checks labels where there are no vectors, or where it agrees with more labels.
    """

    name: Literal["linear_on_embeddings"]
    otherwise: BaselineThatChecks


@dataclass(frozen=True)
class Checking:
    """What models check labels with.

    vectors: of the rows, shape (n, d); None without embed.backbone.
    """

    folded: "FoldedRows"
    vectors: npt.NDArray[np.float16] | None
    train: "TrainParams"
    optimizing: "AnyMetric"
    seed: int
    engine: "Engine"


@dataclass(frozen=True)
class Opinion:
    """Predictions of a model for images that it was not trained on.

    probabilities: shape (n, k), NaN where it does not know a class. model: what it is, in words. accuracies: the share
    of labels that each model agrees with that was compared. why: why it was chosen, in words; empty if params name it.
    """

    probabilities: Probabilities
    model: str
    accuracies: Mapping[str, float] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class LabelModelRow(Choice[P]):
    """A model that checks labels, and its opinion."""

    check: Callable[[P, Checking], Opinion]


def opinion_of(params: Baseline | LabelModel, checking: Checking) -> Opinion:
    """The out-of-fold predictions of the model in params, for all rows."""
    return (
        _baseline(params, checking) if isinstance(params, Baseline) else LABEL_MODELS.of(params).check(params, checking)
    )


def _baseline(params: Baseline, checking: Checking) -> Opinion:
    from pipeline.training.out_of_fold import by_baseline

    found = by_baseline(params, checking.folded, checking.seed, checking.train.threads, checking.engine)
    seen = getattr(params, "features", None)
    return Opinion(found, params.name.replace("_", " ") + (f" on {seen.name}" if seen is not None else ""))


def _own(params: OwnModel, checking: Checking) -> Opinion:
    from pipeline.training.out_of_fold import by_own_model

    found = by_own_model(checking.train, checking.folded, checking.optimizing, checking.engine)
    return Opinion(found, f"{checking.train.model.name}, the model of train")


def _linear(params: LinearOnEmbeddings, checking: Checking) -> Opinion:
    from pipeline.training.out_of_fold import accuracy_out_of_fold, by_vectors

    other = _baseline(params.otherwise, checking)
    if checking.vectors is None:
        return Opinion(other.probabilities, other.model, why="there are no embeddings (embed.backbone: null)")
    found = by_vectors(checking.vectors, checking.folded, checking.train.threads)
    name = "logistic regression and nearest neighbours on embeddings"
    scores = {
        model: accuracy_out_of_fold(each, checking.folded)
        for model, each in ((name, found), (other.model, other.probabilities))
    }
    better, worse = Opinion(found, name, scores), replace(other, accuracies=scores)
    if scores[name] < scores[other.model]:
        better, worse = worse, better
    return replace(better, why=f"{worse.model} agrees with fewer: {scores[worse.model]:.1%}")


LABEL_MODELS: Registry[LabelModelRow[Any]] = Registry(
    (
        LabelModelRow(LinearOnEmbeddings, _linear),
        LabelModelRow(OwnModel, _own),
    )
)
AnyLabelModel = Annotated[
    Baseline | LabelModel,
    one_of(LABEL_MODELS, *(row.params for row in BASELINES.values() if row.finds_label_issues)),
]
