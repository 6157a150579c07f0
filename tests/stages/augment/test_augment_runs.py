"""augment makes what is missing and no more, with the same bytes for any workers, any order and after a kill."""

import multiprocessing
import os
import signal
import time
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.images import pixels as imaging
from pipeline.stages.augment import stage as augment_module
from pipeline.transforms import transforms as transforms_module
from pipeline.transforms.presets import PRESETS, Preset
from pipeline.workers import pool as workers_module
from pipeline.workers import scheduler as scheduler_module
from tests.augmented import TURN, Originals, many, run


def test_any_number_of_workers_and_any_order_of_rows_give_the_same_bytes(
    originals: Originals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment_module, "WORTH_WORKERS", 0)
    counts: set[int] = set()

    def worker_pool(count: int) -> AbstractContextManager[list[workers_module.Worker]]:
        counts.add(count)
        return workers_module.worker_pool(count)

    monkeypatch.setattr(scheduler_module, "worker_pool", worker_pool)
    rows = many(originals)
    one = run(originals, rows=rows, transforms=[TURN])
    assert len(one.shards()) > 2
    for workers in (2, 4):
        shuffled = rows.sample(frac=1, random_state=workers)
        assert run(originals, rows=shuffled, transforms=[TURN], workers=workers).content() == one.content()
    assert counts == {1, 3}


def run_and_die(folder: Path, rows: pd.DataFrame, originals: Originals, after: int) -> None:
    """In a process of its own: a run that gets SIGKILL after so many pictures."""
    encode, calls = imaging.encode, count(1)

    def dying(*arguments: Any) -> bytes:
        if next(calls) > after:
            # A finished shard waits for the disk in a thread: the run dies once the first one is in place.
            while after > 1 and not list(folder.glob("*.arrow")):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return encode(*arguments)

    imaging.encode = dying  # type: ignore[assignment]
    run(originals, rows=rows, transforms=[TURN], folder=folder)


@pytest.mark.parametrize("after", [1, 200])
def test_a_killed_run_goes_on_where_it_was(
    originals: Originals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    rows = many(originals)
    whole = run(originals, rows=rows, transforms=[TURN])
    process = multiprocessing.get_context("spawn").Process(
        target=run_and_die, args=(tmp_path / "shards", rows, originals, after)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    left = len(list((tmp_path / "shards").glob("*.arrow")))
    assert left < len(whole.shards())
    assert (left > 0) == (after == 200)
    made = count_calls(monkeypatch)
    assert run(originals, rows=rows, transforms=[TURN], folder=tmp_path / "shards").content() == whole.content()
    assert (len(made) < whole.metrics["variants"]) == (after == 200)


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images of which variants are made from here on, in order."""
    made: list[str] = []
    make_variant = transforms_module.make_variant

    def noted(pixels: Any, transform: Any, seed: int, image_id: str, *key: Any) -> Any:
        made.append(image_id)
        return make_variant(pixels, transform, seed, image_id, *key)

    monkeypatch.setattr(transforms_module, "make_variant", noted)
    return made


def test_one_changed_image_costs_its_own_variants(originals: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = many(originals)
    before = run(originals, rows=rows)
    old, changed = before.shards().keys(), rows["id"] == "web/dog/001.png"
    made = count_calls(monkeypatch)
    after = run(originals, rows=rows.assign(pixels=rows["pixels"].mask(changed, "new")), folder=before.folder)
    assert set(made) == {"web/dog/001.png"}
    # Its rows 1 to 59 and the copies of all 60.
    assert len(made) == 119
    touched = before.manifest.loc[before.manifest["id"].eq("web/dog/001.png") & before.manifest["copy"].gt(0), "shard"]
    assert len(old - after.shards().keys()) == touched.nunique() < len(old)


def test_nothing_is_made_twice(originals: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(originals, rows=many(originals))
    content = before.content()
    made = count_calls(monkeypatch)
    assert run(originals, rows=many(originals), folder=before.folder).content() == content
    assert made == []


def test_each_original_is_decoded_once_for_all_its_variants_in_a_shard(
    originals: Originals, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, calls = imaging.decode, count()
    monkeypatch.setattr(imaging, "decode", lambda data: (next(calls), decode(data))[1])
    done = run(originals, copies=9)
    assert next(calls) <= 1 + 6 * len(done.shards())


def test_a_preset_is_the_same_as_its_list(originals: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = run(originals, transforms=[{"preset": "light"}])
    made = count_calls(monkeypatch)
    listed = run(originals, transforms=[dict(item) for item in PRESETS["light"].transforms], folder=preset.folder)
    assert made == []
    assert listed.images() == preset.images()


def test_another_content_of_a_preset_gives_other_shards(originals: Originals, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(originals, transforms=[{"preset": "light"}])
    monkeypatch.setitem(PRESETS._rows, "light", Preset("light", [TURN]))
    after = run(originals, transforms=[{"preset": "light"}])
    assert before.shards().keys() & after.shards().keys() == set()
