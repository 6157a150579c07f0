"""`pipeline audit` on tables of other tools and on this pipeline's own manifests."""

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from pipeline.store.refusals import refusals
from pipeline.store.shards import ShardReader
from pipeline.tools.audit import inspection
from pipeline.tools.audit.tables import FilePlace
from tests.stages.curate.similar import CHANGES, scene
from tests.tools.audit.auditing import Audit, assert_leaks, dataset, report_of, write, write_table


@pytest.mark.parametrize("name", ["table.csv", "table.jsonl", "table.parquet", "table.arrow", "TABLE.CSV"])
def test_a_clean_split_passes(audit: Audit, name: str) -> None:
    write_table(dataset(), "table.csv" if name == "TABLE.CSV" else name)
    if name == "TABLE.CSV":
        Path("table.csv").rename(name)
    ended = audit(name)
    assert (ended.code, ended.err) == (0, "")
    said = "no leaks: 4 images checked by path, content, near copies, scenes; the tables name no groups\n"
    assert ended.out.endswith(said)


def test_the_same_content_in_two_splits_is_an_exact_leak(audit: Audit) -> None:
    rows = dataset()
    Path("images/copy.png").write_bytes(Path("images/0.png").read_bytes())
    table = write_table([*rows, {"path": "images/copy.png", "label": "owl", "split": "train"}])
    words = ("test: images/0.png (cat), row 1 of table.csv", "train: images/copy.png (owl), row 5 of table.csv")
    assert_leaks(audit(table), "exact", *words)
    assert_leaks(audit(table, "--no-near"), "exact", *words)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_in_another_split_is_a_near_leak(audit: Audit, change: str) -> None:
    rows = dataset()
    write("images/0.png", scene(0, 240, 320))
    write("images/copy.png", CHANGES[change](scene(0, 240, 320)))
    table = write_table([*rows, {"path": "images/copy.png", "label": "cat", "split": "train"}])
    assert_leaks(audit(table), "near", "test: images/0.png (cat), row 1", "train: images/copy.png (cat), row 5")
    assert audit(table, "--no-near").code == 0


def test_a_group_in_two_splits_is_a_leak(audit: Audit) -> None:
    table = write_table(dataset(group=lambda number: ["box 1", "box 1", "", ""][number]))
    assert_leaks(audit(table), "group", "test and train (group box 1)", "images/0.png (cat), row 1", "row 2 of")


def test_a_path_in_two_splits_is_a_leak(audit: Audit) -> None:
    rows = dataset()
    table = write_table([*rows, {**rows[0], "split": "train", "path": "./images//0.png"}])
    assert_leaks(audit(table), "path", "images/0.png (cat), row 1 of", "./images//0.png (cat), row 5 of")


def test_given_hashes_are_taken_and_no_file_is_read(audit: Audit) -> None:
    rows = [
        {"path": f"{n}.png", "label": "cat", "split": split, "sha256": hashlib.sha256(text).hexdigest().upper()}
        for n, (split, text) in enumerate([("train", b"a"), ("train", b"b"), ("test", b"a")])
    ]
    assert_leaks(audit(write_table(rows), "--no-near"), "exact", "0.png (cat), row 1", "2.png (cat), row 3")


def test_plain_white_pictures_are_no_near_leak(audit: Audit) -> None:
    rows = dataset()
    for number in (0, 1):
        pixels = scene(number) // 255 + (254 - number)
        write(f"images/{number}.png", pixels.astype("uint8"))
    ended = audit(write_table(rows))
    assert ended.code == 0
    assert "2 pictures are too plain to have near copies" in ended.out


def test_several_tables_are_one_split(audit: Audit) -> None:
    rows = dataset()
    Path("images/2.png").write_bytes(Path("images/1.png").read_bytes())
    train = write_table([row for row in rows if row["split"] == "train"], "train.csv")
    test = write_table([row for row in rows if row["split"] == "test"], "test.jsonl")
    assert_leaks(audit(train, test), "exact", "row 2 of test.jsonl", "row 1 of train.csv")


