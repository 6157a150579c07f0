"""Numbers per epoch, as DVCLive writes them for DVC's plots."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from pipeline.errors import DataError, StorageError
from pipeline.store.artifacts import Artifact, folder, report
from pipeline.store.reading import maker, read_bytes

# Where DVCLive writes the values of each epoch, in its folder.
TSV = "plots/metrics"


class _Summary(BaseModel):
    """What is read again of its summary: the epoch that was kept."""

    model_config = ConfigDict(strict=True)

    step: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Curves:
    """Numbers per epoch, and the epoch (counted from 0) whose weights were kept.

    summary: other numbers of the fit, for metrics.json alone; they are not read again.
    """

    epochs: Sequence[Mapping[str, float]]
    kept: int
    summary: Mapping[str, Any] = field(default_factory=dict)


def curves(path: str) -> Artifact:
    """An artifact: the folder of plots and metrics.json that DVCLive writes; the metrics are the kept epoch's."""

    def write(values: Curves, place: Path) -> None:
        from dvclive.live import Live
        from scmrepo.exceptions import SCMError

        try:
            # dvc.yaml declares the plots itself, and DVC, not DVCLive, keeps the experiments.
            with Live(str(place), dvcyaml=None, save_dvc_exp=False, report=None, monitor_system=False) as live:
                for epoch in values.epochs:
                    for name, value in epoch.items():
                        live.log_metric(name, value)
                    live.next_step()
                # It would end with the last step again.
                live.summary["step"] = live.step = values.kept
                for name, value in values.epochs[values.kept].items():
                    live.log_metric(name, value, plot=False)
                live.summary.update(values.summary)
        except SCMError as error:
            raise StorageError(
                f"DVCLive cannot work in this Git repository ({error}): commit once, then run the command again"
            ) from error

    def read(place: Path) -> Curves:
        kept = report(path, TypeAdapter(_Summary)).read(place / "metrics.json")["step"]
        names = sorted(
            file.relative_to(place / TSV).with_suffix("").as_posix() for file in (place / TSV).rglob("*.tsv")
        )
        columns = {name: _tsv(place / TSV / f"{name}.tsv", name.rpartition("/")[2]) for name in names}
        epochs = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=False)]
        if epochs and kept >= len(epochs):
            raise DataError(f"{place} says that epoch {kept} of {len(epochs)} was kept: run `{maker(place)}`")
        return Curves(epochs, kept)

    return folder(path, read, write)


def _tsv(place: Path, name: str) -> list[float]:
    """A column of a table that DVCLive wrote."""
    try:
        rows = list(csv.DictReader(read_bytes(place).decode().splitlines(), delimiter="\t"))
        return [float(row[name]) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{place} is not a curve of numbers ({error}): run `{maker(place)}`") from error
