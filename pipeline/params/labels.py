"""Where the labels of a source's images come from."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Section

Name = Annotated[str, Field(min_length=1)]
# A file that no label names: left alone, or an image of production without a label.
Unlisted = Literal["ignore", "unlabelled"]


class FolderLabels(Section):
    """The first folder of an image's path, at any depth; of production, images in no folder have no label."""

    name: Literal["folders"]


class NoLabels(Section):
    """No image has a label: production images as they come, in any folders."""

    name: Literal["none"]


class Columns(Section):
    """What the columns of a table are called; null: it has no such column. Others travel as meta_<name>."""

    path: Name
    label: Name | None
    group: Name | None
    captured_at: Name | None


class TableLabels(Section):
    """A row an image, in a CSV, Parquet or JSONL file inside the source; an empty label is none."""

    name: Literal["table"]
    file: Name
    columns: Columns
    unlisted: Unlisted


class LabelStudioLabels(Section):
    """A JSON export of Label Studio inside the source.

    image: the key of a task's data that names the image: `prefix`, then the path inside the source.
    choice: the name of the Choices tag whose answer is the label.
    disagreement: of several people's answers, whether all must agree, or more than half of them.
    strip_hash: whether Label Studio has put eight digits and a hyphen before the names of files, as it does when they
        are uploaded to it.
    """

    name: Literal["label_studio"]
    file: Name
    image: Name
    prefix: str
    choice: Name
    disagreement: Literal["reject", "majority"]
    unlisted: Unlisted
    strip_hash: bool = False


AnyLabels = Annotated[FolderLabels | NoLabels | TableLabels | LabelStudioLabels, Field(discriminator="name")]
