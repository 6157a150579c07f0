"""ingest of the same files again: by other workers, in another order, with new files and contents."""

import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.examples import encoded, picture, write_source
from tests.stages.ingest.ingesting import Run, run


def many(root: Path, order: Collection[int]) -> Path:
    """300 images and some broken files, made on disk in this order."""
    for number in order:
        path = root / ("cat", "dog", "emu")[number % 3] / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"broken" if number % 30 == 0 else encoded(picture(number, 16, 8 + number % 5)))
    return root


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def plain(base: Path) -> Run:
    return run(many(base / "src", range(300)), base)


def test_any_number_of_workers_gives_the_same_bytes(base: Path, plain: Run) -> None:
    assert len(plain.content()) > 3
    assert run(base / "src", base, workers=2).content() == plain.content()


def test_the_order_in_which_files_were_made_does_not_count(base: Path, plain: Run) -> None:
    shuffled = many(base / "shuffled", np.random.default_rng(1).permutation(300).tolist())
    assert run(shuffled, base).content() == plain.content()


def test_a_file_with_new_content_gets_new_pixels(tmp_path: Path) -> None:
    write_source(tmp_path / "src", {"cat": 2})
    run(tmp_path / "src", tmp_path, folder=tmp_path / "shards")
    (tmp_path / "src/cat/000.png").write_bytes(encoded(picture(5)))
    warm = run(tmp_path / "src", tmp_path, folder=tmp_path / "shards")
    assert warm.image("web/cat/000.png") == encoded(picture(5))
    assert warm.content() == run(tmp_path / "src", tmp_path).content()


@pytest.mark.parametrize("new", ["cat/0000.png", "dog/200b.png", "zebra/1.png"])
def test_a_new_file_leaves_the_pixels_of_all_others(new: str, base: Path, tmp_path: Path, plain: Run) -> None:
    shutil.copytree(base / "src", tmp_path / "src")
    shutil.copytree(plain.folder, tmp_path / "shards")
    (tmp_path / "src" / new).parent.mkdir(exist_ok=True)
    (tmp_path / "src" / new).write_bytes(encoded(picture(999)))
    warm = run(tmp_path / "src", tmp_path, folder=tmp_path / "shards")
    images = {image_id: warm.image(image_id) for image_id in warm.manifest["id"]}
    assert images.pop(f"web/{new}") == encoded(picture(999))
    assert images == {image_id: plain.image(image_id) for image_id in plain.manifest["id"]}
    same = ["id", "sha256", "pixels", "brightness"]
    others = warm.manifest[warm.manifest["path"] != new]
    pd.testing.assert_frame_equal(others[same].reset_index(drop=True), plain.manifest[same])
    assert warm.content() == run(tmp_path / "src", tmp_path).content()


def test_what_shapes_pixels_changes_their_digest_and_what_does_not_leaves_it(base: Path, plain: Run) -> None:
    pixels = set(plain.manifest["pixels"])
    assert set(run(base / "src", base, {"ingest.max_rejected": 0.5}).manifest["pixels"]) == pixels
    for change in ({"ingest.size": 17}, {"ingest.fit": "stretch"}, {"ingest.encoding": {"name": "jpeg", "quality": 9}}):
        assert not pixels & set(run(base / "src", base, change).manifest["pixels"])
