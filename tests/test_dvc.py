"""The whole through real DVC and real Git: repro, experiments, metrics, plots."""

import json
import os
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.errors import DataError
from pipeline.project.dvc_files import render
from pipeline.stage import NAMES
from tests.dvc_projects import (
    ALWAYS,
    change,
    commit,
    compared,
    comparison,
    gated,
    metrics,
    metrics_after,
    reproduced_project,
    stages_run,
)
from tests.running import environment, run, run_cold, run_stages, write_params

pytestmark = pytest.mark.slow
# What Git tracks of a run; DVC caches the rest.
REPORTS = ("sample", "embed", "curate", "split", "balance", "augment", "evaluate", "label_issues", "diagnose")


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A repository after `dvc repro` and a commit, and what `dvc repro` printed."""
    folder = tmp_path_factory.mktemp("project")
    return folder, reproduced_project(folder)


def test_repro_runs_from_images_to_diagnosis(reproduced: tuple[Path, str]) -> None:
    folder, printed = reproduced
    assert "sample: nothing written" in printed  # own images need no demonstration data
    assert "diagnose: " in printed
    assert metrics(folder)["dev"]["images"] == metrics(folder, "split")["dev"]["production"] > 0
    assert metrics(folder)["accepted"] in (True, False)
    assert (folder / "reports/diagnose/diagnosis.md").read_text().startswith(printed.split("diagnose: ")[1][:20])


def test_git_tracks_reports_and_nothing_heavy(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    listed = run(folder, "git", "ls-files", "reports", "data").split()
    stages = [*REPORTS, "ingest/phone", "ingest/web"]
    reports = [f"reports/{stage}/{name}.json" for stage in stages for name in ("checksums", "metrics")]
    diagnosis = [f"reports/diagnose/diagnosis.{kind}" for kind in ("json", "md")]
    assert sorted(listed) == sorted([*reports, *diagnosis, "data/dvc.lock", "data/dvc.yaml"])


def test_a_second_repro_does_nothing(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    assert stages_run(run(folder, "dvc", "repro")) == ALWAYS
    assert "up to date" in run(folder, "dvc", "status", "dvc.yaml")
    assert run(folder, "git", "status", "--porcelain") == ""


def test_a_change_of_code_runs_what_it_reaches_and_a_changed_word_nothing(
    reproduced: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    assert [name for name in stages_run(reproduced[1]) if name.endswith(("code", "train"))] == [
        "data/dvc.yaml:code",
        "train",
    ]
    for file, old, new in (
        ("images/decoding.py", '"""', '"""Reworded. '),
        ("errors.py", "exit_code = 5", "exit_code = 55"),
        ("workers/progress.py", "\nimport", "\nBAR = 3\n\nimport"),
        ("training/training.py", "memory ran out in a training step", "there is no memory left"),
    ):
        change(folder / "pipeline" / file, old, new)
    assert stages_run(run_cold(folder, "dvc", "repro")) == ALWAYS
    # A frozen inventory hides no change.
    run_cold(folder, "dvc", "freeze", "data/dvc.yaml:inventory")
    change(folder / "pipeline/diagnosis/rendering.py", "def page(", "EXTRA = 1\n\n\ndef page(")
    change(
        folder / "pipeline/diagnosis/rendering.py",
        "    return",
        "    print(EXTRA, file=open('/dev/null', 'w'))\n    return",
    )
    # What DVC shows before it has run `code` is what that knew last.
    assert run_cold(folder, "dvc", "status", "diagnose").endswith("up to date.\n")
    assert stages_run(run_cold(folder, "dvc", "repro", "--single-item", "diagnose")) == []
    printed = run_cold(folder, "dvc", "repro", "--single-item", "--force", "diagnose", check=False)
    assert "error: data/code/diagnose.txt does not match the code of diagnose" in printed
    by_hand = run_cold(folder, "python", "-m", "pipeline", "diagnose")
    assert by_hand.startswith("note: diagnose runs other code than at the last `dvc repro`")
    printed = run_cold(folder, "dvc", "repro")
    assert "code: changed since dvc.lock, because of diagnosis.rendering; these stages run again: " in printed
    assert stages_run(printed) == ["data/dvc.yaml:code", "diagnose"]


def test_a_clone_without_the_images_runs_nothing_that_has_not_changed(
    reproduced: tuple[Path, str], tmp_path: Path
) -> None:
    folder, clone = tmp_path / "project", tmp_path / "clone"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    for file, text in render(demonstration=False).items():
        (folder / file).write_text(text)
    run(folder, "dvc", "repro")
    run(folder, "dvc", "freeze", "data/dvc.yaml:inventory")
    run(folder, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run(folder, "dvc", "push")
    commit(folder, "Own images")
    run(tmp_path, "git", "clone", "--quiet", str(folder), str(clone))
    assert stages_run(run(clone, "dvc", "repro", "--pull", "--allow-missing")) == ["data/dvc.yaml:code"]
    assert run(clone, "git", "status", "--porcelain") == ""
    assert not (clone / "images").exists()


def test_what_dvc_would_hang_on_or_follow_out_is_named_and_never_opened(
    reproduced: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    (tmp_path / "secret.png").write_bytes(b"outside of all")
    web = folder / "images/web/a"
    os.mkfifo(web / "pipe.png")
    (web / "zero.png").symlink_to("/dev/zero")
    (web / "nowhere.png").symlink_to("nowhere")
    (web / "outside.png").symlink_to(tmp_path / "secret.png")
    (folder / "images/web/b/\udcff.png").write_bytes(b"x")
    write_params(folder, **{"ingest.max_rejected": 0.5})
    printed = run(folder, "dvc", "repro", "ingest@web")
    assert "5 not read: images/web/a/nowhere.png: dangling_link" in printed
    assert "70 images, 5 rejected" in printed
    assert "Stage 'ingest@web' didn't change, skipping" in run(folder, "dvc", "repro", "ingest@web")
    cached = [path for path in (folder / ".dvc/cache").rglob("*") if path.is_file()]
    assert [path for path in cached if path.read_bytes() == b"outside of all"] == []


def test_a_changed_image_runs_its_source_alone(reproduced: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(reproduced[0], folder, symlinks=True)
    new = (folder / "images/web/a/000.png").read_bytes()
    (folder / "images/web/a/001.png").unlink()
    (folder / "images/web/a/001.png").write_bytes(new)
    printed = run(folder, "dvc", "repro", "ingest@web", "ingest@phone")
    assert "Running stage 'ingest@web'" in printed
    assert "Stage 'ingest@phone' didn't change, skipping" in printed


def test_a_cold_run_gives_the_bytes_of_the_lock_file(
    reproduced: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more workers, in one process that has done other things before: as DVC runs them, all stages are fresh."""
    folder, _ = reproduced
    for stage in ("ingest", "augment"):
        shutil.rmtree(folder / f"data/{stage}")
    monkeypatch.chdir(folder)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    stages = YAML(typ="safe").load((folder / "dvc.yaml").read_text())["stages"]
    run_stages(*(name for name in NAMES if name in stages), workers=2)
    assert "up to date" in run(folder, "dvc", "status", "dvc.yaml")
    assert run(folder, "git", "status", "--porcelain") == ""


