"""A process on a node of a cluster: it reports its versions and what it can read, then works like a worker process.

It does not import Ray.
"""

import hashlib
import importlib.metadata
import os
import pickle
import platform
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]  # typeshed forgot it
from pathlib import Path
from typing import Any

from pipeline.workers.engine import run_in_own_process
from pipeline.workers.libraries import keep_freed_memory
from pipeline.workers.progress import silence
from pipeline.workers.serving import Job, Work

# In the environment of a node's processes: what the names of their half-written files end in, before the suffix.
WRITER_VARIABLE = "PIPELINE_WRITER"
# Their versions show in pixels, vectors or files.
LIBRARIES = (
    "albumentations", "image-data-pipeline", "numpy", "opencv-python-headless", "pandas", "pillow", "pyarrow",
    "scikit-learn", "scipy", "simplejpeg", "torch",
)  # fmt: skip


@dataclass(frozen=True)
class Workspace:
    """The folder in which the run works, and what its tasks read.

    marker: a file in it, relative, whose content is `token`: a node that reads the token sees the workspace.
    reads: absolute paths that tasks read.
    """

    folder: str
    marker: str
    token: str
    reads: tuple[str, ...]

    @property
    def tasks_read_it(self) -> bool:
        """Whether tasks read files of the workspace itself."""
        return any(Path(path).is_relative_to(self.folder) for path in self.reads)


@dataclass(frozen=True)
class NodeReport:
    """The versions of a node's process, and what it can read.

    versions: of Python, of libraries (absent ones are missing) and of the pipeline's own code, a hash.
    sees_workspace: whether it reads the run's marker. missing: of the paths that tasks read, those it does not see.
    """

    host: str
    versions: Mapping[str, str]
    sees_workspace: bool
    missing: tuple[str, ...]

    def refusal(self, own: Mapping[str, str], workspace: Workspace) -> str | None:
        """Why the node cannot take part, with the next step; None: it can.

        Args:
            own: the versions of the process that started the run.
        """
        names = sorted(name for name in {*own, *self.versions} if own.get(name) != self.versions.get(name))
        if names:
            differ = ", ".join(
                f"{name} {self.versions.get(name, 'missing')} instead of {own.get(name, 'none')}" for name in names[:5]
            )
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            return (
                f"it has {differ}{more}: install the same versions there (`pip install -c constraints.txt`), because "
                "others give other pixels"
            )
        if workspace.tasks_read_it and not self.sees_workspace:
            return (
                f"it cannot read the workspace {workspace.folder}, whose files this stage needs: put the workspace on "
                "storage that all nodes mount at the same path, or run this stage with --engine processes"
            )
        if self.missing:
            return f"it cannot read {self.missing[0]}: mount it at the same path, or move the images to object storage"
        return None


@dataclass(frozen=True)
class Done:
    """What came of a job: its result, or an error; and files that it wrote where the workspace is not seen."""

    result: Any = None
    error: BaseException | None = None
    files: Mapping[str, bytes] | None = None


class Node:
    """Does jobs, one at a time, for a run on another machine or in another process.

    Args:
        name: of this process among all of the run's: no other's half-written files have it.
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        os.environ[WRITER_VARIABLE] = f"-{name}"
        keep_freed_memory()
        silence()
        self._workspace = workspace
        self._work: tuple[str, Work] | None = None
        self._sees = _sees(workspace)
        # Relative paths lead into the workspace, or into a folder whose files travel back.
        self._scratch = None if self._sees else Path(tempfile.mkdtemp(prefix="pipeline-"))
        os.chdir(self._scratch or workspace.folder)

    def report(self) -> NodeReport:
        missing = tuple(path for path in self._workspace.reads if not Path(path).exists())
        return NodeReport(host_name(), versions(), self._sees, missing)

    def do(self, key: str, pickled: bytes, job: Job, files: Mapping[str, bytes]) -> Done:
        """Do a job.

        Args:
            key: names the work, so that it is read once. pickled: of the Work.
            files: what the job reads of the workspace, path -> content; for nodes that do not see it.
        """
        try:
            if self._work is None or self._work[0] != key:
                self._work = key, pickle.loads(pickled)  # noqa: S301  # from the run's own process
            work = self._work[1]
            for path, content in files.items():
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).write_bytes(content)
            # A guard ends processes: those that this one starts, never this one.
            result = work.function(job.task) if work.guard is None else run_in_own_process(work, job)
            return Done(result, files=self._written())
        except Exception as error:  # noqa: BLE001 - raised where the run waits
            self._written()
            return Done(error=ExceptionWithTraceback(error, error.__traceback__))

    def _written(self) -> Mapping[str, bytes] | None:
        """The files that the job left where they cannot be seen, which are then removed."""
        if self._scratch is None:
            return None
        paths = [path for path in self._scratch.rglob("*") if path.is_file()]
        found = {path.relative_to(self._scratch).as_posix(): path.read_bytes() for path in paths}
        for path in paths:
            path.unlink()
        return found


def host_name() -> str:
    return socket.gethostname()


@cache
def versions() -> dict[str, str]:
    """What shapes results on this machine: versions by name."""
    found = {"python": ".".join(platform.python_version_tuple()[:2]), "code": _code_digest()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _code_digest() -> str:
    root = Path(__file__).parent.parent.parent
    content = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return content.hexdigest()[:12]


def _sees(workspace: Workspace) -> bool:
    try:
        return (Path(workspace.folder) / workspace.marker).read_text() == workspace.token
    except (OSError, UnicodeDecodeError):
        return False


def contents(paths: Sequence[Path]) -> dict[str, bytes]:
    """Files of the workspace for a node that does not see it, by relative path."""
    return {path.as_posix(): path.read_bytes() for path in paths}
