"""Shards: the same bytes for any workers and any past, and no row made twice."""

import hashlib
import importlib
import os
import pickle
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, MissingInputError
from pipeline.store.arrow import open_arrow
from pipeline.store.shard_plan import MAX_ROWS, MEAN_ROWS, Row, digest
from pipeline.store.shards import ShardReader, ShardStore, fingerprint
from pipeline.workers.engine import Engine
from tests.store.building import FOLDERS, ROWS, SCHEMA, Whole, build, cold, content, image_of, rows


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


def test_a_folder_without_shards_has_a_file_until_there_are_some(tmp_path: Path) -> None:
    """DVC warns about empty folders, each time that it looks at them."""
    for wanted, names in (([], {".txt"}), (rows(range(3)), {".arrow"}), ([], {".txt"})):
        store = ShardStore(tmp_path)
        store.build(wanted, sign, SCHEMA, Engine(1), "build")
        store.drop_stale()
        assert {path.suffix for path in tmp_path.iterdir()} == names


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


def test_no_rows_make_a_folder_without_shards(tmp_path: Path) -> None:
    table, _ = build(tmp_path / "shards", [])
    assert (table.column_names[-2:], len(table), [*content(tmp_path / "shards")]) == (
        ["shard", "row"],
        0,
        ["empty.txt"],
    )


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
