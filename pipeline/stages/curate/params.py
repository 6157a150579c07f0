"""Params of the stage curate."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.section import Section, Share

Level = Annotated[int, Field(ge=0, le=256)]


class IssueParams(Section):
    """From which value on an image is marked; the values are facts of the manifest (stages/curate/issues.py)."""

    blurry: Share
    dark: Level
    light: Level
    blank: Level
    low_information: Annotated[float, Field(ge=0, le=8)]
    odd_aspect_ratio: Share
    odd_size: Annotated[float, Field(ge=1)]
    grayscale: Level


class CurateParams(Section):
    """What becomes of one picture under two labels, of near copies and of images of one scene; what marks an image."""

    conflicting_labels: Literal["reject", "keep", "error"]
    near_duplicates: Literal["group", "ignore"]
    scenes: Literal["group", "report", "ignore"]
    issues: IssueParams
