"""Changes of the params of data, and of what ranks models: what a run has now -> place in params.yaml and new value."""

from pipeline.diagnosis.param_changes import Changes, value_of
from pipeline.diagnosis.run import Run
from pipeline.manifest import PRODUCTION, RAW
from pipeline.section import Section

# Independent images of each role that augment.match_production needs, its two halves of chance in it.
MATCHED = 45
# Classes whose sizes differ by less count alike.
UNEVEN = 1.2


def more_copies(run: Run) -> Changes:
    """Four times the variants of each image, four at least: where images are few, one more hardly shows."""
    count = value_of(run.augment.copies, "count")
    if count is None or not run.augment.transforms:
        return None
    return {"augment.copies.count": min(4 * max(count, 1), _maximum(run.augment.copies, "count"))}


def first_copies(run: Run) -> Changes:
    """Variants of each image by transforms that leave most labels right."""
    count = value_of(run.augment.copies, "count")
    if run.augment.transforms or count is None:
        return None
    return {"augment.transforms": [{"preset": "light"}], "augment.copies.count": max(count, 4)}


def online(run: Run) -> Changes:
    """Variants are made while training."""
    return {"augment.mode": "online"} if run.augment.transforms and run.network else None


def all_production(run: Run) -> Changes:
    """No production image of train's part is held back."""
    shares = run.split.production
    return None if getattr(shares, "train", 1.0) == 0 else {"split.production_train_fraction": 1.0}


def match_production(run: Run) -> Changes:
    """Raw images are degraded as production's camera does."""
    return {"augment.match_production": True} if run.has(RAW, PRODUCTION, groups=MATCHED) else None


def production_weight(run: Run) -> Changes:
    """A production image counts as twice as many raw ones."""
    return {"balance.production_weight": 2 * run.balance.production_weight} if run.has(RAW, PRODUCTION) else None


def newest(run: Run) -> Changes:
    """dev and test are the production images taken last."""
    return {"split.method": "newest"} if run.dated and run.split.folds is None else None


def group_copies(run: Run) -> Changes:
    """Near copies are never split apart."""
    return {"curate.near_duplicates": "group"}


def by_class(run: Run) -> Changes:
    """The mean of the classes' recalls as the number that ranks models."""
    simple = {*type(run.evaluate.optimizing).model_fields} == {"name"}
    return {"evaluate.optimizing": "balanced_accuracy"} if simple else None


def oversample(run: Run) -> Changes:
    """Rows of small classes are repeated, if nothing is balanced."""
    uneven = run.counts is None or max(run.counts.values()) > UNEVEN * min(run.counts.values())
    if run.balance.strategy.name != "none" or not uneven:
        return None
    return {"balance.strategy.name": "oversample", "balance.strategy.target": {"name": "majority"}}


def oversample_small(run: Run) -> Changes:
    """The same, unless small classes are predicted too often already."""
    return None if run.seldom_small is False else oversample(run)


def _maximum(section: Section, name: str) -> int:
    """The largest value that a param may have."""
    bounds = [rule.le for rule in type(section).model_fields[name].metadata if hasattr(rule, "le")]
    return int(bounds[0])
