"""Files: round trips, the same bytes for the same rows, and words for all that can be wrong with a file."""

import json
import math
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import catalogue, storage
from pipeline.core.manifest import CURATED, INGESTED
from pipeline.errors import DataError, MissingInputError, StorageError
from tests.examples import REPOSITORY, curated, full_disk

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ROWS = curated({"cat": 3, "dog": 2}, {"dog": 1, "cat": 2})


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("data/curate", "data/ingest/web", "reports/split"):
        Path(folder).mkdir(parents=True)


def written(artifact: storage.Artifact, value: object) -> Path:
    artifact.write(value, Path(artifact.path))
    return Path(artifact.path)


BUILT_OTHERWISE: dict[str, Callable[[], pd.DataFrame]] = {
    "categories": lambda: ROWS.astype({"label": "category", "source": "category"}),
    "unsorted and unused categories": lambda: ROWS.assign(label=pd.Categorical(ROWS["label"], ["dog", "emu", "cat"])),
    "objects": lambda: ROWS.astype({"label": object, "id": object, "sha256": object}),
    "wide and narrow numbers": lambda: ROWS.astype({"width": np.int64, "height": np.float64, "brightness": np.float64}),
    "other row and column order": lambda: ROWS.iloc[::-1, ::-1].set_index(np.arange(len(ROWS)) * 7).iloc[::-1],
    "a part of more": lambda: pd.concat([ROWS.head(3).assign(label="emu"), ROWS.assign(note=1)]).iloc[3:],
}


@pytest.mark.parametrize("build", BUILT_OTHERWISE.values(), ids=BUILT_OTHERWISE.keys())
def test_equal_rows_give_equal_bytes_however_the_frame_was_built(build: Callable[[], pd.DataFrame]) -> None:
    plain = written(catalogue.CURATED, ROWS).read_bytes()
    assert written(catalogue.CURATED, build()).read_bytes() == plain


def test_a_manifest_comes_back_with_sorted_and_used_categories() -> None:
    frame = catalogue.CURATED.read(written(catalogue.CURATED, BUILT_OTHERWISE["unsorted and unused categories"]()))
    assert frame["label"].cat.categories.tolist() == ["cat", "dog"]
    assert frame["width"].dtype == np.int32
    pd.testing.assert_frame_equal(frame.astype(ROWS.dtypes.to_dict()), ROWS)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_any_text_survives_a_manifest(texts: list[tuple[str, str]]) -> None:
    artifact = storage.manifest("m.arrow", pa.schema([("id", pa.string()), ("label", CURATED.field("label").type)]))
    frame = pd.DataFrame(texts, columns=["id", "label"], dtype="str")
    back = artifact.read(written(artifact, frame))
    assert list(zip(back["id"], back["label"], strict=True)) == texts


def test_a_truncated_manifest_is_an_error_at_any_length() -> None:
    path = written(catalogue.CURATED, ROWS)
    whole = path.read_bytes()
    for length in {*range(0, len(whole), 97), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"^data/curate/manifest\.arrow is damaged.* run `dvc repro curate`$"):
            catalogue.CURATED.read(path)


