"""Params of ingest: how each file becomes a row with a picture."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.section import Count, Section, Share


def _rising(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] >= values[1]:
        raise ValueError(f"{list(values)} must be the value of black, then a larger value of white")
    return values


Finite = Annotated[float, Field(allow_inf_nan=False)]


# YAML has lists alone.
ValueRange = Annotated[tuple[Finite, Finite], Field(strict=False), AfterValidator(_rising)]


Channel = Annotated[int, Field(ge=0, le=255)]


class JpegEncoding(Section):
    """Lossy, for photos."""

    name: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)]


class PngEncoding(Section):
    """Lossless, for tiny pictures and line art."""

    name: Literal["png"]


class IngestParams(Section):
    """How a file becomes a square picture of `size` pixels per side.

    value_range: of files with more than 8 bits per channel: the values that become black and white ([0, 4095] for 12);
    without it, all that such a file can hold.
    """

    size: Annotated[int, Field(ge=8, le=1024)]
    fit: Literal["crop", "pad", "stretch"]
    encoding: Annotated[JpegEncoding | PngEncoding, Field(discriminator="name")]
    background: Annotated[tuple[Channel, Channel, Channel], Field(strict=False)]  # YAML has lists alone
    codec_warnings: Literal["accept", "reject"]
    max_missing: Share
    max_pixels: Count
    max_side: Count
    max_aspect: Annotated[float, Field(ge=1)]
    max_bytes: Count
    max_expansion: Annotated[float, Field(ge=1)]
    max_seconds: Annotated[int, Field(ge=1, le=3600)]
    max_memory_mb: Annotated[int, Field(ge=256, le=1_000_000)]
    max_rejected: Share
    value_range: ValueRange | None = None
