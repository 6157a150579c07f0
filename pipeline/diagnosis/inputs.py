"""What a diagnosis reads, and which params it needs; the final one reads the predictions on test as well."""

from collections.abc import Mapping

from pipeline import catalogue
from pipeline.diagnosis.param_changes import Run
from pipeline.stage import Group

PARAMS: Mapping[str, str | Group] = {
    "params": "diagnose",
    "run": Group(Run, {name: name for name in ("curate", "split", "balance", "augment", "train", "evaluate")}),
}
READS = {
    "predictions": catalogue.PREDICTIONS,
    "manifest": catalogue.SPLIT,
    "curves": catalogue.CURVES,
    "label_issues": catalogue.LABEL_ISSUES_METRICS,
    "feedback": catalogue.FEEDBACK,
}
