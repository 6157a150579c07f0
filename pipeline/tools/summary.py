"""Summarise the last run: the optimizing metric by split, the limits, the diagnosis and the output files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import SEEN_SPLITS
from pipeline.metrics.evaluation import ends_in_words
from pipeline.metrics.metric import key_of
from pipeline.names import printable
from pipeline.project.params_file import Params
from pipeline.report_schemas import EVALUATION
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.store.artifacts import check_schema
from pipeline.store.dvc_lock import LOCK, locked_stages
from pipeline.store.timing import Timing, in_words, of_stages
from pipeline.tools.judged_limits import JudgedLimit, judged_limits
from pipeline.tools.lineage import TRAIN, of_workspace

FILES = {
    "what training sees": catalogue.PREVIEW_VARIANTS.path,
    "model": catalogue.MODEL.path,
    "metrics": catalogue.EVALUATE_METRICS.path,
    "diagnosis": catalogue.DIAGNOSIS_TEXT.path,
    "rejected files": catalogue.INGEST_REJECTED.named(name="<source>").path,
    "removed duplicates": catalogue.CURATE_REMOVED.path,
}


def print_summary(params: Params, console: Console) -> None:
    """Print the summary.

    Raises:
        MissingInputError: there is no run yet.
        DataError: params.yaml names a metric or limits that the last run did not measure.
    """
    metrics = catalogue.EVALUATE_METRICS.read(Path(catalogue.EVALUATE_METRICS.path))
    _check_current(metrics, params.evaluate)
    limits = judged_limits(metrics, params.evaluate)
    diagnosis = catalogue.DIAGNOSIS_TEXT.read(Path(catalogue.DIAGNOSIS_TEXT.path))
    if other := of_workspace():
        words = f"not of one run: {other}. Shown is the last evaluation. For results of one run: run `dvc repro`"
        console.print(escape(words), soft_wrap=True)
        console.print()
    console.print(_splits(metrics, params.evaluate))
    console.print(_limits(limits))
    if moved := [name for name, limit in limits.items() if limit.held != metrics["limits"][name]["held"]]:
        words = f"bounds have moved since the last evaluation: {', '.join(moved)}. For the verdict: run `dvc repro`"
        console.print(escape(printable(words)), soft_wrap=True)
    for line in diagnosis.split("\n|")[0].splitlines():
        # A command must stay one line, to be copied.
        console.print(escape(printable(line)), soft_wrap="`" in line)
    times = of_stages(Path(catalogue.TIMING), locked_stages(Path(LOCK)))
    took = next((one.fit_seconds for one in times if one.stage == TRAIN), None)
    if took is not None and "this training" in diagnosis:
        console.print(f"This training took {in_words(took)} on this machine.")
    console.print()
    if times:
        console.print(_times(times))
    for name, path in FILES.items():
        console.print(f"{name:20}{escape(path)}", soft_wrap=True)
    console.print(f"{'plots':20}dvc plots show --open", soft_wrap=True)


def _times(times: Sequence[Timing]) -> Table:
    table = Table(title="time of each stage, when it last ran on this machine", title_justify="left")
    table.add_column("stage")
    for column in ("seconds", "images per second", "seconds per epoch"):
        table.add_column(column, justify="right")
    for one in times:
        rate, epoch = one.images_per_second, one.epoch_seconds
        cells = ["" if rate is None else f"{rate:,.0f}", "" if epoch is None else f"{epoch:.2f}"]
        table.add_row(escape(one.stage), f"{one.seconds:,.1f}", *cells)
    return table


def _check_current(metrics: Mapping[str, Any], params: EvaluateParams) -> None:
    key = key_of(params.optimizing)
    check_schema(metrics, EVALUATION, Path(catalogue.EVALUATE_METRICS.path))
    values = [metrics[split] for split in SEEN_SPLITS]
    same_metric = all(key in each and each.get("optimizing") == each[key] for each in values)
    if not same_metric:
        raise DataError(f"{catalogue.EVALUATE_METRICS.path} does not have the metric {key}: run `dvc repro`")


def _splits(metrics: Mapping[str, Any], params: EvaluateParams) -> Table:
    name = key_of(params.optimizing)
    table = Table(title=escape(f"{name} (optimizing metric)"), title_justify="left")
    table.add_column("split")
    for column in ("images", escape(name), "95 % interval"):
        table.add_column(column, justify="right")
    for split in SEEN_SPLITS:
        values = metrics[split]
        interval = ends_in_words(values["low"], values["high"])
        table.add_row(split, f"{values['images']:,}", f"{values['optimizing']:.4f}", interval)
    return table


def _limits(limits: Mapping[str, JudgedLimit]) -> Table:
    verdict = "accepted" if all(limit.held for limit in limits.values()) else "rejected"
    table = Table(title=f"limits on dev: model {verdict}", title_justify="left")
    table.add_column("limit")
    table.add_column("value", justify="right")
    table.add_column("must be", justify="right")
    table.add_column("held")
    for name, limit in limits.items():
        table.add_row(escape(name), f"{limit.value:.4f}", limit.rule, "yes" if limit.held else "no")
    return table
