"""Params of the stage curate."""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from pipeline.issues import ISSUES
from pipeline.registry import OneOf
from pipeline.section import Section, Value


class IssueParams(Section):
    """A threshold for each row of ISSUES: the value from which on an image is marked."""


_FIELDS: Any = {name: (issue.level, ...) for name, issue in ISSUES.items()}
_IssueLevels = create_model("_IssueLevels", __base__=IssueParams, __module__=__name__, **_FIELDS)


class CurateParams(Section):
    """What becomes of one picture under two labels, of near copies and of images of one scene; what marks an image.

    not_confounding: facts and columns of tables that may give the class away, because they follow from it.
    """

    conflicting_labels: Literal["reject", "keep", "error"]
    near_duplicates: Literal["group", "ignore"]
    scenes: Literal["group", "report", "ignore"]
    not_confounding: Annotated[tuple[Value, ...], Field(strict=False)]
    issues: Annotated[IssueParams, OneOf((_IssueLevels,))]
