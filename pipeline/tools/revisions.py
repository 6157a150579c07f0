"""Files of a run: of the current folder, or of a commit or experiment. Nothing is checked out.

Small files are in Git; what DVC caches is read from its cache, under the hash that the run's dvc.lock names.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from dvc.exceptions import DvcException
from dvc.lock import LockError
from scmrepo.exceptions import SCMError

from pipeline.errors import DataError, MissingInputError
from pipeline.names import shown
from pipeline.project.params_file import PARAMS_FILE
from pipeline.store.artifacts import Artifact
from pipeline.store.dvc_lock import LOCK, Stages, dvc_repository, hash_in, locked_stages, stages_in
from pipeline.tools.lineage import of_workspace, other_run
from pipeline.yaml_values import yaml_values


@contextmanager
def repository() -> Iterator[Any]:
    """The repository of DVC and Git around the current folder.

    Raises:
        DataError: there is none, or DVC is at work there.
        StorageError: DVC's database cannot be used.
    """
    try:
        with dvc_repository() as found:
            yield found
    except LockError as error:
        raise DataError(f"DVC is running here: wait for it, or run `pipeline doctor` ({error})") from error
    except DvcException as error:
        raise DataError(f"DVC cannot read this repository: {error}") from error


def resolved(found: Any, name: str) -> str:
    """The commit of a name.

    Args:
        name: a commit, branch or tag, as Git knows it, or an experiment as `dvc exp show` lists it.

    Raises:
        DataError: neither Git nor DVC knows it, or it is no commit. So it is with no name at all: Git takes it for the
            last commit, and an empty variable of a script would compare a run with itself.
    """
    if not name.strip():
        raise DataError("no revision is named: name a commit, branch, tag or experiment")
    try:
        commit: str = found.scm.resolve_rev(name)
    # What no file can be called, Git does not look for.
    except (SCMError, OSError, ValueError) as error:
        experiments = [one for listed in found.experiments.ls(all_commits=True).values() for one in listed]
        named = [str(commit) for experiment, commit in experiments if experiment == name and commit]
        if not named:
            raise DataError(
                f"neither Git nor DVC knows a revision {shown(name)}: name a commit, branch, tag or experiment "
                "(`git fetch` brings branches that a shallow clone lacks)"
            ) from error
        return named[0]
    try:
        return str(found.scm.resolve_commit(commit).hexsha)
    except (SCMError, AttributeError) as error:  # what the backend makes of a file or folder
        raise DataError(f"{shown(name)} is no commit in Git: name a commit, branch, tag or experiment") from error


class Workspace:
    """The run of the current folder."""

    name = "workspace"

    def read(self, artifact: Artifact) -> Any:
        """The content of one of its files.

        Raises:
            MissingInputError: no stage has made it yet.
            DataError: it is damaged.
        """
        return artifact.read(Path(artifact.path))

    def params(self) -> dict[str, Any]:
        """The values of params.yaml; none where there is none."""
        return yaml_values(PARAMS_FILE.read_text(encoding="utf-8")) if PARAMS_FILE.is_file() else {}

    def stages(self) -> Stages:
        """What dvc.lock says of each stage; nothing where it cannot be read."""
        return locked_stages(Path(LOCK))

    def other_run(self) -> str:
        """Why the predictions are not of the model, split and params that lie here; empty if they are."""
        return of_workspace()


class Revision:
    """The run of a commit; its files are read once."""

    def __init__(self, found: Any, name: str, commit: str) -> None:
        self.name = name
        self.commit = commit
        self._repository = found
        self._files = found.scm.get_fs(commit)
        # A project may lie in a folder of a larger repository.
        self._folder = PurePosixPath(Path(os.path.relpath(found.root_dir, found.scm.root_dir)).as_posix())
        self._stages: Stages | None = None

    def read(self, artifact: Artifact) -> Any:
        """The content of one of its files that DVC caches.

        Raises:
            MissingInputError: its dvc.lock does not name the file, or the cache has not got it.
            DataError: it is damaged, or another version wrote it.
        """
        md5 = self.hash_of(artifact.path)
        if md5 is None:
            raise MissingInputError(f"{shown(self.name)} has no {artifact.path}: its {LOCK} does not name it")
        place = Path(self._repository.cache.local.oid_to_path(md5))
        if not place.exists():
            raise MissingInputError(
                f"{artifact.path} of {shown(self.name)} is not in DVC's cache: run `dvc fetch --all-commits` or "
                "`dvc exp pull`"
            )
        return artifact.read(place)

    def params(self) -> dict[str, Any]:
        """The values of its params.yaml; none where there is none.

        Raises:
            ValueError: they cannot be read.
        """
        values = yaml_values(self.text(PARAMS_FILE.as_posix()) or "")
        return values if isinstance(values, dict) else {}

    def stages(self) -> Stages:
        """What its dvc.lock says of each stage; nothing where it cannot be read."""
        if self._stages is None:
            try:
                self._stages = stages_in(self.text(LOCK) or "")
            except ValueError:
                self._stages = {}
        return self._stages

    def other_run(self) -> str:
        """Why its predictions are not of the model, split and params that it has; empty if they are."""
        try:
            return other_run(self.stages(), yaml_values(self.text(PARAMS_FILE.as_posix()) or ""))
        except ValueError:
            return f"its {PARAMS_FILE} cannot be read"

    def hash_of(self, path: str) -> str | None:
        """The hash of a file in DVC's cache, by dvc.lock; None where it does not name the file."""
        return hash_in(self.stages(), path)

    def text(self, path: str) -> str | None:
        """A file that is in Git; None where there is none."""
        try:
            with self._files.open((self._folder / path).as_posix(), "rb") as file:
                data: bytes = file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return data.decode(errors="replace")


Run = Workspace | Revision
