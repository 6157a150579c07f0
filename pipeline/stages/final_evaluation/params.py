"""Params of the final evaluation."""

from typing import Literal

from pipeline.section import Count, Section


class FinalEvaluationParams(Section):
    """How many models may be looked at on test, and what then; and whether one that broke a limit on dev may be."""

    max_test_evaluations: Count
    beyond_max_test_evaluations: Literal["refuse", "allow"]
    rejected_model: Literal["refuse", "allow"]
