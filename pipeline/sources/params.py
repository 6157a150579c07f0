"""Params of sources: where the images and their labels come from."""

import posixpath
import re
from typing import Annotated, Literal, Self

from pathspec import GitIgnoreSpec
from pydantic import AfterValidator, Field, model_validator

from pipeline.section import Section
from pipeline.sources.urls import url_problem
from pipeline.stages.ingest.params import ValueRange

Name = Annotated[str, Field(min_length=1)]
# A file that no label names: left alone, or an image of production without a label.
Unlisted = Literal["ignore", "unlabelled"]


class FolderLabels(Section):
    """Labels are the first folder of each image's path. Production images in no folder have no label."""

    name: Literal["folders"]


class NoLabels(Section):
    """No image has a label; production images may be in any folders."""

    name: Literal["none"]


class Columns(Section):
    """The names of a table's columns; null if it has no such column. Other columns are kept as meta_<name>."""

    path: Name
    label: Name | None
    group: Name | None
    captured_at: Name | None


class TableLabels(Section):
    """One row per image in a CSV, Parquet or JSONL file inside the source; an empty label means none.

    separator: what stands between the labels of one cell, such as | in cat|dog; null: a cell is one label.
    prefix: what is taken off the beginning of paths, such as /home/ana/photos/ of the machine that wrote the table.
    """

    name: Literal["table"]
    file: Name
    columns: Columns
    unlisted: Unlisted
    separator: Annotated[str, Field(min_length=1, max_length=3)] | None = None
    prefix: str = ""


class LabelStudioLabels(Section):
    """A JSON export of Label Studio inside the source.

    image: the key of a task's data that names the image: `prefix`, then the path inside the source.
    choice: the name of the Choices tag whose answer is the label.
    disagreement: of several people's answers, whether all must agree, or more than half of them.
    strip_hash: whether Label Studio has put eight digits and a hyphen before the names of files, as it does when they
        are uploaded to it.
    several_choices: one person's answer with several choices rejects the image, or is a set of labels.
    """

    name: Literal["label_studio"]
    file: Name
    image: Name
    prefix: str
    choice: Name
    disagreement: Literal["reject", "majority"]
    unlisted: Unlisted
    strip_hash: bool = False
    several_choices: Literal["reject", "keep"] = "reject"


AnyLabels = Annotated[FolderLabels | NoLabels | TableLabels | LabelStudioLabels, Field(discriminator="name")]


# Source names stand in shell commands and paths, so that they are kept plain.
SourceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


def _checked(pattern: str) -> str:
    try:
        GitIgnoreSpec.from_lines([pattern])
    except (ValueError, re.error) as error:
        raise ValueError(f"{pattern!r} is not a pattern as in .gitignore") from error
    return pattern


def _path(path: str) -> str:
    if (problem := url_problem(path)) is not None:
        raise ValueError(problem)
    return path


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

    path: a folder, or a zip or tar archive; one in an object store by its URL. inside: a folder in it that all paths
        start from.
    labels: where labels come from; folders, if it is not there.
    layout: of class folders; split/class where they lie in the folders of a split, which are joined. If it is not
        there, folders that are called as parts of a split are an error.
    include: if it is there, files that no pattern matches are left alone. exclude: so are those that one matches.
    value_range: of its images, in place of ingest's.
    """

    role: Literal["raw", "production"]
    path: Annotated[str, Field(min_length=1), AfterValidator(_path)]
    inside: Annotated[str, Field(pattern=r"^[^/]"), AfterValidator(_inside)] | None = None
    labels: AnyLabels = FolderLabels(name="folders")
    layout: Layout | None = None
    include: Annotated[tuple[Pattern, ...], Field(strict=False, min_length=1)] = ("*",)
    exclude: Annotated[tuple[Pattern, ...], Field(strict=False)] = ()
    value_range: ValueRange | None = None

    @model_validator(mode="after")
    def _layouts_are_of_folders(self) -> Self:
        if self.layout is not None and self.labels.name != "folders":
            raise ValueError(f"layout applies to class folders, but labels come from {self.labels.name}: remove it")
        return self

    @model_validator(mode="after")
    def _raw_images_have_labels(self) -> Self:
        if self.role == "raw":
            unlabelled = self.labels.name == "none" or getattr(self.labels, "unlisted", "") == "unlabelled"
            if unlabelled:
                raise ValueError("raw images need labels: set labels, or give the source the role production")
        return self