def test_paths_start_in_the_folder_of_the_table_or_in_root(audit: Audit) -> None:
    rows = dataset()
    Path("tables").mkdir()
    table = write_table(rows, "tables/table.csv")
    assert audit(table, "--root", ".").code == 0
    ended = audit(table)
    assert ended.code == 5
    assert "4 of 4 images could not be checked" in ended.err
    assert "--root" in ended.err
    assert "images/0.png (cat), row 1 of tables/table.csv: missing: no such file under the root" in ended.out


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secret.png", "leaves the root"),
        ("/etc/hostname", "absolute path"),
        ("images/link.png", "a link that leaves the root"),
        ("images", "not a regular file"),
        ("images/pipe", "not a regular file"),
        ("images/gone.png", "missing"),
        ("images/loop.png", "missing"),
        ("images/\0.png", "missing"),
        ("images/broken.png", "not_an_image"),
        ("images/empty.png", "empty"),
    ],
)
def test_a_path_that_cannot_be_read_is_reported_and_never_followed(audit: Audit, path: str, reason: str) -> None:
    Path("data").mkdir()
    write("secret.png", scene(0))
    os.chdir("data")
    rows = dataset()
    Path("images/link.png").symlink_to("../../secret.png")
    Path("images/loop.png").symlink_to("loop.png")
    os.mkfifo("images/pipe")
    Path("images/broken.png").write_bytes(b"nothing")
    Path("images/empty.png").touch()
    write_table([*rows, {"path": path, "label": "cat", "split": "train"}], "table.jsonl")
    ended = audit("table.jsonl", "--format", "json")
    assert ended.code == 5
    assert "no leak found, but 1 of 5 images could not be checked" in ended.err
    [unchecked] = report_of(ended)["unchecked"]
    assert unchecked["row"] == 5
    assert unchecked["reason"].startswith(reason)
    assert report_of(ended)["leaks"] == []


@pytest.mark.parametrize("hash_it", [True, False])
def test_what_the_disk_refuses_is_said_without_the_folders_of_this_machine(
    hash_it: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        with refusals(path):
            raise OSError(errno.EIO, "Input/output error", str(path))

    write(str(tmp_path / "1.png"), scene(1))
    monkeypatch.setattr(inspection, "read_bytes", refuse)
    monkeypatch.setattr(inspection, "sha256_of", refuse)
    item = (FilePlace(tmp_path, "1.png"), hash_it)
    assert inspection.inspect_image(item, inspection.SMALL, ShardReader()) == inspection.Inspection(
        None, None, "unreadable: Input/output error"
    )


def test_names_that_are_not_utf8_or_hold_newlines(audit: Audit) -> None:
    rows = dataset()
    odd = os.fsdecode(b"images/\xff\n.png")
    try:
        Path(odd).write_bytes(Path("images/0.png").read_bytes())
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    table = write_table([*rows, {"path": odd, "label": "cat", "split": "train"}])
    ended = audit(table, "--json", "report.json")
    assert_leaks(ended, "exact", "images/\\udcff\\n.png (cat), row 5")
    [leak] = json.loads(Path("report.json").read_text(encoding="utf-8"))["leaks"]
    assert leak["rows"][1]["path"] == "images/\\udcff\n.png"


def test_the_report_is_the_same_for_any_number_of_workers_and_in_a_file(audit: Audit) -> None:
    rows = dataset(8)
    Path("images/2.png").write_bytes(Path("images/1.png").read_bytes())
    table = write_table(rows)
    first = audit(table, "--format", "json", "--json", "new/report.json")
    again = audit(table, "--format", "json", "--workers", "2")
    assert first.out == again.out
    assert report_of(first) == json.loads(Path("new/report.json").read_text(encoding="utf-8"))
    assert report_of(first)["leaks"] == [
        {
            "kind": "exact",
            "splits": ["test", "train"],
            "rows": [
                {"table": "table.csv", "row": 2, "path": "images/1.png", "label": "cat", "split": "train"},
                {"table": "table.csv", "row": 3, "path": "images/2.png", "label": "dog", "split": "test"},
            ],
        }
    ]
    assert report_of(first)["splits"]["test"] == {
        "images": 4,
        "labels": {"cat": 2, "dog": 2},
        "leaking": 1,
        "roles": {},
        "unlabelled": 0,
    }


def test_class_gaps_and_roles_are_reported_and_fail_nothing(audit: Audit) -> None:
    rows = dataset(role=lambda number: "raw" if number else "production")
    rows[3]["label"] = "owl"
    ended = audit(write_table(rows), "--min-per-class", "1")
    assert ended.code == 0
    assert "owl is only in train (1 images)" in ended.out
    assert "1 production, 1 raw" in ended.out


def test_help_says_what_the_exit_code_means(audit: Audit) -> None:
    assert "exit code is 8" in " ".join(audit("--help").out.split())
