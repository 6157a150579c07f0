"""The table of advice for gaps and findings."""

from collections.abc import Mapping

from pipeline.diagnosis.advice import Advice
from pipeline.diagnosis.finding_advice import FINDING_ADVICE
from pipeline.diagnosis.gap_advice import GAP_ADVICE

TABLE: Mapping[str, tuple[Advice, ...]] = {**GAP_ADVICE, **FINDING_ADVICE}