def test_a_damaged_byte_costs_a_message_never_the_process(tmp_path: Path) -> None:
    path = written(catalogue.CURATED, ROWS)
    whole = path.read_bytes()
    draw = random.Random(1)
    for number in range(300):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        (tmp_path / f"{number}.arrow").write_bytes(damaged)
    # In a process of its own: offsets that Arrow does not check crash whoever reads them.
    run = subprocess.run([sys.executable, "-c", READ_ALL, tmp_path], check=False, cwd=REPOSITORY, capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")


READ_ALL = """
import pathlib, sys
from pipeline import catalogue
from pipeline.errors import DataError
for path in pathlib.Path(sys.argv[1]).glob("*.arrow"):
    try:
        catalogue.CURATED.read(path)
    except DataError:
        pass
"""


def test_a_manifest_of_another_version_is_an_error() -> None:
    path = written(storage.manifest("data/curate/manifest.arrow", INGESTED), ROWS)
    with pytest.raises(DataError, match=r"^data/curate/manifest\.arrow has the columns .*`dvc repro curate`$"):
        catalogue.CURATED.read(path)


def test_a_report_has_sorted_keys_and_readable_letters() -> None:
    path = written(catalogue.SPLIT_METRICS, {"b": 1, "a": {"ü": 0.5, "k": None}})
    assert path.read_text() == '{\n  "a": {\n    "k": null,\n    "ü": 0.5\n  },\n  "b": 1\n}\n'
    assert catalogue.SPLIT_METRICS.read(path) == json.loads(path.read_text())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_report_refuses_what_is_no_number_and_writes_nothing(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        written(catalogue.SPLIT_METRICS, {"a": value})
    assert not Path(catalogue.SPLIT_METRICS.path).exists()


@settings(deadline=None, max_examples=100)
@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_name_survives_a_table(names: list[str]) -> None:
    table = storage.table("t.csv")
    # A folder before each name, because a CSV file cannot tell the text "1" from the number.
    frame = pd.DataFrame({"path": [f"cat/{name}" for name in names], "n": range(len(names))})
    pd.testing.assert_frame_equal(table.read(written(table, frame)), frame, check_dtype=False)


@pytest.mark.parametrize("name", ["NA", "null", "", 'say "cheese".png', "a\nb", "a,b", "Icon\r", "NA\r\n", " x ", "'"])
def test_an_odd_name_survives_a_table(name: str) -> None:
    table = storage.table("t.csv")
    assert table.read(written(table, pd.DataFrame({"path": [name, "z"]})))["path"].tolist() == [name, "z"]


MADE = {
    name: artifact.named(name="web")
    for name, artifact in vars(catalogue).items()
    if isinstance(artifact, storage.Artifact)
    if name not in {"INGESTED_SOURCES", "ORIGINALS", "COPIES", "SAMPLE_WEB", "SAMPLE_PHONE"}  # folders of several outs
}


@pytest.mark.parametrize("name", MADE)
def test_a_missing_file_names_the_stage_that_makes_it(name: str) -> None:
    path = Path(MADE[name].path)
    with pytest.raises(
        MissingInputError, match=rf"^{path}(/metrics\.json)? is missing: run `dvc repro {path.parts[1]}`$"
    ):
        MADE[name].read(path)


@pytest.mark.parametrize(
    ("artifact", "content"),
    [
        (catalogue.SPLIT_METRICS, b'{"a": '),
        (catalogue.SPLIT_METRICS, b"\xff"),
        (catalogue.INGEST_REJECTED.named(name="web"), b""),
        (catalogue.INGEST_REJECTED.named(name="web"), b"path\n\xff\xfe\n"),
        (catalogue.INGEST_REJECTED.named(name="web"), b'path,reason\n"a,b\n'),
    ],
    ids=["cut JSON", "no text", "empty table", "table of no text", "open quote"],
)
def test_a_damaged_file_names_the_stage_that_makes_it(artifact: storage.Artifact, content: bytes) -> None:
    path = Path(artifact.path)
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"^{path} is not (readable JSON|a readable CSV file) \((?s:.*)\): run `dvc repro "
    ):
        artifact.read(path)


WRITES: dict[str, tuple[storage.Artifact, object]] = {
    "manifest": (catalogue.CURATED, ROWS),
    "table": (catalogue.CURATE_REMOVED, pd.DataFrame({"id": ["x" * 2000]})),
    "report": (catalogue.CURATE_METRICS, {"a": "x" * 2000}),
    "text": (catalogue.DIAGNOSIS_TEXT, "x" * 2000),
    "bytes": (catalogue.MODEL, bytes(2000)),
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_full_disk_is_said_in_words(kind: str) -> None:
    artifact, value = WRITES[kind]
    with pytest.raises(StorageError, match=r"^/dev/full: No space left on device\. Free space or mend the permissions"):
        artifact.write(value, Path("/dev/full"))


def test_images_that_do_not_fit_are_an_error() -> None:
    with full_disk(1000), pytest.raises(StorageError, match=r"^images: File too large\. Free space"):
        storage.images_in_class_folders("").write({"cat/1.png": b"x", "cat/2.png": bytes(2000)}, Path("images"))


def write_read_only(path: Path) -> None:
    path.write_text("old")
    path.chmod(0o444)


STOOD_THERE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "read-only file": write_read_only,
    "link": lambda path: path.symlink_to("cached"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to a folder": lambda path: path.symlink_to("folder"),
    "full folder": lambda path: (path / "old").mkdir(parents=True),
}


@pytest.mark.parametrize("new", ["file", "folder"])
@pytest.mark.parametrize("old", STOOD_THERE)
def test_what_is_whole_takes_the_place_of_anything(new: str, old: str) -> None:
    write_read_only(Path("cached"))
    Path("folder").mkdir()
    STOOD_THERE[old](Path("out"))
    partial = storage.partial_path(Path("out"))
    if new == "folder":
        partial.mkdir()
    content = partial / "new" if new == "folder" else partial
    content.write_text("new")
    storage.put_in_place(partial, Path("out"))
    assert not Path("out").is_symlink()
    assert {path.name: path.read_text() for path in [Path("out"), *Path("out").rglob("*")] if path.is_file()} == {
        "new" if new == "folder" else "out": "new"
    }
    assert Path("cached").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["cached", "data", "folder", "out", "reports"]


REFUSED: dict[str, tuple[str, Callable[[str], object]]] = {
    "cat/gone.png": ("dangling_link", lambda name: Path(name).symlink_to("nowhere.png")),
    "cat/itself.png": ("dangling_link", lambda name: Path(name).symlink_to("itself.png")),
    "cat/outside.png": ("link_leaves_source", lambda name: Path(name).symlink_to("../../secret.png")),
    "cat/pipe.png": ("not_a_regular_file", os.mkfifo),
    "cat/socket.png": ("not_a_regular_file", lambda name: os.mknod(name, stat.S_IFSOCK)),
    "cat/\udcff.png": ("name_not_utf8", lambda name: Path(name).write_text("")),
    "cat/up": ("linked_folder", lambda name: Path(name).symlink_to("..")),
    "emu": ("link_leaves_source", lambda name: Path(name).symlink_to("../data")),
}
IGNORED = ["desktop.ini", ".git/cat/1.png", "__MACOSX/cat/1.png", "cat/.DS_Store", "cat/Thumbs.db", "cat/.old/1.png"]


def test_a_scan_sorts_files_into_those_to_read_to_refuse_and_to_ignore(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("secret.png").write_text("")
    for name in [
        "src/loose.txt",
        "src/dog/b/2.png",
        "src/dog/1.png",
        "src/cat/Ü 1.png",
        *(f"src/{n}" for n in IGNORED),
    ]:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    Path("src/cat/linked.png").symlink_to("../dog/1.png")
    monkeypatch.chdir("src")
    for name, (_, make) in REFUSED.items():
        make(name)
    expected = storage.Scan(
        files=("cat/linked.png", "cat/Ü 1.png", "dog/1.png", "dog/b/2.png", "loose.txt"),
        refused=tuple(sorted((name.replace("\udcff", "\\udcff"), reason) for name, (reason, _) in REFUSED.items())),
        ignored=len(IGNORED),
    )
    assert storage.scan(Path()) == expected
    Path("../link").symlink_to("src")
    assert storage.scan(Path("../link")) == expected


def test_a_source_must_be_a_folder() -> None:
    Path("file").write_text("")
    with pytest.raises(
        MissingInputError, match=r"^the source folder file is not a folder: correct its path under `sou"
    ):
        storage.scan(Path("file"))
    with pytest.raises(
        MissingInputError, match=r"^the source folder nowhere is missing: correct its path under `source"
    ):
        storage.scan(Path("nowhere"))


@pytest.mark.parametrize("closed", ["src", "src/cat"])
def test_a_folder_that_may_not_be_read_is_an_error(closed: str, tmp_path: Path) -> None:
    Path("src/cat").mkdir(parents=True)
    tmp_path.chmod(0o755)
    Path(closed).chmod(0o000)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # root may read every folder, nobody may not
        with pytest.raises(StorageError, match=r"^src: Permission denied\. Free space or mend the permissions"):
            storage.scan(Path("src"))
    finally:
        os.seteuid(user)
        Path(closed).chmod(0o755)
