"""Can the numbers be trusted? Leaks between splits, miscalibrated confidences, a dev set too small to choose by."""

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.diagnosis.error_levels import ALPHA, HUMAN, Level
from pipeline.diagnosis.findings import BEYOND_PEOPLE, CALIBRATION, LEAK, SCENES, SMALL_DEV, Finding, more_wrong, units
from pipeline.diagnosis.gaps import MAX_TIMES, POWER, about
from pipeline.diagnosis.units import NUMBERS, SHARES
from pipeline.manifest import DEV, PRODUCTION, TEST, TRAIN, TRAIN_DEV
from pipeline.metrics.calibration import bin_numbers
from pipeline.randomness import keyed_generator
from pipeline.stages.evaluate.params import EvaluateParams

# The chance below which a split counts as too good: a grave charge, which stands before all else.
GRAVE = 0.001
# A dev set that shows so many times a relevant difference is about large enough.
NEARLY = 1.25


def shared_pictures(manifest: pd.DataFrame) -> list[Finding]:
    """Images of train_dev and dev that stand in train, too: the same pixels, or one group."""
    train = manifest[manifest["split"] == TRAIN]
    found = []
    for split in (TRAIN_DEV, DEV):
        part = manifest[manifest["split"] == split]
        known = part["pixels"].isin(set(train["pixels"])) | part["group"].isin(set(train["group"]))
        if known.any():
            words = f"{int(known.sum())} of {len(part):,} {split} images are also in train: {split}'s error is too low"
            found.append(Finding(LEAK, words, {"images": int(known.sum())}, gain=float(known.mean()), subject=split))
    return found


def shared_scenes(
    predictions: pd.DataFrame, manifest: pd.DataFrame, scenes: pd.DataFrame, relevant: float
) -> list[Finding]:
    """Images of dev that show a scene of train, with dev's error on them and on the others.

    Fewer images than a share of `relevant` of dev cannot change its error by what is worth work: then nothing is said.

    Args:
        scenes: id and family of images that show a scene with others.
    """
    family = dict(zip(scenes["id"], scenes["family"], strict=True))
    splits = manifest["split"].astype(str)
    families = manifest["id"].map(family)
    taught = set(families[(splits == TRAIN) & families.notna()])
    known = set(manifest.loc[(splits == DEV) & families.isin(taught), "id"])
    dev = predictions[predictions["split"].astype(str) == DEV]
    wrong = (dev["label"].astype(str) != dev["predicted"].astype(str)).to_numpy()
    twins = dev["id"].isin(known).to_numpy()
    if not twins.any() or twins.mean() < relevant:
        return []
    figures: dict[str, float | int | str] = {"images": int(twins.sum()), "error_of_these": float(wrong[twins].mean())}
    words = f"{int(twins.sum()):,} of {len(dev):,} dev images show a scene of train, and their error is "
    words += f"{wrong[twins].mean():.1%}"
    if not twins.all():
        figures["error_of_others"] = float(wrong[~twins].mean())
        words += f"; that of the {int((~twins).sum()):,} others is {wrong[~twins].mean():.1%}"
    words += f". Dev's error of {wrong.mean():.1%} does not show how good the model is on new scenes"
    return [Finding(SCENES, words, figures, gain=float(twins.mean()), subject=DEV)]


def too_good(predictions: pd.DataFrame, manifest: pd.DataFrame, relevant: float) -> tuple[list[Finding], int]:
    """Splits on which the model errs less than on the images of the same kind that it learnt; how many were tested.

    train_dev is held against train's images of the same roles, and dev, which has production images alone, against
    those of train.
    """
    rows = predictions.merge(manifest[["id", "role"]], on="id", validate="one_to_one")
    wrong = rows["label"].astype(str) != rows["predicted"].astype(str)
    made, tests = [], 0
    in_train_dev = rows["role"].isin(set(rows.loc[rows["split"] == TRAIN_DEV, "role"])).to_numpy()
    for split, kind in ((TRAIN_DEV, in_train_dev), (DEV, (rows["role"] == PRODUCTION).to_numpy())):
        here, learnt = (rows["split"] == split).to_numpy(), (rows["split"] == TRAIN).to_numpy() & kind
        if not learnt.any():
            continue
        tests += 1
        lacking = float(wrong[learnt].mean() - wrong[here].mean())
        if lacking < relevant:
            continue
        groups = rows["group"].astype(str)
        p = more_wrong(units(wrong[learnt], groups[learnt]), units(wrong[here], groups[here]))
        if p > GRAVE:
            continue
        words = (
            f"{split}'s error is {100 * lacking:.1f} points below that of the same kind of images in train, which the "
            f"model has seen: perhaps train has wrong labels, or copies of {split} images"
        )
        made.append(Finding(LEAK, words, {"below": lacking}, p, gain=lacking, subject=split))
    return made, tests


