"""Where images come from, and how each file becomes a row with a picture."""

import posixpath
import re
from typing import Annotated, Literal, Self

from pathspec import GitIgnoreSpec
from pydantic import AfterValidator, Field, model_validator

from pipeline.params.labels import AnyLabels, FolderLabels
from pipeline.params.section import Count, Section, Seed, Share

# Source names stand in shell commands and paths, so that they are kept plain.
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


def _checked(pattern: str) -> str:
    try:
        GitIgnoreSpec.from_lines([pattern])
    except (ValueError, re.error) as error:
        raise ValueError(f"{pattern!r} is no pattern of the kind that .gitignore has") from error
    return pattern


def _inside(folder: str) -> str:
    path = posixpath.normpath(folder)
    if path.split("/")[0] in {".", ".."}:
        raise ValueError(f"{folder!r} must be a folder within the source's path")
    return path


# As in .gitignore: without a slash at any depth, with one from the source's path on; ** stands for any folders.
Pattern = Annotated[str, Field(min_length=1), AfterValidator(_checked)]


# Which folder is the class: the first one, or the one in each part of a split that the source came with.
Layout = Literal["class", "split/class"]


class SourceParams(Section):
    """Where images come from: `raw` ones only train, `production` ones also measure.

    path: a folder, or a zip or tar archive. inside: a folder in it that all paths start from.
    labels: where labels come from; folders, if it is not there.
    layout: of class folders; split/class where they lie in the folders of a split, which are joined. If it is not
        there, folders that are called as parts of a split are an error.
    include: if it is there, files that no pattern matches are left alone. exclude: so are those that one matches.
    """

    role: Literal["raw", "production"]
    path: Annotated[str, Field(min_length=1)]
    inside: Annotated[str, Field(pattern=r"^[^/]"), AfterValidator(_inside)] | None = None
    labels: AnyLabels = FolderLabels(name="folders")
    layout: Layout | None = None
    include: Annotated[tuple[Pattern, ...], Field(strict=False, min_length=1)] = ("*",)
    exclude: Annotated[tuple[Pattern, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _layouts_are_of_folders(self) -> Self:
        if self.layout is not None and self.labels.name != "folders":
            raise ValueError(f"layout is of class folders, and labels come from {self.labels.name}: leave it out")
        return self

    @model_validator(mode="after")
    def _raw_images_have_labels(self) -> Self:
        if self.role == "raw":
            unlabelled = self.labels.name == "none" or getattr(self.labels, "unlisted", "") == "unlabelled"
            if unlabelled:
                raise ValueError(
                    "raw images without a label are of no use: give labels, or make the source a production one"
                )
        return self


class SampleParams(Section):
    """The demonstration data; `raw_imbalance` is largest over smallest raw class (1 = even)."""

    seed: Seed
    raw_imbalance: Annotated[float, Field(ge=1, le=100)]


Channel = Annotated[int, Field(ge=0, le=255)]


class JpegEncoding(Section):
    """Lossy, for photos."""

    name: Literal["jpeg"]
    quality: Annotated[int, Field(ge=1, le=100)]


class PngEncoding(Section):
    """Lossless, for tiny pictures and line art."""

    name: Literal["png"]


class IngestParams(Section):
    """How a file becomes a square picture of `size` pixels a side."""

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


Level = Annotated[int, Field(ge=0, le=256)]


class IssueParams(Section):
    """From which value on an image is marked; the values are facts of the manifest (core/curate/issues.py)."""

    blurry: Share
    dark: Level
    bright: Level
    blank: Level
    low_information: Annotated[float, Field(ge=0, le=8)]
    odd_aspect: Share
    odd_size: Annotated[float, Field(ge=1)]
    greyscale: Level


class CurateParams(Section):
    """What becomes of one picture that stands under two labels, and of near copies; what marks an image."""

    conflicting_labels: Literal["reject", "keep", "error"]
    near_duplicates: Literal["group", "ignore"]
    issues: IssueParams
