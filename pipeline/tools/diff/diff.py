"""Compare the data of two runs: their images, and what other dev images do to the metric."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import catalogue
from pipeline.data.predictions import predict_rows
from pipeline.errors import DataError, MissingInputError, PipelineError
from pipeline.manifest import DEV
from pipeline.models.files import load_model
from pipeline.stages.evaluate.params import EvaluateParams
from pipeline.stages.ingest.params import IngestParams
from pipeline.store.artifacts import spreadsheet
from pipeline.store.shards import ShardReader
from pipeline.store.writing import replacing
from pipeline.tools.diff.effect import Effect, Part, metric_change
from pipeline.tools.diff.rows import NOWHERE, Changes, changes, rows_of
from pipeline.tools.revisions import Revision, Run, Workspace, repository, resolved
from pipeline.workers.engine import Engine

WORDS = {
    "came": "images came",
    "went": "images went",
    "renamed": "images have another name and the same content",
    "content": "images have other content under the same name",
    "label": "images have another label",
    "split": "images are in another split",
    "group": "images are in another group",
}


@dataclass(frozen=True)
class Diff:
    """What differs. effect: None where it cannot be told; `untold` says why."""

    before: str
    after: str
    changes: Changes
    effect: Effect | None
    untold: str

    def as_json(self) -> dict[str, Any]:
        """The same for JSON, without the table of images."""
        moved = self.changes.moved
        return {
            "before": self.before,
            "after": self.after,
            "images": {"before": self.changes.images_before, "after": self.changes.images_after},
            "changes": self.changes.counts,
            "splits": [
                {"before": before, "after": after, "images": int(moved.loc[before, after])}
                for before in moved.index
                for after in moved.columns
                if moved.loc[before, after]
            ],
            "metric": None if self.effect is None else asdict(self.effect),
            "untold": self.untold,
        }


def diff(before: str, after: str | None, params: EvaluateParams, threads: int, engine: Engine) -> Diff:
    """Compare two revisions, or one with the current folder.

    Args:
        threads: of the earlier model, where it must predict for images that its own dev did not have.

    Raises:
        DataError: a revision is unknown, or its files cannot be read.
        MissingInputError: a run has no split, or DVC's cache has not got it.
    """
    with repository() as found:
        earlier = Revision(found, before, resolved(found, before))
        later: Run = Workspace() if after is None else Revision(found, after, resolved(found, after))
        rows = changes(rows_of(earlier), rows_of(later))
        try:
            effect, untold = _effect(earlier, later, params, threads, engine), ""
        except PipelineError as error:
            effect, untold = None, str(error)
    return Diff(earlier.name, later.name, rows, effect, untold)


def write_table(found: Diff, path: Path) -> None:
    """Write the table of changed images as CSV.

    Raises:
        StorageError: the file cannot be written.
    """
    with replacing(path) as half:
        spreadsheet(path.as_posix()).write(found.changes.table, half)


def print_diff(found: Diff, console: Console) -> None:
    """Print counts, splits, and the parts of the metric's change."""
    rows = found.changes
    console.print(
        escape(f"{found.before}: {rows.images_before:,} images; {found.after}: {rows.images_after:,} images"),
        soft_wrap=True,
    )
    said = [f"  {count:,} {WORDS[name]}" for name, count in rows.counts.items() if count]
    console.print(escape("\n".join(said or ["  the same images, labels, splits and groups"])), soft_wrap=True)
    if any(rows.counts.values()):
        console.print(_splits(rows.moved, found))
    if found.effect is None:
        console.print(escape(f"the metric's change cannot be divided into its causes: {found.untold}"), soft_wrap=True)
    else:
        for line in effect_lines(found.effect, found.before):
            console.print(escape(line), soft_wrap=True)


def effect_lines(effect: Effect, before: str) -> list[str]:
    """The parts of a metric's change, a line each."""
    change = effect.after - effect.before
    lines = [f"{effect.metric} on dev: {effect.before:.4f} before, {effect.after:.4f} now ({_points(change)} points)"]
    if effect.dev_before == effect.dev_after == effect.common:
        return [
            *lines,
            f"  dev has the same images and labels, so all of it comes from the model: {_ends(effect.by_model)}",
        ]
    lines += [
        f"  {_points(effect.by_dev.value)} {_ends(effect.by_dev)} because dev has other images or labels: "
        f"the model of {before} on the earlier and on the current dev",
        f"  {_points(effect.by_model.value)} {_ends(effect.by_model)} because the model changed: "
        f"both models on the {effect.dev_after - effect.left_out:,} current dev images that neither was trained on",
    ]
    if effect.left_out:
        lines.append(
            f"  {_points(effect.rest)} because of {effect.left_out:,} current dev images that the model of {before} "
            "was trained on, or on images of their groups"
        )
    return lines


def _effect(earlier: Revision, later: Run, params: EvaluateParams, threads: int, engine: Engine) -> Effect:
    for run in (earlier, later):
        if reason := run.other_run():
            raise DataError(f"{run.name}: {reason}")
    before, after = (run.read(catalogue.PREDICTIONS) for run in (earlier, later))

    def predict(ids: list[str]) -> pd.DataFrame:
        return _predicted(earlier, later, ids, threads, engine)

    return metric_change(before, after, params.optimizing, predict)


def _predicted(earlier: Revision, later: Run, ids: list[str], threads: int, engine: Engine) -> pd.DataFrame:
    """What the earlier model says of dev images of the later run, whose pictures lie in the current folder."""
    model = load_model(earlier.read(catalogue.MODEL))
    try:
        ingest = IngestParams.model_validate(later.params().get("ingest"))
    except (ValidationError, ValueError) as error:
        raise DataError(f"{later.name}: params.yaml has no section `ingest` that can be read") from error
    if ingest != model.ingest:
        raise DataError(
            f"{len(ids):,} images are new in dev, and the model of {earlier.name} takes other pictures: "
            "`ingest` of params.yaml differs"
        )
    manifest = later.read(catalogue.SPLIT)
    rows = manifest[(manifest["split"] == DEV) & manifest["id"].isin(ids)].reset_index(drop=True)
    # A label is not looked at here, and the model may not know it.
    unlabelled = rows.assign(label=model.classes[0], split="")
    try:
        reader = ShardReader(Path(catalogue.ORIGINALS.path))
        predicted = predict_rows(model, unlabelled, reader, threads, engine, "the earlier model")
        return predicted.assign(split=DEV)
    except MissingInputError as error:
        raise DataError(
            f"{len(ids):,} images are new in dev, and their pictures are not here: "
            f"run `git checkout {later.name}` and `dvc checkout`, then compare with {earlier.name}"
        ) from error


def _splits(moved: pd.DataFrame, found: Diff) -> Table:
    table = Table(
        title=escape(f"images by split: {found.before} (rows), {found.after} (columns)"), title_justify="left"
    )
    table.add_column("")
    for name in moved.columns:
        table.add_column(escape(name if name != NOWHERE else "not there"), justify="right")
    for name, counts in zip(moved.index, moved.to_numpy().tolist(), strict=True):
        table.add_row(escape(name if name != NOWHERE else "not there"), *(f"{count:,}" for count in counts))
    return table


def _points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def _ends(part: Part) -> str:
    if part.low is None or part.high is None:
        return "(too few independent groups for an interval)"
    return f"({_points(part.low)} to {_points(part.high)})"
