"""Checkpoints: what was kept comes back under its key alone, and damaged or hostile files are none."""

import io
import os
import pickle
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import StorageError
from pipeline.store.checked import crc_of
from pipeline.training.checkpoint import MAX_SECONDS, Checkpoint, table_digest
from tests.examples import full_disk

STATE = {"epochs": [{"dev/loss": 0.5}], "network": {"0.weight": torch.arange(6.0).view(2, 3)}, "best_epoch": 0}


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoint:
    checkpoint = Checkpoint(tmp_path / "new folder" / "checkpoint.pt")
    checkpoint.save("key", STATE)
    return checkpoint


def test_what_was_kept_comes_back_under_its_key_alone(kept: Checkpoint) -> None:
    found = kept.load("key")
    assert found is not None
    assert torch.equal(found["network"]["0.weight"], STATE["network"]["0.weight"])  # type: ignore[index]
    assert (found["epochs"], found["best_epoch"]) == (STATE["epochs"], 0)
    assert kept.load("another key") is None


def test_it_is_due_when_more_time_has_passed_than_a_kill_may_cost(
    kept: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    kept.save("key", STATE)
    assert not kept.due()
    now += MAX_SECONDS
    assert kept.due()
    kept.save("key", STATE)
    assert not kept.due()


def test_a_full_disk_leaves_the_last_one_and_no_half_of_another(kept: Checkpoint) -> None:
    kept.save("key", {"epoch": 1})
    with full_disk(2000), pytest.raises(StorageError, match="File too large"):
        kept.save("key", {"epoch": 2, "weights": torch.zeros(1000)})
    assert kept.load("key") == {"epoch": 1}
    assert [entry.name for entry in kept.path.parent.iterdir()] == [kept.path.name]


def test_nothing_is_left_when_it_is_dropped(kept: Checkpoint) -> None:
    kept.drop()
    kept.drop()
    assert kept.load("key") is None
    assert list(kept.path.parent.iterdir()) == []


def test_a_full_disk_leaves_what_was_kept_before_and_no_half(kept: Checkpoint) -> None:
    with full_disk(500), pytest.raises(StorageError):
        kept.save("key", {"epochs": []})
    found = kept.load("key")
    assert found is not None
    assert found["epochs"] == STATE["epochs"]
    assert list(kept.path.parent.iterdir()) == [kept.path]


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_none_or_as_it_was(kept: Checkpoint, data: st.DataObject) -> None:
    kept.save("key", STATE)
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert kept.load("key") is None


def test_no_flipped_bit_becomes_part_of_a_state(kept: Checkpoint) -> None:
    whole = kept.path.read_bytes()
    for place in range(0, len(whole), 5):
        kept.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        assert kept.load("key") is None


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("was_here",)


def test_code_in_a_file_is_not_run(kept: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept.path.parent)
    buffer = io.BytesIO()
    torch.save({"key": "key", "state": Hostile()}, buffer)
    for data in (pickle.dumps({"key": "key", "state": Hostile()}), buffer.getvalue()):
        # With the checksum of its content, which whoever means harm can write as well.
        for said in (b"", crc_of(data).encode() + b"\n"):
            kept.path.write_bytes(said + data)
            assert kept.load("key") is None
    assert not Path("was_here").exists()


def test_digests_name_rows() -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "weight": [1.0, 2.0], "other": [0, 0]})
    whole = table_digest(frame, ["id", "weight"])
    assert whole == table_digest(frame.assign(other=1), ["id", "weight"])
    for changed in (frame.assign(weight=[1.0, 2.5]), frame.iloc[::-1], frame.iloc[:1]):
        assert table_digest(changed, ["id", "weight"]) != whole
