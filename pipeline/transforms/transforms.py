"""albumentations' transforms: names and arguments checked, variants keyed by image.

The only module that imports it. Usable is every transform that makes of one picture another of the
same size, channels and type; what needs more is refused in words. Compositions (OneOf) are not here.
"""

import difflib
import inspect
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import albumentations
import numpy as np
from pydantic import ValidationError

from pipeline.errors import ParamsError
from pipeline.images.pixels import Pixels
from pipeline.randomness import keyed_streams
from pipeline.transforms.arguments import NO_TUPLES, explain, first_line, taken_for_another, unknown_keys
from pipeline.transforms.params import AnyTransform, Transform, expand

Transforms = tuple[albumentations.BasicTransform, ...]
LIBRARIES = ("albumentations", "albucore", "numpy", "opencv-python-headless")
BASES = (
    albumentations.BasicTransform,
    albumentations.DualTransform,
    albumentations.ImageOnlyTransform,
    albumentations.Transform3D,
)
LIBRARY: Mapping[str, Any] = {
    name: member
    for name, member in vars(albumentations).items()
    if inspect.isclass(member) and issubclass(member, albumentations.BasicTransform) and member not in BASES
}
_BOXES, _FLOATS = "needs bounding boxes", "changes the type of pixels, and training normalises pixels itself"
_TENSORS = "makes tensors, and training does so itself"
# What a transform needs beside one picture of three channels.
REFUSED: Mapping[str, str] = {
    "FDA": "needs reference images",
    "HistogramMatching": "needs reference images",
    "PixelDistributionAdaptation": "needs reference images",
    "Mosaic": "needs other images",
    "OverlayElements": "needs pictures to lay over the image",
    "TextImage": "needs a font file and texts",
    "AtLeastOneBBoxRandomCrop": _BOXES,
    "BBoxSafeRandomCrop": _BOXES,
    "RandomCropNearBBox": _BOXES,
    "RandomSizedBBoxSafeCrop": _BOXES,
    "ConstrainedCoarseDropout": "needs masks or bounding boxes",
    "CropNonEmptyMaskIfExists": "needs masks",
    "MaskDropout": "needs masks",
    "Lambda": "needs Python functions",
    "ToRGB": "needs images of one channel",
    "FromFloat": _FLOATS,
    "Normalize": _FLOATS,
    "ToFloat": _FLOATS,
    "ToTensorV2": _TENSORS,
    "ToTensor3D": _TENSORS,
    **{name: "needs volumes" for name, member in LIBRARY.items() if issubclass(member, albumentations.Transform3D)},
}


def build_transform(transforms: Sequence[AnyTransform]) -> Transforms:
    """The transforms, in order and presets expanded; they can be pickled.

    Raises:
        ParamsError: what cannot be used, each problem on a line of its own with its place.
    """
    checked = _check(transforms)
    _refuse(checked.problems)
    return tuple(transform for _, transform in checked.built)


def named(transforms: Sequence[AnyTransform]) -> list[str]:
    """The name of each transform of `build_transform` for messages, such as `Affine (augment.transforms.0)`."""
    return [
        f"{transform.name} (augment.transforms.{number})"
        for number, item in enumerate(transforms)
        for transform in expand([item])
    ]


def check_transforms(transforms: Sequence[AnyTransform], size: int) -> list[str]:
    """What albumentations remarks of the transforms (an argument rounded, a name that is an alias), with places.

    Args:
        size: pixels per side of the pictures; each transform is tried on one.

    Raises:
        ParamsError: what cannot be used, or does not keep the size and type of pictures.
    """
    checked = _check(transforms)
    _refuse(checked.problems or _misfits(checked.built, size))
    return checked.remarks


def make_variant(
    pixels: Pixels, transform: Transforms, seed: int, image_id: str, copy: int, epoch: int | None = None
) -> Pixels:
    """A new picture of the same shape: a function of (seed, image id, copy number, epoch if given) and the pixels.

    Raises:
        ParamsError: the transforms fail on the picture, or change its size or type.
    """
    variant = pixels
    for variant in steps(pixels, transform, seed, image_id, copy, epoch):  # noqa: B007 - the last one counts
        pass
    if variant.shape != pixels.shape or variant.dtype != np.uint8:
        raise ParamsError(
            f"augment.transforms turn {pixels.shape} uint8 pixels into {variant.shape} {variant.dtype}: "
            "the model needs one size; remove transforms that crop, pad or resize"
        )
    return variant


def steps(
    pixels: Pixels, transform: Transforms, seed: int, image_id: str, copy: int, epoch: int | None = None
) -> Iterator[Pixels]:
    """The picture after each transform; the last is the variant.

    Raises:
        ParamsError: a transform fails on the picture.
    """
    # One stream for all. The library's Compose gives each transform of a list a stream of its own from the
    # same seed, so that two with p 0.5 act together or not at all.
    streams = keyed_streams(seed, "augment", image_id, copy, *([] if epoch is None else [epoch]))
    for step in transform:
        step.set_random_state(*streams)
        try:
            pixels = np.asarray(step(image=pixels)["image"])
        except Exception as error:
            raise ParamsError(
                f"augment.transforms: {type(step).__name__} fails on {image_id}: {type(error).__name__}: {error}"
            ) from error
        yield pixels


