"""The plan of copies, and image + key -> image. The only module that imports albumentations."""

import difflib
import inspect
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, assert_never

import albumentations
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.core.imaging import Pixels
from pipeline.core.presets import expand
from pipeline.core.randomness import keyed_seed, keyed_uniform
from pipeline.errors import ParamsError, listing
from pipeline.params import AnyTransform, PerClass, PerImage, Transform, UpTo

# What the library derives its transforms from; each fails only when it is applied.
BASES = (
    albumentations.BasicTransform,
    albumentations.DualTransform,
    albumentations.ImageOnlyTransform,
    albumentations.Transform3D,
)
LIBRARIES = ("albumentations", "albucore", "numpy", "opencv-python-headless")


def plan_copies(rows: pd.DataFrame, copies: PerImage | PerClass | UpTo, seed: int) -> pd.DataFrame:
    """Each row and its variants, sorted by id and copy number.

    Of the rows of one image the first keeps copy number 0, the image itself; all others are numbered
    on, so that rows that balancing repeated become pictures of their own. A number says which key a
    variant is drawn from, so that a longer plan starts with the pictures of a shorter one.
    """
    times = np.repeat(np.arange(len(rows)), 1 + _variants(rows, copies, seed))
    repeated = rows.iloc[times].sort_values(["id", "copy"], kind="stable", ignore_index=True)
    return repeated.assign(copy=repeated.groupby("id").cumcount().astype(np.int32))


def _variants(rows: pd.DataFrame, copies: PerImage | PerClass | UpTo, seed: int) -> npt.NDArray[np.int64]:
    """How many variants each row gets, shape (n,)."""
    label = rows["label"].astype("category").cat.remove_unused_categories()
    names, codes = label.cat.categories.astype(str).tolist(), label.cat.codes.to_numpy()
    match copies:
        case PerImage(count=count):
            return np.full(len(rows), count, np.int64)
        case PerClass(counts=counts, otherwise=otherwise):
            unknown = sorted(set(counts) - set(names))
            if unknown:
                raise ParamsError(
                    f"augment.copies.counts names classes that train does not have: {listing(unknown)}; "
                    f"it has {listing(names, 20)}"
                )
            return np.array([counts.get(name, otherwise) for name in names], np.int64)[codes]
        case UpTo(rows=target):
            return _dealt(rows, codes, np.maximum(0, target - np.bincount(codes, minlength=len(names))), seed)
        case unknown_kind:
            assert_never(unknown_kind)


def _dealt(
    rows: pd.DataFrame, codes: npt.NDArray[Any], needed: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.int64]:
    """So many variants of each class, evenly over its rows; who gets one more is a matter of keyed chance."""
    keys = rows["id"].astype(str) + "#" + rows["copy"].astype(str)
    order = np.lexsort((keyed_uniform(seed, "copies", keys), codes))
    sizes = np.bincount(codes, minlength=len(needed))
    rank = np.arange(len(rows)) - (np.cumsum(sizes) - sizes)[codes[order]]
    each, more = np.divmod(needed, np.maximum(sizes, 1))
    variants = np.empty(len(rows), np.int64)
    variants[order] = each[codes[order]] + (rank < more[codes[order]])
    return variants


def build_transform(transforms: Sequence[AnyTransform]) -> albumentations.Compose:
    """The transforms, in order and presets expanded, as one.

    Raises:
        ParamsError: names or arguments that albumentations does not have; all are in the message.
    """
    built, problems = [], []
    for number, transform in enumerate(expand(transforms)):
        try:
            built.append(_build(transform))
        except ParamsError as error:
            problems.append(f"augment.transforms.{number}: {error}")
    if problems:
        raise ParamsError("params.yaml names transforms that cannot be made:\n  " + "\n  ".join(problems))
    return albumentations.Compose(built)


def make_variant(
    pixels: Pixels, transform: albumentations.Compose, seed: int, image_id: str, copy: int, epoch: int | None = None
) -> Pixels:
    """A new picture of the same shape: a function of (seed, image id, copy number, epoch if given) and the pixels.

    Raises:
        ParamsError: the transforms fail on the picture, or change its size or type.
    """
    transform.set_random_seed(keyed_seed(seed, "augment", image_id, copy, *([] if epoch is None else [epoch])))
    try:
        variant = np.asarray(transform(image=pixels)["image"])
    except Exception as error:
        # What needs boxes, masks or other images says so only here, each transform by another exception.
        raise ParamsError(f"augment.transforms fail on {image_id}: {type(error).__name__}: {error}") from error
    if variant.shape != pixels.shape or variant.dtype != np.uint8:
        raise ParamsError(
            f"augment.transforms turn {pixels.shape} uint8 pixels into {variant.shape} {variant.dtype}: "
            "the model needs one size; take out transforms that crop, pad, resize or normalise"
        )
    return variant


def _build(transform: Transform) -> albumentations.BasicTransform:
    known = {
        name: member
        for name, member in vars(albumentations).items()
        if inspect.isclass(member) and issubclass(member, albumentations.BasicTransform) and member not in BASES
    }
    if transform.name not in known:
        raise ParamsError(f"albumentations has no transform {transform.name!r}{_nearest(transform.name, known)}")
    allowed = [name for name in inspect.signature(known[transform.name].__init__).parameters if name != "self"]
    unknown = [name for name in transform.arguments if name not in allowed]
    if unknown:
        hints = "; ".join(f"{name!r}{_nearest(name, allowed)}" for name in unknown)
        raise ParamsError(f"{transform.name} has no argument {hints}. It takes {', '.join(allowed)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # albumentations only warns about what it ignores
            return known[transform.name](**transform.arguments)
    except (ValueError, TypeError, UserWarning) as error:
        raise ParamsError(f"{transform.name} refuses {transform.arguments}: {error}") from error


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