def test_the_final_exam_is_a_command_of_its_own(reproduced: tuple[Path, str]) -> None:
    folder, printed = reproduced
    assert "stage 'final_evaluation'" not in printed
    run(folder, "dvc", "checkout")  # although outs of the exam are not there yet
    looked = metrics_after(folder, "dvc", "repro", "final/dvc.yaml")
    assert looked["test"]["images"] > 0
    assert looked["looks"] == 1
    commit(folder, "Look")
    ledger = folder / "reports/final_evaluation/ledger.jsonl"
    noted = ledger.read_text()
    # The same model again is no new look, whether DVC sees that or not.
    assert "didn't change, skipping" in run(folder, "dvc", "repro", "final/dvc.yaml")
    assert metrics_after(folder, "dvc", "repro", "--force", "--single-item", "final/dvc.yaml") == looked
    assert ledger.read_text() == noted
    assert run(folder, "git", "status", "--porcelain") == ""
    # DVC sees that the ledger was edited, and the stage says so.
    ledger.write_text(noted.replace('"accepted": ', '"accepted":  false, "x": '))
    printed = run(folder, "dvc", "repro", "--single-item", "final/dvc.yaml", check=False)
    assert "error: reports/final_evaluation/ledger.jsonl, line 1, is not a test evaluation: restore it" in printed
    gone = "error: reports/final_evaluation/ledger.jsonl was edited: 1 of the 1 test evaluations in the last commit are"
    ledger.write_text(noted.replace('"told": "', '"told": "x'))
    assert gone in run(folder, "dvc", "repro", "--single-item", "final/dvc.yaml", check=False)
    ledger.unlink()
    assert gone in run(folder, "dvc", "repro", "--single-item", "final/dvc.yaml", check=False)
    run(folder, "git", "checkout", "--quiet", ".")
    run(folder, "git", "reset", "--quiet", "--hard", "HEAD~1")


