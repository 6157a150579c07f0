"""Shards after a kill, on a full disk and with damage: the same bytes in the end, and nothing damaged is used."""

import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, StorageError, WorkerError
from pipeline.store import shard_files
from pipeline.store.arrow import open_arrow, write_arrow
from pipeline.store.shard_plan import digest
from pipeline.store.shards import ShardReader, ShardStore
from pipeline.store.writing import flush
from pipeline.workers.engine import Engine
from tests.examples import full_disk
from tests.store.building import FOLDERS, ROWS, SCHEMA, Content, Whole, build, cold, content, make


def make_and_pause(number: int, calls: Path, at: int, ready: "multiprocessing.connection.Connection[Any, Any]") -> Any:
    if number == at:
        ready.send("waits to be killed")
        signal.pause()
    return make(number, calls)


def make_or_die_elsewhere(number: int, calls: Path, at: int) -> dict[str, Any]:
    """A process that is a worker and nothing else dies at its first row from this one on."""
    if number >= at and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return make(number, calls)


def die_at_a_signal(folder: Path, calls: Path, ready: Any) -> None:
    """Build until some shards stand and another is under way, then wait."""
    slow = partial(make_and_pause, calls=calls, at=700, ready=ready)
    ShardStore(folder).build(ROWS, slow, SCHEMA, Engine(1), "build")


