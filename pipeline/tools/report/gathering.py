"""Gather the results of the last run, section by section; an empty section names the command that fills it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline import catalogue
from pipeline.errors import PipelineError
from pipeline.label_sets import LabelNames
from pipeline.manifest import DEV, SEEN_SPLITS, SPLITS
from pipeline.metrics.confusion import confusion_matrix, per_class
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import key_of
from pipeline.metrics.predictions import classes_of
from pipeline.models.baselines import Baseline
from pipeline.project.params_file import Params
from pipeline.store.dvc_lock import LOCK, locked_stages
from pipeline.store.timing import Timing, of_stages
from pipeline.tools import compare
from pipeline.tools.errors import ERRORS_TABLE, has_tags, ranking
from pipeline.tools.improve.log import Entry, entries
from pipeline.tools.inline_svg import svg_of
from pipeline.tools.map.drawing import PANELS, TITLES, panel_of
from pipeline.tools.map.points import map_points
from pipeline.tools.report import plots
from pipeline.tools.report.sheets import SHEETS, read
from pipeline.tools.tune.tables import TRIALS, figures_of_search
from pipeline.workers.engine import Engine, choose_workers

MAX_PAIRS, MAX_WORST, MAX_SLICES, MAX_COMMITS = 10, 20, 60, 20
# What a file of another version, or one that somebody edited, may raise.
UNLIKE = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass(frozen=True)
class PageSection:
    """The content of a section, or why it is empty and which command fills it."""

    value: Any = None
    missing: str = ""


def gather(params: Params, tags: Path | None) -> dict[str, PageSection]:
    """All sections of the page by name.

    Args:
        tags: a table of errors that was filled in; without one, that of `pipeline errors`, if it is.
    """
    makers: Mapping[str, Callable[[Params], Any]] = {
        "diagnosis": _diagnosis,
        "verdict": _verdict,
        "levels": _levels,
        "sources": _sources,
        "splits": _splits,
        "training": _training,
        "proof": _proof,
        "classes": _classes,
        "curves": _curves,
        "confusion": _confusion,
        "slices": _slices,
        "times": _times,
        "search": _search,
        "tries": _tries,
        "experiments": _experiments,
        "test_evaluations": _test_evaluations,
        "map": _map,
        "tags": partial(_tags, path=tags),
        **{f"sheet_{name}": make for name, make in SHEETS.items()},
    }
    return {name: _section(make, params) for name, make in makers.items()}


def _section(make: Callable[[Params], Any], params: Params) -> PageSection:
    try:
        return PageSection(make(params))
    except PipelineError as error:
        return PageSection(missing=str(error))
    except UNLIKE as error:
        return PageSection(missing=f"this result cannot be shown ({type(error).__name__}: {error}): run `dvc repro`")


def _latest_diagnosis() -> Mapping[str, Any]:
    """The conclusion, which knows of test, if it is of the same errors as the diagnosis; else the diagnosis."""
    found: Mapping[str, Any] = read(catalogue.DIAGNOSIS)
    if Path(catalogue.FINAL_DIAGNOSIS.path).exists():
        last: Mapping[str, Any] = read(catalogue.FINAL_DIAGNOSIS)
        if all(level in last["levels"] for level in found["levels"]):
            return last
    return found


def _diagnosis(_: Params) -> Mapping[str, Any]:
    found = _latest_diagnosis()
    # Looked at here, so that a report of another version is missed as one.
    return {name: found[name] for name in ("sentence", "gaps", "findings", "steps")}


def _levels(_: Params) -> Markup:
    found = _latest_diagnosis()
    return plots.levels_plot(found["levels"], found["gaps"])


def _verdict(params: Params) -> Mapping[str, Any]:
    metrics = read(catalogue.EVALUATE_METRICS)
    key = key_of(params.evaluate.optimizing)
    splits = {split: metrics[split] for split in SEEN_SPLITS if split in metrics}
    return {
        "metric": key,
        "current": all(part.get(key) == part["optimizing"] for part in splits.values()),
        "accepted": metrics["accepted"],
        "splits": splits,
        "limits": [
            {"name": name, **limit, **_bounds(params, name)} for name, limit in sorted(metrics["limits"].items())
        ],
    }


def _bounds(params: Params, name: str) -> Mapping[str, Any]:
    limit = params.evaluate.satisficing.get(name)
    return {"min": limit and limit.min, "max": limit and limit.max}


def _sources(params: Params) -> Sequence[Mapping[str, Any]]:
    curated = read(catalogue.CURATE_METRICS)["sources"]
    rows = []
    for name, source in params.sources.items():
        ingested = read(catalogue.INGEST_METRICS.named(name=name))
        counts = {column: ingested[column] for column in ("files", "rejected", "ignored", "accepted")}
        about = {column: curated.get(name, {}).get(column, 0) for column in ("removed", "kept", "unlabelled")}
        rows.append({"name": name, "role": source.role, **counts, **about})
    return rows


def _splits(_: Params) -> Mapping[str, Any]:
    metrics = read(catalogue.SPLIT_METRICS)
    return {
        "rows": [{"name": split, **metrics[split]} for split in SPLITS if split in metrics],
        "excluded": metrics["excluded"],
        "unlabelled": metrics["unlabelled"],
    }


def _training(_: Params) -> list[tuple[str, int]]:
    balance, augment = read(catalogue.BALANCE_METRICS), read(catalogue.AUGMENT_METRICS)
    return [
        ("train, as split", balance["before"]["rows"]),
        ("after balance", balance["after"]["rows"]),
        ("distinct images", augment["originals"]),
        ("variants of them", augment["variants"]),
    ]


def _proof(_: Params) -> Mapping[str, Any]:
    table = read(catalogue.SPLIT_MATCHING)
    # Where a side has fewer than two groups nothing was measured (metrics/matching.py): neither yes nor no is true.
    table = table[(table["groups"] >= 2) & (table["others"] >= 2)]
    tests = list(dict.fromkeys(table["test"].astype(str)))
    rows = []
    for comparison, part in table.groupby("comparison", sort=False):
        by_test = part.set_index("test").to_dict("index")
        domain = by_test.get("domain")
        rows.append(
            {
                "name": str(comparison).replace("_vs_", " and "),
                "must": str(comparison).startswith(("dev", "test")),
                "matched": [bool(by_test[test]["matched"]) if test in by_test else None for test in tests],
                "p": [float(by_test[test]["p_holm"]) if test in by_test else None for test in tests],
                "auc": None if domain is None else [float(domain[name]) for name in ("statistic", "low", "high")],
            }
        )
    return {"tests": tests, "rows": rows}


def _classes(_: Params) -> Mapping[str, Any]:
    table = read(catalogue.BALANCE_COUNTS)
    # The bar's name keeps a class such as 007 as it is called.
    names = table["bar"].astype(str).str.rpartition(", ")[0]
    counts = {
        when: dict(
            zip(names[table["when"] == when], table.loc[table["when"] == when, "weight"].astype(float), strict=True)
        )
        for when in ("before", "after")
    }
    plot = plots.classes_plot(counts["before"], counts["after"])
    return {"plot": plot, "classes": len(counts["before"]), "shown": min(len(counts["before"]), plots.MAX_CLASSES)}


def _curves(params: Params) -> Mapping[str, Any]:
    found = read(catalogue.CURVES)
    if not found.epochs:
        raise ValueError("no epochs")
    titles = [("loss", "loss"), ("optimizing metric", "optimizing")]
    baseline = isinstance(params.train.model, Baseline) and len(found.epochs) == 1
    shown = [] if baseline else titles
    return {
        "plots": [plots.curves_plot(found.epochs, name, found.kept, title) for title, name in shown],
        "model": params.train.model.name,
        "titles": titles,
        "last": found.epochs[-1],
        "ensemble": _ensemble(),
    }


def _ensemble() -> Mapping[str, Any] | None:
    """What became of an ensemble; None without one, and in a run that is older than ensembles."""
    if not Path(catalogue.ENSEMBLE.path).exists():
        return None
    found: Mapping[str, Any] = read(catalogue.ENSEMBLE)
    return None if found["name"] == "none" else found


def _confusion(_: Params) -> Mapping[str, Any]:
    predictions = read(catalogue.PREDICTIONS)
    dev = predictions[predictions["split"] == DEV]
    classes = classes_of(predictions)
    if isinstance(classes, LabelNames):
        return _labels()
    matrix = confusion_matrix(dev["label"].to_numpy(), dev["predicted"].to_numpy(), classes)
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = [divmod(int(cell), len(classes)) for cell in np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]]
    return {
        "plot": plots.confusion_plot(matrix, classes),
        "several": False,
        "classes": len(classes),
        "shown": min(len(classes), plots.MAX_MATRIX_CLASSES),
        "pairs": [
            {
                "actual": classes[actual],
                "called": classes[called],
                "images": int(wrong[actual, called]),
                "of": int(matrix[actual].sum()),
            }
            for actual, called in pairs
            if wrong[actual, called]
        ],
        "worst": per_class(matrix, classes).sort_values("recall", kind="stable").head(MAX_WORST).to_dict("records"),
    }


def _labels() -> Mapping[str, Any]:
    """Instead of the confusion matrix, where an image may have several labels: each label by itself."""
    table: pd.DataFrame = read(catalogue.PER_CLASS)
    # Empty cells, of labels without an image or an interval, are read as texts.
    numbers = [name for name in table.columns if name != "label"]
    table = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})
    return {
        "plot": plots.labels_plot(table),
        "classes": len(table),
        "shown": min(len(table), plots.MAX_CLASSES),
        "several": True,
        "pairs": [],
        "worst": table.sort_values("f1", kind="stable").head(MAX_WORST).to_dict("records"),
    }


def _slices(_: Params) -> Mapping[str, Any]:
    table = read(catalogue.SLICES)
    table = table[table["split"] == DEV].sort_values("error_rate", ascending=False, kind="stable")
    rows = [
        {
            "column": str(row["column"]),
            "value": str(row["bar"]).removeprefix(f"{row['split']} {row['column']}="),
            "images": int(row["images"]),
            "error_rate": float(row["error_rate"]),
        }
        for row in table.head(MAX_SLICES).to_dict("records")
    ]
    return {"rows": rows, "more": len(table) - len(rows)}


def _experiments(params: Params) -> Sequence[Any]:
    return compare.comparison(params.evaluate, MAX_COMMITS)


def _search(params: Params) -> Mapping[str, Markup] | None:
    """The plots of the last search by their titles; nothing where there was none."""
    if not Path(TRIALS.path).exists():
        return None
    optimizing = params.evaluate.optimizing
    found = figures_of_search(key_of(optimizing), METRICS.of(optimizing).maximise)
    return {title: svg_of(figure, f"search-{place}", title) for place, (title, figure) in enumerate(found.items())}


def _tries(_: Params) -> Sequence[Entry]:
    """Of `pipeline improve`, those from one commit, the latest ones."""
    found = entries()
    return [entry for entry in found if entry.session == found[-1].session]


def _times(_: Params) -> Sequence[Timing]:
    return of_stages(Path(catalogue.TIMING), locked_stages(Path(LOCK)))


def _test_evaluations(_: Params) -> Sequence[Any]:
    entries: Sequence[Any] = read(catalogue.LEDGER)
    return entries


def _map(_: Params) -> Mapping[str, Any]:
    points, kind = map_points(Engine(choose_workers(None)))
    panels = {TITLES[panel]: panel_of(points, panel) for panel in PANELS}
    shown = {title: svg_of(figure, f"map-{place}", f"Map of the data, {title}")
             for place, (title, figure) in enumerate(panels.items()) if figure is not None}  # fmt: skip
    return {"panels": shown, "images": len(points), "kind": kind}


def _tags(params: Params, path: Path | None) -> Any:
    if path is None and not has_tags(ERRORS_TABLE):
        return None
    return ranking(DEV, path or ERRORS_TABLE, params.evaluate)
