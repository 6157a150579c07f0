"""What a run did, as far as advice needs to know it: its params, and some facts."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.models.network import Network
from pipeline.problem.params import Problem
from pipeline.stages.augment.params import AugmentParams
from pipeline.stages.balance.params import BalanceParams
from pipeline.stages.curate.params import CurateParams
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.split.params import SplitParams
from pipeline.stages.train.params import TrainParams


@dataclass(frozen=True)
class Confounder:
    """The fact that gives train's classes away, as far as advice needs to know it.

    column: its column in manifests, None where it is no column of texts. mixed: some value has several classes, so that
    weights can act. in_dev: how many values dev has. cell: images of the smallest class within a value, of production.
    """

    column: str | None
    mixed: bool
    in_dev: int
    cell: int


@dataclass(frozen=True)
class Run:
    """What a run did: its params that advice may change, and some facts.

    stopped_early: patience ended training. failing: the class that fails worst. bold: confidences are too high (None:
    nothing is wrong with them). dated: production images have times of capture. groups: how many independent images of
    each role train has; images: all of them; counts: its images by class; epochs_run: how many epochs training had;
    epoch_rows: the rows of an epoch, repeats and variants among them;
    dev_errors: misclassified images of dev; unlabelled: images without a label that could teach; None where that is not
    known. seldom_small: whether the model predicts train's small classes more seldom than dev has them. confounder: the
    fact that gives train's classes away. problem: what the model tells apart; None: classes as they are.
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
    groups: Mapping[str, int] | None = None
    counts: Mapping[str, int] | None = None
    confounder: Confounder | None = None
    images: Mapping[str, int] | None = None
    epochs_run: int | None = None
    epoch_rows: int | None = None
    dev_errors: int | None = None
    unlabelled: int | None = None
    problem: Problem | None = None
    seldom_small: bool | None = None

    @property
    def network(self) -> bool:
        """Whether the model is fitted epoch by epoch."""
        return isinstance(self.train.model, Network)

    def has(self, *roles: str, groups: int = 1) -> bool:
        """Whether train has so many independent images of each of these roles, as far as is known."""
        return self.groups is None or all(self.groups.get(role, 0) >= groups for role in roles)
