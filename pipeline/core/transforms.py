"""albumentations' transforms: names and arguments checked, keyed by image. The only module that imports it."""

import difflib
import inspect
import random
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from pipeline.core.imaging import Pixels
from pipeline.core.presets import expand
from pipeline.core.randomness import keyed_seed
from pipeline.errors import ParamsError
from pipeline.params import AnyTransform, Transform


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Imports of a module fail inside, unless it is there already."""
    absent = module not in sys.modules
    if absent:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules[module]


# albumentations imports torch, a second in each process, for transforms that make tensors: none is used here.
with _without("torch"):
    import albumentations

# What the library derives its transforms from; each fails only when it is applied.
BASES = (
    albumentations.BasicTransform,
    albumentations.DualTransform,
    albumentations.ImageOnlyTransform,
    albumentations.Transform3D,
)
LIBRARIES = ("albumentations", "albucore", "numpy", "opencv-python-headless")


def build_transform(transforms: Sequence[AnyTransform]) -> albumentations.Compose:
    """The transforms, in order and presets expanded, as one; it can be pickled.

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
    key = keyed_seed(seed, "augment", image_id, copy, *([] if epoch is None else [epoch]))
    # set_random_seed would give each transform the same numbers: two with p 0.5 would act together or not at all.
    transform.set_random_state(np.random.default_rng(key), random.Random(key))
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