def die_in_a_write(folder: Path, calls: Path, room: int) -> None:
    """Build until the system ends this process in the middle of a file that gets too long."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    ShardStore(folder).build(ROWS, partial(make, calls=calls), SCHEMA, Engine(1), "build")


def kill_between_rows(folder: Path, calls: Path, _: Content) -> list[str]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=die_at_a_signal, args=(folder, calls, sender))
    child.start()
    multiprocessing.connection.wait([receiver, child.sentinel])
    assert receiver.poll()
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    return []


def kill_in_a_write(folder: Path, calls: Path, whole: Content) -> list[str]:
    room = sorted(map(len, whole.values()))[-1] - 1
    child = multiprocessing.get_context("spawn").Process(target=die_in_a_write, args=(folder, calls, room))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGXFSZ
    return [f".{name}.partial" for name, data in whole.items() if len(data) > room]


@pytest.mark.parametrize("kill", [kill_between_rows, kill_in_a_write])
def test_a_killed_build_resumes_to_the_same_bytes(
    kill: Callable[[Path, Path, Content], list[str]], tmp_path: Path, whole: Whole
) -> None:
    folder, calls = tmp_path / "shards", tmp_path / "calls"
    calls.mkdir()
    half_written = kill(folder, calls, whole[0])
    left = content(folder)
    # One that is whole may still be on its way to the disk.
    finished = {name: data for name, data in left.items() if not name.startswith(".")}
    assert {*half_written} <= left.keys()
    assert finished
    assert finished.items() < whole[0].items()
    table, made = build(folder, ROWS)
    assert (content(folder), table) == whole
    assert made == {place["number"] for place in table.to_pylist() if f"{place['shard']}.arrow" not in finished}


def test_a_killed_worker_costs_only_a_second_run(tmp_path: Path, whole: Whole) -> None:
    (tmp_path / "calls").mkdir()
    deadly = partial(make_or_die_elsewhere, calls=tmp_path / "calls", at=10)
    with pytest.raises(WorkerError, match="finished work is kept"):
        ShardStore(tmp_path / "shards").build(ROWS, deadly, SCHEMA, Engine(2), "build")
    table, _ = build(tmp_path / "shards", ROWS)
    assert (content(tmp_path / "shards"), table) == whole


def test_a_full_disk_leaves_whole_shards_and_what_the_next_run_clears_away(tmp_path: Path, whole: Whole) -> None:
    with full_disk(10_000), pytest.raises(StorageError, match=r"\.arrow\.partial: File too large\. Allow larger"):
        build(tmp_path / "shards", ROWS)
    finished = {name: data for name, data in content(tmp_path / "shards").items() if not name.startswith(".")}
    assert finished.items() < whole[0].items()
    build(tmp_path / "shards", ROWS[:1])
    assert content(tmp_path / "shards").keys() == {f"{digest(ROWS[0].key)}.arrow"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shard_gets_its_name_once_it_is_on_the_disk(
    workers: int, tmp_path: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def watched(path: Path) -> None:
        flushed.append(path.name.removeprefix(".").removesuffix(".partial"))
        # By several workers a small shard may be made as a slice first.
        assert flushed.count(flushed[-1]) > 1 or not path.with_name(flushed[-1]).exists()
        flush(path)

    monkeypatch.setattr(shard_files, "flush", watched)
    build(tmp_path / "shards", ROWS, workers)
    assert whole[0].keys() <= set(flushed)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shard_that_does_not_come_to_the_disk_ends_the_run(
    workers: int, tmp_path: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = count()

    refused: list[str] = []

    def failing(path: Path) -> None:
        if next(asked) == 1:
            refused.append(path.name)
            raise StorageError(f"{path}: Input/output error")
        flush(path)

    monkeypatch.setattr(shard_files, "flush", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        build(tmp_path / "shards", ROWS, workers)
    left = content(tmp_path / "shards")
    # What is not whole bears no final name; a worker that was stopped may leave a part, which the next run clears away.
    assert all(name.startswith(".") or open_arrow(tmp_path / "shards" / name) for name in left)
    assert [name for name in refused if name.removeprefix(".").removesuffix(".partial") in left] == []
    build(tmp_path / "shards", ROWS, workers)
    assert content(tmp_path / "shards") == whole[0]


def from_a_stranger(path: Path) -> None:
    path.unlink()
    write_arrow(pa.table({"id": ["1"], "image": [b"x"]}), path.with_name("notes.arrow"))


def from_another_version(path: Path, name: str = "") -> None:
    older = open_arrow(path).drop_columns("number")
    path.unlink()
    write_arrow(older, path.with_name(name or path.name))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, 1000),
    "empty": lambda path: os.truncate(path, 0),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 100),
    "gone": lambda path: path.unlink(),
    "another version's columns": from_another_version,
    "the same under another name": lambda path: from_another_version(path, "older.arrow"),
    "a stranger's file beside": from_a_stranger,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_shard_is_built_again(damage: Callable[[Path], object], tmp_path: Path, whole: Whole) -> None:
    folder = tmp_path / "shards"
    build(folder, ROWS)
    damaged = whole[1]["shard"][500].as_py()
    damage(folder / f"{damaged}.arrow")
    table, made = build(folder, ROWS)
    assert (content(folder), table) == whole
    assert made <= {place["number"] for place in table.to_pylist() if place["shard"] == damaged}


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_flipped_bit_in_a_shard_is_never_taken_over(base: Path, whole: Whole, data: st.DataObject) -> None:
    folder = base / f"flipped-{next(FOLDERS)}" / "shards"
    folder.mkdir(parents=True)
    name = data.draw(st.sampled_from(sorted(whole[0])))
    damaged = bytearray(whole[0][name])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for other, content_ in whole[0].items():
        (folder / other).write_bytes(damaged if other == name else content_)
    with pytest.raises(DataError, match=rf"{name} is damaged.*run `pipeline doctor --fix`, then `dvc repro"):
        ShardReader(folder).image(name.removesuffix(".arrow"), 0)
    # With a row less, its other rows would be copied from the damaged shard.
    kept = data.draw(st.sampled_from([ROWS, ROWS[1:], ROWS[:-1]]))
    table, _ = build(folder, kept)
    assert (content(folder), table) == (whole if kept is ROWS else cold(base, kept))


def test_an_arrow_file_that_is_no_shard_is_named(tmp_path: Path) -> None:
    write_arrow(pa.table({"id": ["1"]}), tmp_path / "a.arrow")
    write_arrow(pa.table({"image": [1]}), tmp_path / "b.arrow")
    for name in "ab":
        with pytest.raises(DataError, match=rf"{name}\.arrow is not a shard: it has no column of images"):
            ShardReader(tmp_path).image(name, 0)
