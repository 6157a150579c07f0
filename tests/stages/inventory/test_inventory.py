"""inventory: a list a source, which changes when a file does and never for another reason."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline.errors import MissingInputError, StorageError
from pipeline.sources.object_store import ObjectPlace, ObjectStat
from pipeline.sources.objects import Objects
from pipeline.sources.params import SourceParams
from pipeline.stages.inventory import stage
from pipeline.stages.inventory.stage import InventoryOutputs, inventory
from pipeline.store.reading import sha256_of
from pipeline.workers.engine import Engine
from tests.examples import params

SOURCES = params(**{"sources.web.path": "images/web", "sources.phone.path": "images/phone"}).sources


def made(sources: dict[str, SourceParams] | None = None) -> InventoryOutputs:
    return inventory(sources or SOURCES, 1_000_000, Engine(1))


def lists(found: InventoryOutputs) -> dict[str, str]:
    assert found.files is not None
    return found.files


def test_each_source_has_a_list_of_paths_and_contents(workspace: Path) -> None:
    found = made()
    assert found.summary == "145 files in 2 sources"
    assert list(lists(found)) == ["web.jsonl", "phone.jsonl"]
    lines = [json.loads(line) for line in lists(found)["web.jsonl"].splitlines()]
    assert lines[0] == ["a/000.png", sha256_of(Path("images/web/a/000.png"))]
    assert [path for path, _ in lines] == sorted(path for path, _ in lines)
    os.utime("images/web/a/000.png")
    assert made() == found


def test_a_change_shows_in_the_list_of_its_source_alone(workspace: Path) -> None:
    before = lists(made())
    Path("images/web/a/000.png").write_bytes(b"other")
    after = lists(made())
    assert after["web.jsonl"] != before["web.jsonl"]
    assert after["phone.jsonl"] == before["phone.jsonl"]


def test_files_beyond_the_limit_are_named_and_not_read(workspace: Path) -> None:
    for name in ("large.png", "table.csv", "huge.csv"):
        Path(f"images/web/a/{name}").touch()
        os.truncate(f"images/web/a/{name}", 2**41 if name != "table.csv" else 2_000_000)
    found = made()
    assert found.summary.endswith(
        f"2 not read: images/web/a/huge.csv: too_many_bytes {2**41}, images/web/a/large.png: too_many_bytes {2**41}"
    )
    lines = dict(json.loads(line) for line in lists(found)["web.jsonl"].splitlines())
    assert lines["a/table.csv"] == sha256_of(Path("images/web/a/table.csv"))


def test_what_is_not_read_is_named_and_never_opened(workspace: Path) -> None:
    os.mkfifo("images/web/a/pipe.png")
    Path("images/web/a/out.png").symlink_to("/dev/zero")
    Path("images/web/a/new\nline.png").write_bytes(b"x")
    found = made()
    assert found.summary == (
        "148 files in 2 sources; 2 not read: images/web/a/out.png: link_leaves_source, "
        "images/web/a/pipe.png: not_a_regular_file"
    )
    lines = [json.loads(line) for line in lists(found)["web.jsonl"].splitlines()]
    assert ["a/pipe.png", "not_a_regular_file"] in lines


def test_a_missing_source_that_dvc_tracks_says_how_it_comes_back(workspace: Path) -> None:
    shutil.rmtree("images/web")
    Path("images.dvc").touch()
    with pytest.raises(
        MissingInputError, match=r"^the source images/web is missing, .* `dvc checkout images\.dvc`"
    ) as raised:
        made()
    assert str(raised.value).endswith("also needs this one: `dvc exp run --temp images.dvc TARGET`")


def test_a_source_may_be_one_file_or_missing(workspace: Path) -> None:
    Path("images.zip").write_bytes(b"archive")
    own = {
        "archive": SourceParams.model_validate({**SOURCES["web"].model_dump(), "path": "images.zip"}),
        "gone": SourceParams.model_validate({**SOURCES["web"].model_dump(), "path": "gone"}),
    }
    found = made(own)
    assert json.loads(lists(found)["archive.jsonl"]) == ["", sha256_of(Path("images.zip"))]
    assert lists(found)["gone.jsonl"] == ""


def test_ignored_files_stand_in_the_list_so_that_ingest_runs_again_for_its_table(workspace: Path) -> None:
    before = lists(made())
    Path("images/web/@eaDir/a").mkdir(parents=True)
    Path("images/web/@eaDir/a/1.jpg").write_bytes(b"x")
    after = made()
    lines = [json.loads(line) for line in lists(after)["web.jsonl"].splitlines()]
    assert lines == [["@eaDir/a/1.jpg", "system_file"], *map(json.loads, before["web.jsonl"].splitlines())]
    assert "not read" not in after.summary


def test_a_bucket_has_a_list_of_sizes_and_times_and_nothing_of_it_is_read(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned = {"a/1.png": ObjectStat(7, 1_700_000_000_000_000_000), "a/2.png": ObjectStat(8, 1_700_000_000_500_000_000)}
    monkeypatch.setattr(ObjectPlace, "is_file", lambda _: False)
    monkeypatch.setattr(Objects, "_listed", lambda _: (scanned, {"a//x": "empty_name"}))
    found = made({**SOURCES, "web": params(**{"sources.web.path": "s3://bucket/web"}).sources["web"]})
    lines = [json.loads(line) for line in lists(found)["web.jsonl"].splitlines()]
    assert lines == [
        ["a//x", "empty_name"],
        ["a/1.png", "7 bytes of 2023-11-14T22:13:20Z"],
        ["a/2.png", "8 bytes of 2023-11-14T22:13:20.500000000Z"],
    ]


def test_a_bucket_that_cannot_be_reached_keeps_the_list_of_the_last_run(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {**SOURCES, "web": params(**{"sources.web.path": "s3://bucket/web"}).sources["web"]}

    def unreachable(_: ObjectPlace) -> bool:
        raise StorageError("s3://bucket/web: there is no network")

    monkeypatch.setattr(ObjectPlace, "is_file", unreachable)
    # Nothing is known of it: ingest will say why.
    found = made(sources)
    assert lists(found)["web.jsonl"] == ""
    last = stage._LastRun({"web": "s3://bucket/web"}, {"web.jsonl": b'["a/1.png", "7 bytes"]\n'})
    monkeypatch.setattr(stage, "_last_run", lambda: last)
    found = made(sources)
    assert lists(found)["web.jsonl"] == '["a/1.png", "7 bytes"]\n'
    assert "not here: web; the results of the last run are used for them" in found.summary
    assert "s3://bucket/web: there is no network" in found.summary
    # Another path is another source.
    monkeypatch.setattr(stage, "_last_run", lambda: stage._LastRun({"web": "s3://bucket/old"}, last.files))
    assert lists(made(sources))["web.jsonl"] == ""
