"""Params of the pictures of a new project: their size, shape and encoding, and what photos need."""

import math
from collections import Counter
from statistics import median

from pipeline.project.model_choice import MAX_SMALL_SIDE, max_side
from pipeline.project.params_template import Choice
from pipeline.project.seen import Seen


def size_choice(seen: Seen, wanted: int | None, model: str | None) -> Choice:
    """The side of the pictures in pixels.

    Args:
        wanted, model: what the command line says.
    """
    side = round(median(seen.sides))
    if wanted is not None:
        return Choice("ingest.size", wanted, "as --size says")
    half = f"half of the images have a shorter side of {side} pixels or"
    if side <= MAX_SMALL_SIDE:
        return Choice("ingest.size", max(16, 4 * math.ceil(side / 4)), f"{half} less")
    size = min(max_side(model), side // 32 * 32)
    return Choice("ingest.size", size, f"{half} more; twice the size takes four times as long")


def picture_choices(seen: Seen, size: int, *, pretrained: bool) -> list[Choice]:
    """How pictures are made square and stored, and what photos need.

    Args:
        pretrained: whether the model is pretrained, so that small images are photos as well.
    """
    aspects = {role: _aspects(seen, role) for role in ("raw", "production")}
    middle = {role: median(found) for role, found in aspects.items() if found}
    every = [aspect for found in aspects.values() for aspect in found]
    cut = median(1 - min(aspect, 1 / aspect) for aspect in every)
    if cut == 0:
        fit = Choice("ingest.fit", "pad", "most images are square, and padding cuts nothing off the others")
    elif len(middle) == 2 and max(middle.values()) / min(middle.values()) > 1.15:
        fit = Choice(
            "ingest.fit",
            "crop",
            "raw and production images have different shapes, and black bars would tell them apart",
        )
    elif cut > 0.4:
        fit = Choice("ingest.fit", "pad", f"a crop would cut {cut:.0%} off the typical image")
    else:
        fit = Choice("ingest.fit", "crop", f"the images are nearly square: {cut:.0%} of the longer side is cut off")
    formats = Counter[str]()
    for source in seen.sources:
        formats.update(source.facts.formats)
    jpegs = sum(formats[kind] for kind in ("JPEG", "MPO", "WEBP", "HEIF", "AVIF")) / max(formats.total(), 1)
    lossy = jpegs > 0.5 and size >= 64
    encoding = {"name": "jpeg", "quality": 90} if lossy else {"name": "png"}
    of_these = f"{jpegs:.0%} of the images are JPEG or the like"
    reason = (
        f"{of_these}: PNG would take about five times the space"
        if lossy
        else "the images are small, or stored without loss already"
    )
    embedded = Choice(
        "embed.backbone",
        {"name": "efficientnet_lite0", "side": 160},
        "these are photos; takes about 10 ms per image"
        if size > MAX_SMALL_SIDE
        else "the model is pretrained, too; takes about 10 ms per image",
    )
    photos = [
        Choice("curate.scenes", "group", "photos of one scene in two splits would make the metrics too optimistic"),
        Choice("curate.issues.low_information", 3.5, "these are photos"),
        Choice(
            "curate.issues.blurry",
            0.66,
            "these are photos: a blur of 1 % of the side lifts nearly all of them above it",
        ),
    ]
    # Small photos have too few details to find scenes by.
    of_photos = [embedded, *photos] if size > MAX_SMALL_SIDE else [embedded] if pretrained else []
    return [fit, Choice("ingest.encoding", encoding, reason), *of_photos]


def _aspects(seen: Seen, role: str) -> list[float]:
    return [aspect for source in seen.sources if source.role == role for aspect in source.facts.aspects]