@dataclass(frozen=True)
class _Checked:
    """Transforms with their places, and lines of what is wrong and of what the library remarks."""

    built: list[tuple[str, Any]]
    problems: list[str]
    remarks: list[str]


def _check(transforms: Sequence[AnyTransform]) -> _Checked:
    checked = _Checked([], [], [])
    for number, item in enumerate(transforms):
        place = f"augment.transforms.{number}"
        for transform in expand([item]):
            wrong = _wrong_names(transform)
            made, wrong, remarks = (None, wrong, []) if wrong else _make(transform)
            if not wrong:
                checked.built.append((place, made))
            checked.problems.extend(
                f"{place}.{where}: {what}" if where else f"{place}: {transform.name}: {what}"
                for where, what in wrong.items()
            )
            checked.remarks.extend(f"{place}: {remark}" for remark in remarks)
    return checked


def _make(transform: Transform) -> tuple[Any, dict[str, str], list[str]]:
    """The transform, what is wrong with its arguments, and what else the library says of them."""
    member, arguments = LIBRARY[transform.name], transform.arguments
    parameters = inspect.signature(member.__init__).parameters.values()
    defaults = {item.name: item.default for item in parameters if item.default is not item.empty}
    fields = {
        name: value for name, value in {**defaults, **arguments}.items() if name in member.InitSchema.model_fields
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # By hand, because the library leaves some transforms unchecked, and where a validator fails by
            # itself it warns and takes defaults for all arguments.
            member.InitSchema(**fields, strict=True)
            if wrong := taken_for_another(member.InitSchema, arguments):
                return None, wrong, []
            caught.clear()
            made = member(**arguments)
        except ValidationError as error:
            return None, explain(error, member.InitSchema, fields), []
        except Exception as error:
            # Some transforms hand arguments on to another's schema.
            inner = error.__cause__.errors()[0]["msg"] if isinstance(error.__cause__, ValidationError) else str(error)
            return None, {"": f"{first_line(inner.removeprefix('Value error, '))}, got {arguments}"}, []
    said = [first_line(str(warning.message)) for warning in caught]
    # A range that the library finds invalid, it replaces by one that nobody asked for.
    replaced = [line.partition(". Range automatically")[0].split(": Invalid ") for line in said if ": Invalid " in line]
    wrong = {name: f"invalid {rule}, got {arguments[name]!r}" for name, rule in replaced}
    wrong |= unknown_keys(made, arguments)
    return made, wrong, [line for line in said if ": Invalid " not in line]


def _wrong_names(transform: Transform) -> dict[str, str]:
    """Why there is no such transform for pictures, or which arguments it does not have."""
    name = transform.name
    if name in REFUSED:
        return {"name": f"{name} {REFUSED[name]}: it cannot be used here"}
    if name not in LIBRARY:
        other = getattr(albumentations, name, None)
        if inspect.isclass(other) and issubclass(other, albumentations.BaseCompose):
            return {"name": f"{name} holds transforms: list them directly, each with its own p"}
        return {"name": f"albumentations has no transform {name!r}{_nearest(name, LIBRARY.keys() - REFUSED.keys())}"}
    allowed = [argument for argument in inspect.signature(LIBRARY[name].__init__).parameters if argument != "self"]
    # `rotate: (1, 2)` in braces is two keys to YAML, `rotate` and `2)`.
    if any(argument.endswith(")") for argument in transform.arguments):
        return {"": NO_TUPLES}
    return {
        argument: f"{name} has no such argument{_nearest(argument, allowed) or '; it has ' + ', '.join(allowed)}"
        for argument in transform.arguments
        if argument not in allowed
    }


def _misfits(built: Sequence[tuple[str, Any]], size: int) -> list[str]:
    """What fails on a picture of the size, or leaves another size or type, in words."""
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    pixels, problems, changes = picture, [], []
    for place, transform in built:
        transform.set_random_state(np.random.default_rng(0), random.Random(0))
        name, before = type(transform).__name__, f"{pixels.shape} {pixels.dtype}"
        try:
            pixels = np.asarray(transform(image=pixels, force_apply=True)["image"])
        except Exception as error:
            problems.append(f"{place}: {name} fails on {before} pixels: {first_line(str(error))}")
            continue
        after = f"{pixels.shape} {pixels.dtype}"
        if after != before:
            changes.append((transform.p, f"{place}: {name} turns {before} pixels into {after}"))
    if (pixels.shape, pixels.dtype) != (picture.shape, picture.dtype):
        rule = f"the model needs {size} x {size} with 3 channels: remove it, or give it that size"
        problems += [f"{change}, and {rule}" for _, change in changes]
    else:
        problems += [f"{change} with p {p:g} only: give it p 1.0" for p, change in changes if p < 1]
    return problems


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ParamsError("params.yaml names transforms that cannot be used:\n  " + "\n  ".join(problems))


def _nearest(name: str, known: Iterable[str]) -> str:
    by_lower = {word.lower(): word for word in sorted(known)}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f", did you mean {by_lower[near[0]]}?" if near else ""
