"""Variants that came out blank or unchanged: detect and count them, and name the responsible transforms."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.errors import ParamsError, listing
from pipeline.images.pixels import Pixels
from pipeline.randomness import keyed_uniform
from pipeline.stages.augment.params import AugmentParams
from pipeline.transforms.transforms import build_transform, named, steps

# Shades of 255 that a channel of a blank picture may still differ by: codecs round.
FLAT = 2
# Failed variants, or images, that are looked at to find the transforms to blame.
COLUMNS_READ = 20


# A variant to be made again: image id, copy number, and the pixels that the transforms get.
Case = tuple[str, int, Pixels]
Begun = Callable[[pd.DataFrame], Sequence[Pixels]]


def is_blank(pixels: Pixels) -> bool:
    """Whether no channel has any contrast."""
    # Some pixels of one channel settle it for nearly every picture.
    some = pixels[::32, ::32, 0].tobytes()
    return max(some) - min(some) <= FLAT and _is_flat(pixels)


def marks(original: Pixels, variant: Pixels) -> dict[str, bool]:
    """blank: the variant shows nothing, and its original did; unchanged: it is its original."""
    middle = len(original) // 2
    return {
        "blank": is_blank(variant) and not is_blank(original),
        # One row settles it for nearly every picture.
        "unchanged": variant[middle].tobytes() == original[middle].tobytes() and np.array_equal(variant, original),
    }


def count_failures(planned: pd.DataFrame, checked: pd.DataFrame) -> dict[str, Any]:
    """How many rows there are and how many failed, as numbers, in all and per class.

    Args:
        planned: rows with id, label and copy.
        checked: the variants that were looked at, with id, label, blank and unchanged.

    Returns:
        originals, variants and checked count rows; blank counts variants; unchanged counts images
        of which all variants that were looked at are the image itself.
    """
    images = checked.groupby("id", sort=False).agg(label=("label", "first"), unchanged=("unchanged", "all"))
    copies = planned["copy"] > 0
    counts = {
        "originals": planned[~copies],
        "variants": planned[copies],
        "blank": checked[checked["blank"]],
        "unchanged": images[images["unchanged"]],
    }
    per_label = {name: frame["label"].astype(str).value_counts() for name, frame in counts.items()}
    labels = sorted(planned["label"].astype(str).unique())
    return {
        **{name: len(frame) for name, frame in counts.items()},
        "checked": len(checked),
        "blank_share": len(counts["blank"]) / max(len(checked), 1),
        "unchanged_share": len(counts["unchanged"]) / max(len(images), 1),
        "per_class": {label: {name: int(found.get(label, 0)) for name, found in per_label.items()} for label in labels},
    }


def sample(variants: pd.DataFrame, seed: int, most: int) -> pd.DataFrame:
    """All variants of some images, about `most` in all; which images, their hashes say."""
    sizes = variants.groupby("id", sort=True).size()
    order = keyed_uniform(seed, "guards", sizes.index).argsort(kind="stable")
    chosen = order[: 1 + int((sizes.to_numpy()[order].cumsum() < most).sum())]
    return variants[variants["id"].isin(sizes.index[chosen])]


def refuse_failures(
    counts: Mapping[str, Any], checked: pd.DataFrame, params: AugmentParams, begun: Begun, epoch: int | None
) -> None:
    """Raise ParamsError if more variants failed than `max_failed` allows, naming the responsible transforms.

    Args:
        counts: from `count_failures`.
        checked: the variants that were looked at, with id, copy, blank and unchanged, and what `begun` needs.
        begun: such rows to the pictures that the transforms get of them.
        epoch: that the variants were drawn for, if any.

    Raises:
        ParamsError: too many blank variants, or images without a change.
    """
    if counts["blank_share"] > params.max_failed:
        cases = _first(checked[checked["blank"]], begun)
        raise ParamsError(
            f"{counts['blank']} of {counts['checked']} variants are "
            f"blank{_rest('blank', counts, cases, params)}. Responsible transforms: "
            f"{_blanking(cases, params, epoch)}. Weaken or remove them, or raise augment.max_failed"
        )
    if counts["unchanged_share"] > params.max_failed:
        images = checked[checked.groupby("id")["unchanged"].transform("all")].drop_duplicates("id")
        cases = _first(images, begun)
        raise ParamsError(
            f"{counts['unchanged']} images are unchanged by augmentation"
            f"{_rest('unchanged', counts, cases, params)}. Responsible transforms: {_idle(cases, params)}. "
            "Raise p or augment.copies, remove transforms that change nothing, or raise augment.max_failed"
        )


def _first(failed: pd.DataFrame, begun: Begun) -> list[Case]:
    rows = failed.head(COLUMNS_READ)
    return list(zip(rows["id"].astype(str), rows["copy"].tolist(), begun(rows), strict=True))


def _blanking(cases: Sequence[Case], params: AugmentParams, epoch: int | None) -> str:
    """The transforms after which the variants, made again, showed nothing any more."""
    transform = build_transform(params.transforms)
    names = ["augment.match_production", *named(params.transforms)]
    blamed: Counter[str] = Counter()
    for image_id, copy, pixels in cases:
        shown = zip(names, [pixels, *steps(pixels, transform, params.seed, image_id, copy, epoch)], strict=True)
        blamed.update([name for name, after in shown if is_blank(after)][:1])
    return ", ".join(f"{name} for {times} of the {len(cases)} checked" for name, times in blamed.most_common())


def _idle(cases: Sequence[Case], params: AugmentParams) -> str:
    """The transforms that do not change these pictures by themselves, or that seldom act."""

    def changes(step: Any, case: Case) -> bool:
        image_id, copy, pixels = case
        return any(not np.array_equal(pixels, after) for after in steps(pixels, (step,), params.seed, image_id, copy))

    reasons = []
    for name, step in zip(named(params.transforms), build_transform(params.transforms), strict=True):
        often, step.p = step.p, 1.0
        if not any(changes(step, case) for case in cases):
            reasons.append(f"{name} changes none of the {len(cases)} checked")
        elif often < 1:
            reasons.append(f"{name} acts only with p {often:g}")
    return ", ".join(reasons) or "chance"


def _rest(kind: str, counts: Mapping[str, Any], cases: Sequence[Case], params: AugmentParams) -> str:
    failed = sorted(counts["per_class"].items(), key=lambda item: -item[1][kind])
    classes = [f"{label} {found[kind]}" for label, found in failed if found[kind]]
    return (
        f" ({counts[f'{kind}_share']:.1%}, augment.max_failed is {params.max_failed:.1%}): {listing(classes)}; "
        f"first {listing([case[0] for case in cases], 3)}"
    )


def _is_flat(pixels: Pixels) -> bool:
    return all(np.ptp(pixels[..., channel]) <= FLAT for channel in range(pixels.shape[2]))
