"""Write the map of the data: all panels as a picture, and the points as a table."""

from pathlib import Path

from pipeline.store.spreadsheets import spreadsheet_bytes
from pipeline.store.writing import write_files
from pipeline.tools.figures import table_beside
from pipeline.tools.map.points import map_points
from pipeline.workers.engine import Engine


def write_map(output: Path, engine: Engine) -> str:
    """Write both files, or none, and return what they show.

    Raises:
        ParamsError: the picture's name is not one of a PNG file.
        StorageError: a file cannot be written.
        MissingInputError: the stages before the map have not run.
    """
    # matplotlib takes a second to import.
    from pipeline.tools.map.drawing import PANELS, TITLES, panel_of
    from pipeline.tools.map.sheet import map_sheet

    table = table_beside(output)
    points, kind = map_points(engine)
    panels = {TITLES[panel]: figure for panel in PANELS if (figure := panel_of(points, panel)) is not None}
    columns = {str(name): [str(value) for value in points[name]] for name in points}
    write_files({output: map_sheet(panels), table: spreadsheet_bytes(columns)})
    return f"{output}, {table}: {len(points):,} images by their {kind}; images that look alike lie near each other"
