"""Params of the stage curate."""

from typing import Annotated, Any, Literal

from pydantic import create_model

from pipeline.issues import ISSUES
from pipeline.registry import OneOf
from pipeline.section import Section


class IssueParams(Section):
    """A threshold for each row of ISSUES: the value from which on an image is marked."""


_FIELDS: Any = {name: (issue.level, ...) for name, issue in ISSUES.items()}
_IssueLevels = create_model("_IssueLevels", __base__=IssueParams, __module__=__name__, **_FIELDS)


class CurateParams(Section):
    """What becomes of one picture under two labels, of near copies and of images of one scene; what marks an image."""

    conflicting_labels: Literal["reject", "keep", "error"]
    near_duplicates: Literal["group", "ignore"]
    scenes: Literal["group", "report", "ignore"]
    issues: Annotated[IssueParams, OneOf((_IssueLevels,))]
