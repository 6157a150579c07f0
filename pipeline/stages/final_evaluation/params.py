"""Params of the final evaluation."""

from typing import Literal

from pipeline.section import Count, Section


class FinalEvaluationParams(Section):
    """How many models may be evaluated on the test set, what happens after that, and whether rejected models may be."""

    max_test_evaluations: Count
    beyond_max_test_evaluations: Literal["refuse", "allow"]
    rejected_model: Literal["refuse", "allow"]
