"""One stage at a time: all of its outputs stand, whole, or those of the last run do."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.errors import MissingInputError, ParamsError, StorageError
from pipeline.manifest import INGESTED
from pipeline.project import runner
from pipeline.project.params_file import Params, load_params
from pipeline.project.runner import run_stage, value_at, write_all
from pipeline.sources.scan import images_in_class_folders
from pipeline.stage import Stage
from pipeline.store import artifacts as storage
from pipeline.store.checked import memo
from pipeline.store.timing import key_of_files, timings
from pipeline.store.writing import alone
from pipeline.workers.engine import Engine
from tests.examples import curated, encoded, full_disk, params, picture, with_columns, write_source
from tests.running import write_params, write_tiny_sources

ONE = Engine(workers=1)


@pytest.fixture(autouse=True)
def _in_an_empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files() -> dict[str, bytes]:
    """Everything in the project but what stages read, sources and ingested images, and how long they took."""
    paths = [path for path in Path().rglob("*") if path.is_file() and path.parts[:2] != ("data", "ingest")]
    return {path.as_posix(): path.read_bytes() for path in paths if path != Path(catalogue.TIMING)}


def ingest_by_hand(name: str, images: int) -> None:
    """The manifest and the table of one source, as ingest writes them."""
    frame = curated({"cat": images}, {"dog": images})
    # Facts of pictures without an issue: those that have one would be shown, and there are no shards.
    facts = {"luma_1": 0, "luma_5": 10, "luma_99": 250, "information": 8, "colour_99": 90, "blur": 0}
    frame = frame[frame["source"] == name].assign(**facts)
    Path(f"data/ingest/{name}").mkdir(parents=True, exist_ok=True)
    for artifact, value in (
        (catalogue.INGESTED, with_columns(frame, INGESTED)),
        (catalogue.INGEST_REJECTED, pd.DataFrame(columns=["path", "reason", "detail"])),
    ):
        made = artifact.named(name=name)
        made.write(value, Path(made.path))


def test_a_stage_reads_its_inputs_and_puts_its_outputs_in_place() -> None:
    ingest_by_hand("web", 3)
    ingest_by_hand("phone", 2)
    assert run_stage("curate", params(), ONE).startswith("curate: 5 images kept, no duplicates (")
    first = files()
    (took,) = timings(Path(catalogue.TIMING)).values()
    assert took.stage == "curate"
    assert took.key == key_of_files(map(Path, first))
    assert took.images == 5
    assert sorted(first) == [
        "data/curate/groups.arrow",
        "data/curate/manifest.arrow",
        "data/curate/near_duplicates.csv",
        "data/curate/removed.csv",
        "data/curate/scene_pairs.arrow",
        "data/curate/scenes.csv",
        "reports/curate/checksums.json",
        "reports/curate/confounding.csv",
        "reports/curate/confounding.png",
        "reports/curate/copies.png",
        "reports/curate/issues.png",
        "reports/curate/metrics.json",
        "reports/curate/scenes.png",
    ]
    assert len(catalogue.CURATED.read(Path(catalogue.CURATED.path))) == 5
    run_stage("curate", params(), ONE)
    assert files() == first


def test_new_outputs_take_the_place_of_old_ones() -> None:
    ingest_by_hand("web", 3)
    ingest_by_hand("phone", 2)
    run_stage("curate", params(), ONE)
    first = files()
    ingest_by_hand("web", 4)
    run_stage("curate", params(), ONE)
    assert files().keys() == first.keys()
    assert len(catalogue.CURATED.read(Path(catalogue.CURATED.path))) == 6


def test_a_stage_that_fails_touches_no_output() -> None:
    ingest_by_hand("web", 3)
    ingest_by_hand("phone", 2)
    run_stage("curate", params(), ONE)
    first = files()
    more = params(**{"sources.scanner": {"role": "raw", "path": "scans"}})
    with pytest.raises(MissingInputError, match=r"^sources not ingested yet: scanner; run `dvc repro ingest`$"):
        run_stage("curate", more, ONE)
    assert files() == first


def test_a_stage_without_its_input_names_the_stage_that_makes_it() -> None:
    with pytest.raises(MissingInputError, match=r"^data/curate/manifest\.arrow is missing: run `dvc repro curate`$"):
        run_stage("split", params(), ONE)
    assert files() == {}


def test_a_stage_of_one_source_says_so_and_takes_only_known_ones() -> None:
    write_source(Path("data/sample/web"), {"cat": 2, "dog": 2})
    assert run_stage("ingest", params(), ONE, key="web").startswith("ingest web: 4 images, 0 rejected, 0 ignored (")
    assert catalogue.INGESTED.read(Path("data/ingest/web/manifest.arrow"))["source"].tolist() == ["web"] * 4
    with pytest.raises(ParamsError, match=r"^sources has no entry 'wbe': params\.yaml names web, phone$"):
        run_stage("ingest", params(), ONE, key="wbe")


def test_a_failed_write_leaves_the_old_manifest_with_the_shards_that_it_points_at() -> None:
    write_source(Path("data/sample/web"), {"cat": 2, "dog": 2})
    run_stage("ingest", params(), ONE, key="web")
    folder = Path("data/ingest/web")
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (Path("data/sample/web") / "cat" / "new.png").write_bytes(encoded(picture(1)))
    for number in range(300):  # their reasons make the table of rejected files longer than any other file
        (Path("data/sample/web") / f"{number:0200}").write_text("")
    with full_disk(30_000), pytest.raises(StorageError, match=r"rejected\.csv\.partial: File too large"):
        run_stage("ingest", params(**{"ingest.max_rejected": 1.0}), ONE, key="web")
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert first.items() <= after.items()
    assert {path.parent.name for path in after.keys() - first.keys()} == {"shards"}


@dataclass(frozen=True)
class ThreeOutputs:
    first: Any
    second: Any
    third: Any
    summary: str = ""


STAGE = Stage(
    name="three",
    function=ThreeOutputs,
    writes={
        "first": storage.text("data/three/first.txt"),
        "second": storage.report("reports/three/second.json"),
        "third": images_in_class_folders("data/three/third"),
    },
)
OLD = ThreeOutputs("old", {"old": 1}, {"cat/old.png": b"old"})
OLD_FILES = {
    "data/three/first.txt": b"old",
    "reports/three/second.json": b'{\n  "old": 1\n}\n',
    "data/three/third/cat/old.png": b"old",
}


def test_all_outputs_are_replaced_and_nothing_half_written_stays() -> None:
    write_all(STAGE, OLD)
    assert files() == OLD_FILES
    write_all(STAGE, ThreeOutputs("new", {}, {"dog/new.png": b"new"}))
    assert files() == {
        "data/three/first.txt": b"new",
        "reports/three/second.json": b"{}\n",
        "data/three/third/dog/new.png": b"new",
    }
    assert {path.name for path in Path("data/three").iterdir()} == {"first.txt", "third"}


class Interrupted(dict[str, bytes]):
    """Images whose writing is stopped by Ctrl-C."""

    def items(self) -> Any:
        yield "cat/1.png", b"1"
        signal.raise_signal(signal.SIGINT)


FAILURES: dict[str, tuple[ThreeOutputs, type[BaseException]]] = {
    "no room for the first": (ThreeOutputs("x" * 5000, {}, {}), StorageError),
    "no room for the second": (ThreeOutputs("new", {"new": "x" * 5000}, {}), StorageError),
    "no room for the third": (ThreeOutputs("new", {}, {"a/1.png": b"1", "a/2.png": bytes(5000)}), StorageError),
    "a number that JSON lacks": (ThreeOutputs("new", {"new": float("nan")}, {}), ValueError),
    "a bug": (ThreeOutputs("new", {}, None), AttributeError),
    "Ctrl-C": (ThreeOutputs("new", {}, Interrupted()), KeyboardInterrupt),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_write_that_fails_leaves_all_old_outputs_and_nothing_else(failure: str) -> None:
    outputs, error = FAILURES[failure]
    write_all(STAGE, OLD)
    with full_disk(4000), pytest.raises(error):
        write_all(STAGE, outputs)
    assert files() == OLD_FILES
    assert not list(Path().rglob(".*"))


@pytest.mark.parametrize("failure", FAILURES)
def test_a_first_write_that_fails_leaves_nothing(failure: str) -> None:
    outputs, error = FAILURES[failure]
    with full_disk(4000), pytest.raises(error):
        write_all(STAGE, outputs)
    assert files() == {}


LEFT_BEHIND: dict[str, Callable[[], object]] = {
    "half a file": lambda: Path("data/three/.first.txt.partial").write_bytes(b"ol"),
    "half a folder": lambda: Path("data/three/.third.partial/cat/old.png").mkdir(parents=True),
    "a folder where a file will be": lambda: Path("data/three/.first.txt.partial").mkdir(),
    "a file where a folder will be": lambda: Path("data/three/.third.partial").write_bytes(b""),
    "an old folder that stepped aside": lambda: Path("data/three/third").rename("data/three/.third.old"),
}


@pytest.mark.parametrize("leave", LEFT_BEHIND.values(), ids=LEFT_BEHIND.keys())
def test_what_a_killed_run_left_does_not_hinder_the_next(leave: Callable[[], object]) -> None:
    write_all(STAGE, OLD)
    leave()
    write_all(STAGE, OLD)
    assert files() == OLD_FILES
    assert not list(Path().rglob(".*"))


def test_a_file_in_the_way_of_a_folder_is_said_in_words() -> None:
    write_all(STAGE, OLD)
    Path("reports/three/second.json").unlink()
    Path("reports/three").rmdir()
    Path("reports/three").write_text("a file")
    with pytest.raises(
        StorageError,
        match=r"^reports/three/second\.json: (File exists|Not a directory)\. A file is in the place of a folder",
    ):
        write_all(STAGE, OLD)
    assert Path("data/three/first.txt").read_text() == "old"
    assert not list(Path().rglob(".*"))


@pytest.mark.parametrize(
    ("place", "pick"),
    [
        ("train", lambda loaded: loaded.train),
        ("evaluate.optimizing", lambda loaded: loaded.evaluate.optimizing),
        ("train.optimizer.name", lambda loaded: loaded.train.optimizer.name),
        ("sources", lambda loaded: loaded.sources),
        ("sources.web", lambda loaded: loaded.sources["web"]),
        ("sources.web.role", lambda loaded: "raw"),
        ("evaluate.satisficing.worst_class_recall.min", lambda loaded: 0.8),
    ],
)
def test_a_dotted_place_gives_the_value_there(place: str, pick: Callable[[Params], Any]) -> None:
    loaded = params()
    assert value_at(loaded, place) == pick(loaded)


@dataclass(frozen=True)
class Counted:
    """How often the stage ran."""

    count: dict[str, int]
    summary: str = ""


def counted(count: dict[str, int] | None) -> Counted:
    return Counted({"runs": (count or {"runs": 0})["runs"] + 1})


def test_what_is_kept_is_read_as_the_last_run_left_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = memo("data/counted/count.json")
    monkeypatch.setattr(runner, "load_stage", lambda _: Stage("counted", counted, keeps={"count": kept}))
    for _ in range(3):
        run_stage("counted", params(), Engine(1))
    assert kept.read(Path(kept.path)) == {"runs": 3}


@dataclass
class Pair:
    first: int
    second: int


def test_inputs_that_travel_together_are_one_argument() -> None:
    stage = Stage("pairs", counted, params={"first": "a", "third": "c"}, together={"pair": Pair})
    assert stage.join({"third": 3, "second": 2, "first": 1}) == {"third": 3, "pair": Pair(1, 2)}
    assert stage.named("web").join({"first": 1, "second": 2}) == {"pair": Pair(1, 2)}


def test_a_second_run_of_a_stage_is_told_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    write_tiny_sources(tmp_path)
    folder = Path(catalogue.INGESTED.named(name="web").path).parent
    with (
        alone(folder, "pipeline ingest web"),
        pytest.raises(StorageError, match=rf"^another run of `pipeline ingest web` is writing to {folder}: wait until"),
    ):
        run_stage("ingest", load_params(), ONE, key="web")
    assert list(folder.iterdir()) == []
    assert run_stage("ingest", load_params(), ONE, key="web").startswith("ingest web: 70 images")


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    with pytest.raises(KeyError), alone(tmp_path / "new", "it"):
        raise KeyError
    with alone(tmp_path / "new", "it"), alone(tmp_path, "another"):
        pass
    assert list((tmp_path / "new").iterdir()) == []