def better_than_dev(levels: Mapping[str, Level], relevant: float) -> tuple[list[Finding], int]:
    """Whether test, of the same images as dev, has a lower error than chance allows; how many were tested."""
    dev, test = levels[DEV], levels.get(TEST)
    if test is None or test.seen is None or dev.seen is None or test.groups is None or dev.groups is None:
        return [], 0
    lacking = dev.error - test.error
    if lacking < relevant:
        return [], 1
    wrong = [pd.Series(level.seen.labels != level.seen.predicted) for level in (dev, test) if level.seen is not None]
    p = more_wrong(units(wrong[0], dev.groups), units(wrong[1], test.groups))
    if p > GRAVE:
        return [], 1
    words = (
        f"test's error is {100 * lacking:.1f} points below dev's, although both were drawn from the same images: "
        "perhaps train has copies of test images"
    )
    return [Finding(LEAK, words, {"below": lacking}, p, gain=lacking, subject=TEST)], 1


def miscalibrated(dev: pd.DataFrame, params: EvaluateParams, relevant: float) -> tuple[list[Finding], int]:
    """Whether confidences are further from the share of right calls than chance makes them; 1 test.

    The calibration error is above 0 by chance alone, so it is held against that of right calls drawn by the
    confidences themselves (consistency resampling; Bröcker and Smith, 2007), a group's together.
    """
    confidence = dev["confidence"].to_numpy(np.float64)
    right = dev["label"].astype(str).to_numpy() == dev["predicted"].astype(str).to_numpy()
    numbers = bin_numbers(confidence, params.calibration_bins)
    error = _error(numbers, confidence, right)
    codes, names = pd.factorize(dev["group"].astype(str), sort=True)
    generator = keyed_generator(params.seed, "calibration")
    draws = (generator.random(len(names))[codes] < confidence for _ in range(200))
    chance = np.array([_error(numbers, confidence, drawn) for drawn in draws])
    if error - chance.mean() < relevant:
        return [], 1
    p = 1 - NormalDist().cdf((error - float(chance.mean())) / max(float(chance.std()), 1e-9))
    bold = float(confidence.mean() - right.mean())
    words = (
        f"confidences are off by {100 * error:.1f} points (expected calibration error; chance alone gives "
        f"{100 * chance.mean():.1f}): the model is {('over' if bold > 0 else 'under')}confident"
    )
    return [
        Finding(CALIBRATION, words, {"calibration_error": error, "by_chance": float(chance.mean()), "bold": bold}, p)
    ], 1


def _error(numbers: npt.NDArray[np.intp], confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """The expected calibration error, of images in bins."""
    return float(np.abs(np.bincount(numbers, weights=right - confidence)).sum() / len(numbers))


def beyond_people(levels: Mapping[str, Level]) -> list[Finding]:
    """Whether the model surely errs less than people: their error then no longer says what can be reached."""
    dev, human = levels[DEV], levels[HUMAN]
    if dev.high >= human.low:
        return []
    unit = NUMBERS if dev.in_numbers else SHARES
    words = (
        f"dev's error of {unit.level(dev.error, 1)} ({unit.bare(dev.low)} to {unit.bare(dev.high)}) is below people's "
        f"{unit.level(human.error, 1)}: human error no longer shows what is possible"
    )
    return [Finding(BEYOND_PEOPLE, words, {"dev": dev.error, "human": human.error})]


def too_small(dev: Level, relevant: float) -> list[Finding]:
    """Whether dev shows a difference of two models only where it is clearly larger than is worth work.

    The test for the difference of two proportions (Dietterich, 1998, 3.2), as in split's report, with the error and
    the independent images that there are; models compared image by image are told apart somewhat earlier. The images
    that are asked for show a relevant difference with a chance of 80 % (Fleiss, Levin and Paik, 2003, 4.2).
    """
    quantile, unit = NormalDist().inv_cdf(1 - ALPHA / 2), NUMBERS if dev.in_numbers else SHARES
    if dev.in_numbers:
        visible = quantile * math.sqrt(2 * dev.variance)
    else:
        share = (dev.error * dev.effective + 2) / (dev.effective + 4)
        visible = quantile * math.sqrt(2 * share * (1 - share)) / math.sqrt(dev.effective)
    if visible <= NEARLY * relevant:
        return []
    assert dev.images is not None  # noqa: S101
    images = dev.images
    power = 1 + NormalDist().inv_cdf(POWER) / NormalDist().inv_cdf(1 - ALPHA / 2)
    more = about(images * ((power * visible / relevant) ** 2 - 1))
    figures = {"images": images, "visible": visible}
    words = (
        f"with {images:,} images, dev can show a difference between two models only if it is at least "
        f"{unit.size(visible)}"
    )
    if more > MAX_TIMES * images:
        return [Finding(SMALL_DEV, f"{words}: ignore smaller differences", figures)]
    shown = unit.size(relevant) if unit.numbers else f"{100 * relevant:g} points"
    words = f"{words}: about {more:,} more images would show {shown} in 80 % of comparisons"
    return [Finding(SMALL_DEV, words, {**figures, "needs": more})]
