"""Check DVC's databases of hashes and links outside the workspace: damaged ones stop every DVC command.

They only save time. A full disk or a loss of power while DVC writes can damage one.
"""

import sqlite3
import traceback
from functools import partial
from pathlib import Path

from pipeline.store.writing import remove
from pipeline.tools.doctor.findings import Problem


def state_problems(folder: Path) -> list[Problem]:
    """The damaged databases below a folder."""
    return [state_problem(path) for path in sorted(folder.rglob("*.db")) if not _is_whole(path)]


def state_problem(path: Path) -> Problem:
    """That a database is damaged."""
    what = f"DVC's database {path} is damaged: DVC commands fail on it"
    return Problem(what, "", partial(remove, path.parent))


def culprit(error: sqlite3.DatabaseError) -> Path:
    """The database that an error of DVC came from."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    folders = [getattr(frame.f_locals.get("self"), "directory", None) for frame in frames]
    return Path(next(folder for folder in reversed(folders) if folder), "cache.db")


def _is_whole(path: Path) -> bool:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return True  # gone since, or not ours to read
    try:
        return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        return True  # in use
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()
