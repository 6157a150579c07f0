"""The whole diagnosis of a run, from its error levels, curves and predictions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from pipeline.diagnosis.class_shares import (
    explains_mismatch,
    imbalance,
    missing_classes,
    seldom_predicted,
    small_classes,
    untellable,
)
from pipeline.diagnosis.clusters import FailingCluster, failing_clusters, with_clusters
from pipeline.diagnosis.confounded import confounded
from pipeline.diagnosis.curves import Training, read_curves
from pipeline.diagnosis.error_levels import HUMAN, Level, metric_of_errors
from pipeline.diagnosis.failing_slices import MAX_SHOWN, failing, hidden
from pipeline.diagnosis.feedback import tables_of
from pipeline.diagnosis.findings import (
    CALIBRATION,
    CLASS,
    COARSE_CHOICE,
    EARLY_STOP,
    EPOCHS,
    HARD_SLICE,
    IMBALANCE,
    LABEL_NOISE,
    LEAK,
    SLICE,
    UNDERFIT,
    Finding,
    sure,
)
from pipeline.diagnosis.gaps import BIAS, MISMATCH, Gap, explained, find_gaps
from pipeline.diagnosis.inputs import Evidence
from pipeline.diagnosis.known_levels import all_levels
from pipeline.diagnosis.next_steps import Step, next_steps
from pipeline.diagnosis.number_findings import failing_numbers, guessing, no_skill
from pipeline.diagnosis.role_gaps import Difference, Roles, differences_of, harder, role_levels
from pipeline.diagnosis.run import Run
from pipeline.diagnosis.sanity_checks import (
    better_than_dev,
    beyond_people,
    miscalibrated,
    shared_pictures,
    shared_scenes,
    too_good,
    too_small,
)
from pipeline.diagnosis.small_class_trial import Trial, small_class_trial
from pipeline.diagnosis.units import NUMBERS, SHARES, Unit
from pipeline.diagnosis.wrong_labels import wrong_labels
from pipeline.manifest import DEV, PRODUCTION, RAW, TEST, TRAIN, may_teach
from pipeline.metrics.predictions import classes_of
from pipeline.problem.label_sets import LabelNames
from pipeline.problem.problem import PROBLEMS
from pipeline.problem.quantities import Quantity
from pipeline.stages.diagnose.params import DiagnoseParams
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.store.curves import Curves


@dataclass(frozen=True)
class Diagnosis:
    """Levels by name, and by split and role; gaps, findings and steps, the most important first.

    relevant: the gap that is worth work. several: whether an image may have several labels: then some findings were not
    looked for.
    """

    levels: Mapping[str, Level]
    gaps: Sequence[Gap]
    findings: Sequence[Finding]
    steps: Sequence[Step]
    relevant: float
    roles: Roles = field(default_factory=dict)
    differences: Sequence[Difference] = ()
    clusters: Sequence[FailingCluster] = ()
    several: bool = False
    unit: Unit = SHARES


def diagnosed(evidence: Evidence, run: Run, params: DiagnoseParams, test: pd.DataFrame | None = None) -> Diagnosis:
    """The diagnosis of a run.

    Args:
        test: predictions of test by the same model, if it was evaluated.

    Raises:
        MissingInputError, DataError: as `all_levels` does.
    """
    tables = tables_of(evidence.feedback)
    levels = all_levels(evidence.predictions, evidence.manifest, tables, run.evaluate, params, test)
    return diagnosis(levels, evidence, run, params)


def diagnosis(levels: Mapping[str, Level], evidence: Evidence, run: Run, params: DiagnoseParams) -> Diagnosis:
    """The diagnosis of a run whose levels are known."""
    predictions, manifest, curves = evidence.predictions, evidence.manifest, evidence.curves
    if evidence.embeddings is not None:
        manifest = with_clusters(manifest, evidence.embeddings.of)
    evaluate, classes, relevant = run.evaluate, classes_of(predictions), params.relevant_gap
    metric = metric_of_errors(evaluate, classes)
    run = replace(
        run,
        stopped_early=len(curves.epochs) < run.train.epochs,
        dated=_dated(manifest),
        groups=_groups_of_train(manifest),
        counts=None if isinstance(classes, Quantity) else _counts_of_train(predictions),
        images=_images_of_train(manifest),
        epochs_run=len(curves.epochs) or None,
        epoch_rows=_epoch_rows(evidence.augmented),
        dev_errors=_dev_errors(predictions),
        unlabelled=None if evidence.unused is None else len(may_teach(evidence.unused)),
    )
    # Where all images are of production, train_dev and dev are draws of the same.
    alike = not (manifest["role"].astype(str) == RAW).any()
    gaps = find_gaps(levels, metric, params, evaluate, without=(MISMATCH,) if alike else ())
    roles = role_levels(predictions, manifest, metric, classes, evaluate)
    differences = differences_of(roles, metric, relevant, evaluate)
    numbers = isinstance(classes, Quantity)
    found = shared_pictures(manifest)
    if numbers:
        found += no_skill(predictions)
    else:
        found = [*shared_scenes(predictions, manifest, evidence.scenes, relevant), *found]
        found += [*missing_classes(predictions), *wrong_labels(evidence.label_issues, relevant)]
    # What follows asks for one class per image; where an image may have several labels, it is left out.
    several = isinstance(classes, LabelNames)
    confounding, confounder = (
        ([], None) if several or numbers else confounded(predictions, manifest, not_confounding(run))
    )
    found += confounding
    found += of_course(levels, gaps, predictions, curves, run, params)
    of_classes = not (several or numbers)
    vectors_of = evidence.embeddings.of if of_classes and evidence.embeddings is not None else None
    trial = small_class_trial(manifest, small_classes(predictions) if not numbers else [], vectors_of)
    found += untellable(predictions) if of_classes else []
    found += of_predictions(levels, predictions, manifest, params, evaluate, trial)
    noisy = {each.subject for each in found if each.name == LABEL_NOISE}
    if noisy:
        # A model errs less on right labels than on the wrong ones that it was to learn: no copies are needed for that.
        found = [each for each in found if each.name != LEAK or each.p is None or each.subject == TEST]
    if PRODUCTION not in noisy:
        gaps, reasons = harder(gaps, roles, differences, relevant)
        found += reasons
    if any(each.name == IMBALANCE for each in found) and explains_mismatch(predictions, relevant):
        gaps = explained(gaps, MISMATCH)
    found += [*beyond_people(levels), *too_small(levels[DEV], relevant)]
    failing_class = next((each.subject for each in found if each.name == CLASS), None)
    bold = next((float(each.figures["bold"]) > 0 for each in found if each.name == CALIBRATION), None)
    seldom = seldom_predicted(predictions) if of_classes else None
    known = replace(run, failing=failing_class, bold=bold, confounder=confounder, seldom_small=seldom)
    clusters = failing_clusters(found, predictions, manifest)
    unit = NUMBERS if numbers else SHARES
    steps = next_steps(gaps, found, levels, known)
    return Diagnosis(levels, gaps, found, steps, relevant, roles, differences, clusters, several, unit)


def _epoch_rows(augmented: Mapping[str, float] | None) -> int | None:
    return None if augmented is None else int(augmented["originals"]) + int(augmented["variants"])


def of_course(
    levels: Mapping[str, Level],
    gaps: Sequence[Gap],
    predictions: pd.DataFrame,
    curves: Curves,
    run: Run,
    params: DiagnoseParams,
) -> list[Finding]:
    """What the course of training shows, where the model errs more than people do."""
    if not run.network or not _errs(levels, params) or not curves.epochs:
        return []
    sizes = predictions["split"].astype(str).value_counts()
    training = Training(
        asked=run.train.epochs,
        steps=math.ceil((run.epoch_rows or sizes[TRAIN]) / run.train.batch_size),
        classes=len(classes_of(predictions)),
        kept=curves.kept,
        chosen=run.train.keep == "best",
        dev_images=int(sizes[DEV]),
        steady=run.train.schedule.name == "constant",
        guessing=guessing(predictions, run),
    )
    # Neither more epochs nor a larger model helps one that knows train already.
    learnt = all(gap.value < params.relevant_gap for gap in gaps if gap.name == BIAS)
    pointless = {EPOCHS, UNDERFIT, EARLY_STOP, COARSE_CHOICE} if learnt else set()
    return [finding for finding in read_curves(curves.epochs, training) if finding.name not in pointless]


def of_predictions(
    levels: Mapping[str, Level],
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    params: DiagnoseParams,
    evaluate: EvaluateParams,
    trial: Trial | None = None,
) -> list[Finding]:
    """What tests on predictions find, all of them in one family."""
    dev = predictions[predictions["split"] == DEV]
    relevant = params.relevant_gap
    if isinstance(classes_of(predictions), Quantity):
        candidates, count = failing_numbers(predictions, manifest, evaluate, relevant)
        return sure(candidates, count)[:MAX_SHOWN]
    several = isinstance(classes_of(predictions), LabelNames)
    tested = [
        failing(predictions, manifest, evaluate, relevant),
        too_good(predictions, manifest, relevant),
        better_than_dev(levels, relevant),
        *([] if several else [miscalibrated(dev, evaluate, relevant), imbalance(predictions, relevant, trial)]),
    ]
    found = sure([each for candidates, _ in tested for each in candidates], sum(count for _, count in tested))
    error = float((dev["label"].astype(str) != dev["predicted"].astype(str)).mean())
    shown = (CLASS, SLICE, HARD_SLICE)
    told = [each for name in shown for each in [one for one in found if one.name == name][:MAX_SHOWN]]
    others = [each for each in found if each.name not in shown]
    return [*others, *hidden(found, error, evaluate, relevant), *told]


def _errs(levels: Mapping[str, Level], params: DiagnoseParams) -> bool:
    """Whether dev's error or train's is above human level by what is worth work, and surely above it.

    Few images of dev may err less than train by chance: what ended training matters all the same.
    """
    human = levels[HUMAN]
    return any(
        level.error - human.error >= params.relevant_gap and level.low > human.high
        for level in (levels[TRAIN], levels[DEV])
    )


def not_confounding(run: Run) -> list[str]:
    """Facts that may give the class away: what people named, and the column that classes are made of."""
    column = None if run.problem is None else PROBLEMS.of(run.problem).column(run.problem)
    return [*run.curate.not_confounding, *([] if column is None else [column])]


def _groups_of_train(manifest: pd.DataFrame) -> dict[str, int]:
    train = manifest[manifest["split"].astype(str) == TRAIN]
    return {str(role): int(part["group"].nunique()) for role, part in train.groupby(train["role"].astype(str))}


def _images_of_train(manifest: pd.DataFrame) -> dict[str, int]:
    roles = manifest.loc[manifest["split"].astype(str) == TRAIN, "role"].astype(str).value_counts()
    return {str(role): int(count) for role, count in roles.items()}


def _dev_errors(predictions: pd.DataFrame) -> int:
    dev = predictions[predictions["split"].astype(str) == DEV]
    return int((dev["label"].astype(str) != dev["predicted"].astype(str)).sum())


def _counts_of_train(predictions: pd.DataFrame) -> dict[str, int]:
    counts = predictions.loc[predictions["split"].astype(str) == TRAIN, "label"].astype(str).value_counts()
    return {str(label): int(count) for label, count in counts.items()}


def _dated(manifest: pd.DataFrame) -> bool:
    production = manifest[manifest["role"] == PRODUCTION]
    return len(production) > 0 and bool(production["captured_at"].notna().all())
