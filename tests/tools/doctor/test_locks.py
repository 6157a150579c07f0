"""Locks of killed processes, of living ones, and of numbers that other processes have now."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.tools.doctor.locks import dead_holders, examine_locks, running, without
from tests.running import run
from tests.tools.doctor.workspaces import Doctor, damage, object_of, process, shard_of, wrong

# Ends as DVC does when it is killed while it writes its list of locks.
KILLED_WHILE_WRITING = """
import os, signal, sys
import dvc.rwlock
from dvc.fs import localfs
dvc.rwlock.json.dump = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
with dvc.rwlock.rwlock(sys.argv[1], localfs, "dvc repro", [], ["out"], False):
    pass
"""
# Holds a lock as `dvc repro` does while its stage runs.
HOLDS_A_LOCK = """
import sys, time
import dvc.rwlock
from dvc.fs import localfs
with dvc.rwlock.rwlock(sys.argv[1], localfs, "dvc repro", ["in"], [sys.argv[2]], False):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_write_of_the_locks_is_found_and_fixed(project: Path, doctor: Doctor) -> None:
    run(project, sys.executable, "-c", KILLED_WHILE_WRITING, ".dvc/tmp", check=False)
    assert Path(".dvc/tmp/rwlock").read_bytes() == b""
    assert "corrupted" in run(project, "dvc", "status", "ingest", check=False)
    ended = doctor()
    assert ended.code == 9
    assert wrong(ended) == {"locks"}
    assert ".dvc/tmp/rwlock is empty" in ended.out
    assert ended.err == "error: 1 problem found: `pipeline doctor --fix` fixes 1\n"
    assert doctor("--fix").code == 0
    assert "up to date" in run(project, "dvc", "status", "ingest")
    assert wrong(doctor()) == set()


@pytest.mark.parametrize(
    ("place", "content"),
    [
        ("rwlock", b"{"),
        ("rwlock", b"\0\0\0"),
        ("rwlock", b"\xff"),
        ("rwlock", b'{"read": {"a": {"pid": 1, "cmd": "x"}}}'),
        ("exps/rwlock", b""),
    ],
)
def test_damaged_locks_are_removed(project: Path, doctor: Doctor, place: str, content: bytes) -> None:
    file = Path(".dvc/tmp", place)
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    assert wrong(doctor()) == {"locks"}
    assert doctor("--fix").code == 0
    assert not file.exists()


def test_a_lock_that_was_made_since_is_left(project: Path) -> None:
    file = Path(".dvc/tmp/rwlock").absolute()
    file.write_bytes(b"")
    (problem,) = examine_locks(file.parent, hardlink=False, at_work="").problems
    file.write_text('{"read": {}, "write": {}}')
    assert problem.fix is not None
    problem.fix()
    assert file.exists()


def test_locks_of_the_dead_go_and_those_of_the_living_stay(project: Path, doctor: Doctor) -> None:
    holder = (sys.executable, "-c", HOLDS_A_LOCK, ".dvc/tmp")
    with process(project, *holder, "alive") as living, process(project, *holder, "dead") as dying:
        for one in (living, dying):
            assert one.stdout is not None
            assert one.stdout.readline() == "held\n"
        assert doctor().code == 0
        dying.kill()  # nobody has asked yet how it ended: DVC takes it for living
        ended = doctor()
        assert wrong(ended) == {"locks"}
        assert f"process {dying.pid} (`dvc repro`)" in ended.out
        assert f"process {living.pid}" not in ended.out
        assert doctor("--fix").code == 0
        locks = json.loads(Path(".dvc/tmp/rwlock").read_text())
        assert locks == {
            "read": {"in": [{"pid": living.pid, "cmd": "dvc repro"}]},
            "write": {"alive": {"pid": living.pid, "cmd": "dvc repro"}},
        }
    assert doctor("--fix").code == 0
    assert not Path(".dvc/tmp/rwlock").exists()


