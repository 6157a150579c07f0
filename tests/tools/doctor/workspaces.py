"""What the tests of the doctor share: commands, processes at work, damage, and what a report says."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.tools.doctor import cache
from tests.running import Ended, environment

Doctor = Callable[..., Ended]


@contextmanager
def process(folder: Path, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """A process at work in a folder, until the end of the block."""
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def states(ended: Ended) -> dict[str, str]:
    """Check -> `ok`, or how much is wrong."""
    lines = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    return {line.split("  ")[0]: line.split("  ", 1)[1].strip().split(":")[0] for line in lines}


def wrong(ended: Ended) -> set[str]:
    return {check for check, state in states(ended).items() if state != "ok"}


def damage(path: Path) -> None:
    """Other bytes, the same time, size and mode: as a failing disk leaves them."""
    before = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(before.st_mode)


def shard_of(project: Path, source: str = "phone") -> Path:
    (path,) = project.glob(f"data/ingest/{source}/shards/*.arrow")
    return path.relative_to(project)


def object_of(path: Path, folder: str = ".dvc/cache/files/md5") -> Path:
    return cache.object_path(Path(folder), cache.md5_of(path))
