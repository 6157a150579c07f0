"""One stage at a time: all of its outputs stand, whole, or those of the last run do."""

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
from pipeline.project.runner import run_stage, value_at
from pipeline.stage import Stage
from pipeline.store.checked import memo
from pipeline.store.timing import key_of_files, timings
from pipeline.store.writing import alone
from pipeline.workers.engine import Engine
from tests.examples import curated, encoded, full_disk, params, picture, with_columns, write_source
from tests.running import write_params, write_tiny_sources

pytestmark = pytest.mark.usefixtures("empty_project")
ONE = Engine(workers=1)


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
        "data/curate/parted.csv",
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