def test_an_experiment_changes_a_param_and_its_metrics(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    before = metrics(folder, "split")
    run(folder, "dvc", "exp", "run", "--name", "raw-only", "--set-param", "split.production_train_fraction=0.0")
    assert before["train"]["production"] > 0
    assert metrics(folder, "split")["train"]["production"] == 0
    changed = json.loads(run(folder, "dvc", "metrics", "diff", "--json"))
    assert changed["reports/split/metrics.json"]["train.production"] == {
        "old": before["train"]["production"],
        "new": 0,
        "diff": -before["train"]["production"],
    }
    assert "raw-only" in run(folder, "dvc", "exp", "show", "--csv")
    run(folder, "git", "checkout", "--quiet", ".")
    run(folder, "dvc", "checkout", "--quiet")
    assert metrics(folder, "split") == before
    assert run(folder, "dvc", "status", "dvc.yaml").endswith("Data and pipelines are up to date.\n")


def test_experiments_run_in_a_folder_of_their_own_and_from_the_queue(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    # What the other strategy does not take goes with the old one.
    changes = ("--set-param", "balance.strategy.name=none", "--set-param", "~balance.strategy.target")
    # With a target, DVC brings back what it depends on, which added images are not.
    run(folder, "dvc", "exp", "run", "--temp", "--name", "elsewhere", *changes, "images.dvc", "balance")
    run(folder, "dvc", "exp", "run", "--queue", "--name", "queued", "--set-param", "train.epochs=2")
    run(folder, "dvc", "exp", "run", "--run-all")
    shown = run(folder, "dvc", "exp", "show", "--csv")
    assert "elsewhere" in shown
    assert "queued" in shown
    assert run(folder, "git", "status", "--porcelain") == ""
    diff = json.loads(run(folder, "dvc", "metrics", "diff", "main", "elsewhere", "--json"))
    assert "after.rows" in diff["reports/balance/metrics.json"]


def test_results_of_commits_and_experiments_are_compared(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    rows = compared(folder)
    head = run(folder, "git", "rev-parse", "--short=7", "HEAD").strip()
    assert set(rows) == {head, "raw-only", "elsewhere", "queued"}
    assert rows[head]["value"] == metrics(folder)["dev"]["accuracy"]
    assert (rows[head]["low"], rows[head]["high"]) == (metrics(folder)["dev"]["low"], metrics(folder)["dev"]["high"])
    # Its target was balance: what it has of later stages is of the run that it started from.
    other = rows.pop("elsewhere")
    assert other["note"] == "its predictions are of other data: `augment` did not run after `balance`"
    assert {other[name] for name in ("value", "low", "accepted", "standing", "difference")} == {None}
    accepted = [row["accepted"] for row in rows.values()]
    assert accepted == sorted(accepted, reverse=True)
    assert {row["note"] for row in rows.values()} == {""}
    printed = comparison(folder)
    assert [name for name in rows if name not in printed] == []


def test_gate_judges_the_run_beside_a_revision_and_refuses_what_is_of_another_run(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    own = gated(folder, "--against", "main", "--json")
    found = json.loads(own.stdout)["comparison"]
    assert (found["worse"], found["images"]) == (0.0, metrics(folder)["dev"]["images"])
    experiment = gated(folder, "--against", "raw-only", "--tolerance", "100", "--json")
    rows = compared(folder)
    assert json.loads(experiment.stdout)["comparison"]["other_value"] == rows["raw-only"]["value"]
    assert type(gated(folder, "--against", "elsewhere").exception) is DataError
    assert "knows a revision nobody" in str(gated(folder, "--against", "nobody").exception)


def test_compare_sees_the_workspace_and_what_the_cache_lacks(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    run(folder, "dvc", "exp", "apply", "raw-only")
    rows = compared(folder)
    assert rows["workspace"]["value"] == rows["raw-only"]["value"]
    locked = YAML(typ="safe").load((folder / "dvc.lock").read_text())["stages"]["evaluate"]["outs"]
    md5 = next(out["md5"] for out in locked if out["path"] == "data/evaluate/predictions.arrow")
    cached = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    cached.rename(folder / ".dvc/tmp/kept")
    lacking = compared(folder)["raw-only"]
    assert "its predictions are not in DVC's cache" in lacking["note"]
    assert lacking["value"] == rows["raw-only"]["value"]
    (folder / ".dvc/tmp/kept").rename(cached)
    run(folder, "git", "checkout", "--quiet", ".")
    run(folder, "dvc", "checkout", "--quiet")


def test_plots_are_rendered(reproduced: tuple[Path, str]) -> None:
    folder, _ = reproduced
    run(folder, "dvc", "plots", "show")
    page = (folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    titles = [
        "Loss per epoch",
        "Confusion on dev",
        "Recall per class on dev",
        "Reliability on dev",
        "Error of each source and slice",
        "Gaps between error levels",
        "Do dev and test match production?",
    ]
    assert [title for title in titles if title not in page] == []
    images = [folder / f"reports/previews/{name}.png" for name in ("batch", "variants")]
    shown = [folder / f"dvc_plots/static/workspace_reports_previews_{image.name}" for image in images]
    assert [image.read_bytes() for image in shown] == [image.read_bytes() for image in images]
    assert [image.name for image in shown if f'src="static/{image.name}"' not in page] == []
    compared = run(folder, "dvc", "plots", "diff", "main", "raw-only", "--show-vega", "--targets", "optimizing")
    assert {row["rev"] for row in json.loads(compared)["data"]["values"]} == {"main", "raw-only"}
