"""Shards: the same bytes for any workers and any past, and no row made twice."""

import hashlib
import importlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import resource
import signal
import weakref
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, MissingInputError, StorageError, WorkerError
from pipeline.store import shard_files
from pipeline.store.arrow import open_arrow, write_arrow
from pipeline.store.shard_plan import MAX_ROWS, MEAN_ROWS, Row, digest
from pipeline.store.shards import ShardReader, ShardStore, fingerprint
from pipeline.store.writing import flush
from pipeline.workers.engine import Engine
from tests.examples import full_disk

SCHEMA = pa.schema([("number", pa.int32()), ("share", pa.float32()), ("note", pa.string()), ("image", pa.binary())])
FOLDERS = count()

Content = dict[str, bytes]
Whole = tuple[Content, pa.Table]


def rows(numbers: Collection[int], changed: Collection[int] = ()) -> list[Row]:
    return [
        Row(f"cat/{number}.png", digest(str(number), "changed" if number in changed else ""), number)
        for number in sorted(numbers)
    ]


def make(number: int, calls: Path) -> dict[str, Any]:
    """The columns of a row; a file in `calls` stands for the call, and a second call is an error."""
    (calls / str(number)).touch(exist_ok=False)
    if number % 50 == 0:
        return {"number": number, "note": "no image"}
    return {"number": number, "share": number / 7, "note": None, "image": image_of(number)}


def image_of(number: int) -> bytes:
    return hashlib.sha512(str(number).encode()).digest() * (1 + number % 3)


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


def build(folder: Path, wanted: Sequence[Row], workers: int = 1) -> tuple[pa.Table, set[int]]:
    """Where the rows lie, and the numbers of the rows that were made for it."""
    calls = folder.parent / f"calls-{next(FOLDERS)}"
    calls.mkdir(parents=True)
    store = ShardStore(folder)
    placed = store.build(wanted, partial(make, calls=calls), SCHEMA, Engine(workers), "build")
    store.drop_stale()
    return placed.table(), {int(call.name) for call in calls.iterdir()}


def content(folder: Path) -> Content:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def cold(base: Path, wanted: Sequence[Row]) -> Whole:
    folder = base / f"cold-{next(FOLDERS)}" / "shards"
    table, _ = build(folder, wanted)
    return content(folder), table


ROWS = rows(range(1000))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def whole(base: Path) -> Whole:
    """What a cold build of ROWS gives."""
    return cold(base, ROWS)


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_gives_the_same_bytes(workers: int, tmp_path: Path, whole: Whole) -> None:
    table, made = build(tmp_path / "shards", ROWS, workers)
    assert (content(tmp_path / "shards"), table) == whole
    assert made == set(range(1000))


def sign(number: int) -> dict[str, Any]:
    return {"number": number, "note": str(os.getpid()), "image": image_of(number)}


def fail_at_the_last(number: int) -> dict[str, Any]:
    if number == 299:
        raise ZeroDivisionError
    return sign(number)


def test_workers_share_the_work_where_shards_are_few(tmp_path: Path) -> None:
    store, wanted = ShardStore(tmp_path), rows(range(300))
    table = store.build(wanted, sign, SCHEMA, Engine(2), "build").table().to_pandas()
    assert table["note"].nunique() == 2
    assert table.groupby("shard")["note"].nunique().max() == 2
    assert {path.stem for path in tmp_path.iterdir()} > set(table["shard"])
    store.drop_stale()
    assert {path.stem for path in tmp_path.iterdir()} == set(table["shard"])


def test_what_was_made_of_a_shard_is_kept_when_the_rest_of_it_fails(tmp_path: Path) -> None:
    wanted = rows(range(300))
    with pytest.raises(ZeroDivisionError):
        ShardStore(tmp_path).build(wanted, fail_at_the_last, SCHEMA, Engine(2), "build")
    kept = {number: note for path in tmp_path.glob("*.arrow") for number, note in notes(path).items()}
    again = ShardStore(tmp_path).build(wanted, unsigned, SCHEMA, Engine(2), "build").table()
    found = dict(zip(again["number"].to_pylist(), again["note"].to_pylist(), strict=True))
    assert kept
    assert kept.items() < found.items()


def unsigned(number: int) -> dict[str, Any]:
    return {"number": number, "note": "made again", "image": image_of(number)}


def notes(path: Path) -> dict[int, str]:
    columns = open_arrow(path).to_pydict()
    return dict(zip(columns["number"], columns["note"], strict=True))


def test_few_rows_are_made_before_processes_could_start(tmp_path: Path) -> None:
    """Nothing else could call a function that cannot be pickled."""
    made: list[int] = []

    def note(number: int) -> dict[str, Any]:
        made.append(number)
        return {"number": number, "image": b""}

    ShardStore(tmp_path).build(rows(range(950)), note, SCHEMA, Engine(1), "build")
    ShardStore(tmp_path).build(ROWS, note, SCHEMA, Engine(2), "build")
    ShardStore(tmp_path / "all").build(ROWS, note, SCHEMA, Engine(2), "build", min_rows_for_workers=1000)
    assert made[950:] == sorted(set(range(1000)) - set(made[:950])) + list(range(1000))
    with pytest.raises((AttributeError, pickle.PicklingError)):
        ShardStore(tmp_path / "more").build(ROWS, note, SCHEMA, Engine(2), "build", min_rows_for_workers=999)


