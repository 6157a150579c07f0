"""Gather the results of the last run, section by section; an empty section names the command that fills it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline import catalogue
from pipeline.errors import PipelineError
from pipeline.manifest import DEV, SEEN_SPLITS
from pipeline.metrics.limits import holds
from pipeline.metrics.measures import METRICS
from pipeline.metrics.metric import key_of
from pipeline.project.params_file import Params
from pipeline.store.dvc_lock import LOCK, locked_stages
from pipeline.store.timing import Timing, of_stages
from pipeline.tools import compare
from pipeline.tools.errors import ERRORS_TABLE, has_tags, ranking
from pipeline.tools.improve.log import Entry, entries
from pipeline.tools.inline_svg import svg_of
from pipeline.tools.map.drawing import PANELS, TITLES, panel_of
from pipeline.tools.map.points import map_points
from pipeline.tools.report import data_sections, model_sections, plots
from pipeline.tools.report.sheets import SHEETS, read
from pipeline.tools.tune.tables import TRIALS, figures_of_search
from pipeline.workers.engine import Engine, choose_workers

MAX_COMMITS = 20
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
        "sources": data_sections.sources,
        "splits": data_sections.splits,
        "training": data_sections.training,
        "proof": data_sections.proof,
        "classes": data_sections.classes,
        "curves": model_sections.curves,
        "confusion": model_sections.confusion,
        "slices": model_sections.slices,
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
    shown = {name: found[name] for name in ("sentence", "gaps", "findings", "steps")}
    return {**shown, "numbers": _in_numbers(found)}


def _in_numbers(diagnosis: Mapping[str, Any]) -> bool:
    """Whether errors are of numbers, in their unit."""
    return diagnosis.get("unit") == "numbers"


def _levels(_: Params) -> Markup:
    found = _latest_diagnosis()
    return plots.levels_plot(found["levels"], found["gaps"], _in_numbers(found))


def _verdict(params: Params) -> Mapping[str, Any]:
    metrics = read(catalogue.EVALUATE_METRICS)
    key = key_of(params.evaluate.optimizing)
    splits = {split: metrics[split] for split in SEEN_SPLITS if split in metrics}
    limits = [
        {"name": name, **limit, **_bounds(params, name, limit)} for name, limit in sorted(metrics["limits"].items())
    ]
    same_metric = all(part.get(key) == part["optimizing"] for part in splits.values())
    return {
        "metric": key,
        "current": same_metric and set(metrics["limits"]) == set(params.evaluate.satisficing),
        "accepted": all(limit["held"] for limit in limits),
        "splits": splits,
        "limits": limits,
    }


def _bounds(params: Params, name: str, measured: Mapping[str, Any]) -> Mapping[str, Any]:
    """The bounds of a limit as params have them now, and whether what was measured is within them."""
    limit = params.evaluate.satisficing.get(name)
    if limit is None:
        return {"min": None, "max": None, "held": measured["held"]}
    return {"min": limit.min, "max": limit.max, "held": holds(limit, measured["value"])}


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
