"""The folder tune/: tables and pictures of the last search, as plots of DVC, and read again for the page."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.errors import MissingInputError
from pipeline.store.artifacts import plotted, spreadsheet, table
from pipeline.store.writing import remove, replacing, write_bytes
from pipeline.tools.tune.pictures import history, history_figure, importances_figure, parallel_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pipeline.tools.tune.outcome import Outcome

OUTPUT = Path("tune")
TRIALS, IMPORTANCES = spreadsheet("tune/trials.csv"), plotted("tune/importances.csv")
HISTORY = table("tune/history.csv")
# Of the method architecture alone.
ARCHITECTURES = spreadsheet("tune/architectures.csv")
PARALLEL = OUTPUT / "parallel_coordinates.png"
# DVC shows what any dvc.yaml lists under `plots`; this one has no stages.
PLOTS = """\
# Written by `pipeline tune`: `dvc plots show` shows the last search.
plots:
  - search_history:
      title: Trials of the last search, and the best so far that holds all limits
      template: linear
      x: trial
      y:
        history.csv: [value, best]
  - importances.csv:
      title: How much of the differences between trials each param explains
      template: bar_horizontal
      x: importance
      y: param
  - parallel_coordinates.png
"""


def write_search(found: "Outcome", maximise: bool) -> None:
    """Write the tables of a search, its pictures, and the list of plots that DVC reads."""
    OUTPUT.mkdir(exist_ok=True)
    importances = pd.DataFrame({"param": [*found.importances], "importance": [*found.importances.values()]})
    so_far = history(found.trials, maximise).drop(columns="holds")
    tables = [(TRIALS, found.trials), (IMPORTANCES, importances), (HISTORY, so_far)]
    if found.beside is None:
        remove(Path(ARCHITECTURES.path))
    else:
        tables.append((ARCHITECTURES, found.beside.table))
    for artifact, frame in tables:
        path = Path(artifact.path)
        with replacing(path) as half:
            artifact.write(frame, half)
    picture = BytesIO()
    figure = parallel_figure(found.trials, found.metric, maximise)
    figure.savefig(picture, format="png", dpi=150, metadata={"Software": None})
    for path, data in ((PARALLEL, picture.getvalue()), (OUTPUT / "dvc.yaml", PLOTS.encode())):
        with replacing(path) as half:
            write_bytes(data, half)


def figures_of_search(metric: str, maximise: bool) -> "Mapping[str, Figure]":
    """Title -> figure of the last search.

    Raises:
        MissingInputError: there was none.
    """
    if not Path(TRIALS.path).exists():
        raise MissingInputError(f"{TRIALS.path} is missing: run `pipeline tune`")
    trials, importances = (artifact.read(Path(artifact.path)) for artifact in (TRIALS, IMPORTANCES))
    explained: dict[str, Any] = dict(zip(importances["param"], importances["importance"].astype(float), strict=True))
    figures = {"Trials, and the best so far": history_figure(trials, metric, maximise)}
    if explained:
        figures["What each param explains"] = importances_figure(explained)
    return {**figures, "Values of all trials, and of the best fifth": parallel_figure(trials, metric, maximise)}