def test_who_was_born_later_or_is_another_program_holds_no_lock(tmp_path: Path) -> None:
    python = [sys.executable, "-c", "import time; print('on', flush=True); time.sleep(600)"]
    with process(tmp_path, *python) as one, process(tmp_path, "sleep", "600") as other:
        assert one.stdout is not None
        assert one.stdout.readline() == "on\n"
        locks = {
            "read": {"a": [{"pid": one.pid, "cmd": "dvc repro"}, {"pid": other.pid, "cmd": "dvc pull"}]},
            "write": {"b": {"pid": one.pid, "cmd": "dvc repro"}},
        }
        assert dead_holders(locks, time.time()) == {other.pid: "dvc pull"}
        assert dead_holders(locks, time.time() - 3600) == {one.pid: "dvc repro", other.pid: "dvc pull"}
        assert without(locks, {other.pid: ""}) == {
            "read": {"a": [{"pid": one.pid, "cmd": "dvc repro"}]},
            "write": {"b": {"pid": one.pid, "cmd": "dvc repro"}},
        }
        assert without(locks, {one.pid: "", other.pid: ""}) == {"read": {}, "write": {}}


def test_nothing_is_fixed_while_dvc_is_at_work(project: Path, doctor: Doctor) -> None:
    Path("slow").mkdir()
    Path("slow/dvc.yaml").write_text("stages: {slow: {cmd: touch begun && sleep 600}}")
    damaged = object_of(shard_of(project))
    damage(damaged)
    damage(shard_of(project))
    shard_of(project).with_name(".x.arrow.partial").touch()
    with process(project, "dvc", "repro", "slow/dvc.yaml") as dvc:
        while not Path("slow/begun").exists():
            time.sleep(0.05)
            assert dvc.poll() is None
        assert [one.pid for one in running(project)] == [dvc.pid]
        Path(".dvc/tmp/rwlock").write_bytes(b"")
        ended = doctor("--fix")
        # The shell of its stage goes on when it is killed.
        for child in psutil.Process(dvc.pid).children(recursive=True):
            child.kill()
    assert ended.code == 9
    assert wrong(ended) == {"locks", "cache"}
    assert ended.out.count(f"not fixed: process {dvc.pid} (`") == 2
    assert damaged.exists()
    assert "shards        ok: not checked, because process" in ended.out
    assert Path(".dvc/tmp/rwlock").read_bytes() == b""
    assert wrong(doctor("--fix")) == {"locks", "cache", "shards", "leftovers"}
    assert wrong(doctor()) == set()


def test_nothing_is_fixed_while_another_machine_holds_the_lock(project: Path, doctor: Doctor) -> None:
    damage(object_of(shard_of(project)))
    # `flock` is known to no list of processes as DVC's.
    with process(project, "flock", ".dvc/tmp/lock", "sleep", "600") as holder:
        while not psutil.Process(holder.pid).children():
            time.sleep(0.05)
        ended = doctor("--fix")
        for child in psutil.Process(holder.pid).children():
            child.kill()
    assert ended.code == 9
    assert "not fixed: .dvc/tmp/lock is held by another process" in ended.out


def test_a_guard_that_is_a_file_is_removed_if_nobody_can_hold_it(project: Path, doctor: Doctor) -> None:
    run(project, "dvc", "config", "core.hardlink_lock", "true")
    # Left by the other kind of lock.
    assert Path(".dvc/tmp/lock").exists()
    for ending in ("lock", "rwlock.lock"):
        assert f".dvc/tmp/{ending} is there" in doctor().out
    assert doctor("--fix").code == 0
    assert "up to date" in run(project, "dvc", "status", "ingest")
    claim = Path(".dvc/tmp/0123.lock")
    claim.touch()
    Path(".dvc/tmp/lock").hardlink_to(claim)
    ended = doctor("--fix")
    assert ended.code == 9
    assert "If DVC runs on no other: rm .dvc/tmp/lock" in ended.out
    assert Path(".dvc/tmp/lock").exists()
