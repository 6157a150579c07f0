"""How long stages took, by the hashes of what they wrote."""

import hashlib
import json
from pathlib import Path

import pytest

from pipeline.store.dvc_lock import stages_in
from pipeline.store.timing import MAX_LINES, Timing, in_words, key_in, key_of_files, note, of_stages, timings


def locked(folder: Path, *names: str) -> str:
    """A dvc.lock of a stage that wrote these files, and a folder."""
    hashes = {name: hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest() for name in names}
    outs = "".join(f"    - path: {name}\n      md5: {md5}\n" for name, md5 in hashes.items())
    return f"stages:\n  train:\n    outs:\n{outs}    - path: data/shards\n      md5: abc.dir\n"


def test_a_time_is_found_by_what_dvc_lock_says_of_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        Path(name).write_text(name)
    key, place = key_of_files([Path("two"), Path("one"), Path("data/shards")]), Path("reports/timing.jsonl")
    stages = stages_in(locked(tmp_path, "one", "two"))
    assert of_stages(place, stages) == []
    for seconds in (5.0, 4.0):
        note(place, Timing("train", key, seconds, images=100, epochs=4, fit_seconds=2.0))
    (found,) = of_stages(place, stages)
    assert found.seconds == 4.0
    assert found.images_per_second == 200
    assert found.epoch_seconds == 0.5
    Path("two").write_text("of another run")
    assert of_stages(place, stages_in(locked(tmp_path, "one", "two"))) == []
    assert key_in({}) == key_of_files([])


def test_a_line_that_a_kill_cut_costs_no_other(tmp_path: Path) -> None:
    place = tmp_path / "timing.jsonl"
    note(place, Timing("split", "a", 1.0))
    place.write_bytes(place.read_bytes() + b'{"stage": "spl')
    note(place, Timing("split", "b", 2.0))
    assert [one.key for one in timings(place).values()] == ["a", "b"]


def test_the_newest_are_kept(tmp_path: Path) -> None:
    place = tmp_path / "timing.jsonl"
    lines = [json.dumps({"stage": "split", "key": str(number), "seconds": 1}) for number in range(2 * MAX_LINES)]
    place.write_text("\n".join([*lines, ""]))
    note(place, Timing("split", "new", 2.0))
    found = [key for _, key in timings(place)]
    assert len(found) == MAX_LINES + 1
    assert found[-2:] == [str(2 * MAX_LINES - 1), "new"]


@pytest.mark.parametrize(
    "line",
    ["", "[1]", "{", '{"stage": "a", "key": "b"}', '{"stage": "a", "key": "b", "seconds": NaN}',
     '{"stage": 1, "key": "b", "seconds": 1}', '{"stage": "a", "key": "b", "seconds": "x"}', "\udcff"],
)  # fmt: skip
def test_what_is_damaged_says_no_times(tmp_path: Path, line: str) -> None:
    place = tmp_path / "timing.jsonl"
    place.write_bytes(line.encode(errors="surrogateescape"))
    assert timings(place) == {}
    note(place, Timing("a", "b", 1.0))
    assert len(timings(place)) == 1


def test_where_nothing_can_be_written_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "timing.jsonl").mkdir()
    note(tmp_path / "timing.jsonl", Timing("a", "b", 1.0))
    assert timings(tmp_path / "timing.jsonl") == {}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (41, "41 s"), (89, "89 s"), (90, "1.5 min"), (5399, "90.0 min"), (5400, "1.5 h")],
)
def test_times_are_said_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