def test_the_table_says_where_each_row_lies(tmp_path: Path, whole: Whole) -> None:
    for name, data in whole[0].items():
        (tmp_path / name).write_bytes(data)
    reader = pickle.loads(pickle.dumps(ShardReader(tmp_path / "elsewhere", tmp_path)))
    table = whole[1]
    assert table.column_names == ["key", "number", "share", "note", "shard", "row"]
    assert table["key"].to_pylist() == [row.key for row in ROWS]
    for place in table.to_pylist():
        image = None if place["note"] else image_of(place["number"])
        assert reader.image(place["shard"], place["row"]) == image


NUMBERS = st.sets(st.integers(0, 299), max_size=40)


@settings(deadline=None, max_examples=10)
@given(changed=NUMBERS, removed=NUMBERS, added=st.sets(st.integers(300, 340)), bare=st.booleans())
@example(changed=set(), removed={299}, added=set(), bare=False)
def test_a_warm_build_equals_a_cold_one_and_makes_only_what_is_missing(
    base: Path, changed: set[int], removed: set[int], added: set[int], bare: bool
) -> None:
    before = set() if bare else set(range(300))
    after = rows((set(range(300)) - removed) | added, changed)
    folder = base / f"warm-{next(FOLDERS)}" / "shards"
    build(folder, rows(before))
    table, made = build(folder, after)
    assert (content(folder), table) == cold(base, after)
    assert made == {row.payload for row in after} - (before - changed)
    assert build(folder, after)[1] == set()


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


@settings(deadline=None, max_examples=10)
@given(added=st.floats(0, 999, exclude_min=True).filter(lambda number: number % 1))
def test_a_row_more_rewrites_at_most_three_shards(base: Path, whole: Whole, added: float) -> None:
    wanted = sorted([*ROWS, Row(f"cat/{added}.png", str(added), 1000)], key=lambda row: float(row.place[4:-4]))
    shards, _ = cold(base, wanted)
    assert len(shards.keys() - whole[0].keys()) <= 3


def test_no_shard_holds_more_than_the_most_rows(tmp_path: Path) -> None:
    heads = {n: int(hashlib.sha256(f"cat/{n}.png".encode()).hexdigest()[:8], 16) % MEAN_ROWS for n in range(3000)}
    numbers = [number for number, head in heads.items() if head][: 2 * MAX_ROWS + 1]
    table, _ = build(tmp_path / "shards", rows(numbers))
    assert table["row"].to_pylist() == [*range(MAX_ROWS), *range(MAX_ROWS), 0]
    assert len(content(tmp_path / "shards")) == 3


class Made(Sequence[Row]):
    """Rows that are made when they are asked for, and how many are there at most."""

    def __init__(self, count: int) -> None:
        self.count_ = count
        self.alive: weakref.WeakSet[Row] = weakref.WeakSet()
        self.most = 0

    def __len__(self) -> int:
        return self.count_

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, slice):
            return [self[number] for number in range(self.count_)[which]]
        if which >= self.count_:
            raise IndexError(which)
        row = Row(f"cat/{which}.png", digest(str(which), ""), which)
        self.alive.add(row)
        self.most = max(self.most, len(self.alive))
        return row


def test_of_rows_that_are_made_when_asked_for_few_are_there_at_a_time(tmp_path: Path, whole: Whole) -> None:
    made = Made(1000)
    table, _ = build(tmp_path / "shards", made)
    assert table["key"].to_pylist() == [row.key for row in ROWS[:1000]]
    assert made.most <= MAX_ROWS


def test_no_rows_make_an_empty_folder(tmp_path: Path) -> None:
    table, _ = build(tmp_path / "shards", [])
    assert (table.column_names[-2:], len(table), content(tmp_path / "shards")) == (["shard", "row"], 0, {})


def test_a_reader_says_what_it_cannot_find(tmp_path: Path) -> None:
    table, _ = build(tmp_path / "shards", rows(range(3)))
    shard = table["shard"][0].as_py()
    reader = ShardReader(tmp_path / "shards", tmp_path / "more")
    for row in (-1, 3):
        with pytest.raises(DataError, match=f"^shard {shard} has 3 rows and no row {row}: run `dvc repro`$"):
            reader.image(shard, row)
    with pytest.raises(MissingInputError, match=r"^shard abc is not under .*/shards or .*/more: run `dvc repro`$"):
        reader.image("abc", 0)
    os.truncate(tmp_path / "shards" / f"{shard}.arrow", 500)
    with pytest.raises(DataError, match=rf"{shard}\.arrow is damaged"):
        ShardReader(tmp_path).image(shard, 0)


@settings(deadline=None)
@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
def test_a_digest_knows_where_its_parts_end(one: list[str], other: list[str]) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)
    assert digest("".join(one), "c") == digest("".join(one), "c") != digest("".join(one) + "c")
    assert len(bytes.fromhex(digest(*one))) == 16


def test_a_fingerprint_changes_with_code_version_and_params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    metadata = tmp_path / "toy-1.dist-info" / "METADATA"
    metadata.parent.mkdir()

    def print_of(code: str = "1", version: str = "1.0", **params: Any) -> str:
        metadata.write_text(f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\n")
        importlib.invalidate_caches()
        return fingerprint(code, ["toy"], params or {"size": 28, "fit": "pad"})

    assert print_of() == print_of(fit="pad", size=28)
    prints = [print_of(), print_of("2"), print_of(version="1.1"), print_of(size=29, fit="pad"), print_of(size=28)]
    assert len(set(prints)) == len(prints)
