"""Changes of params against shortcuts: facts that give classes away, and scenes that dev shares with train."""

from pipeline.diagnosis.param_changes import DROPPED, Changes
from pipeline.diagnosis.run import Run
from pipeline.manifest import EXTRA_COLUMNS
from pipeline.metrics.slices import SOURCE


def weights_within(run: Run) -> Changes:
    """Classes weigh alike within each value of the fact that gives them away, if some value has several."""
    fact = run.confounder
    if fact is None or fact.column is None or not fact.mixed:
        return None
    strategy = run.balance.strategy
    gone = {
        f"balance.strategy.{name}": DROPPED for name in type(strategy).model_fields if name not in {"name", "column"}
    }
    return {**gone, "balance.strategy.name": "weights_within", "balance.strategy.column": fact.column}


def slice_by_fact(run: Run) -> Changes:
    """Dev is measured by the values of the fact that gives classes away, if it has several."""
    fact, slices = run.confounder, list(run.evaluate.slices)
    if fact is None or fact.column in {None, SOURCE, *slices} or fact.in_dev < 2:
        return None
    return {"evaluate.slices": [*slices, fact.column]}


def stratify_by_fact(run: Run) -> Changes:
    """dev and test have each class with each value of the fact as often as production, where it has enough of them."""
    fact, strata = run.confounder, list(run.split.stratify_by)
    if fact is None or fact.column is None or not fact.column.startswith(EXTRA_COLUMNS):
        return None
    name = fact.column.removeprefix(EXTRA_COLUMNS)
    enough = fact.in_dev > 1 and fact.cell >= 4 * run.split.min_per_class
    return {"split.stratify_by": [*strata, name]} if enough and name not in strata else None


def group_scenes(run: Run) -> Changes:
    """Images of one scene are never split apart, where no earlier split says where they are."""
    return {"curate.scenes": "group"} if run.split.frozen_from is None else None


def split_anew(run: Run) -> Changes:
    """No image is kept where an earlier split had it; scenes are groups."""
    return {"split.frozen_from": None, "curate.scenes": "group"} if run.split.frozen_from is not None else None
