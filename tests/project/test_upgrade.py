"""`pipeline upgrade`: newer files of the package, and nothing of a person's is lost."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.project.files import RECORD, digest, project_files
from pipeline.project.params_file import check_params
from pipeline.project.params_template import Choice, template_text, with_choices, without
from pipeline.project.params_upgrade import upgraded
from pipeline.yaml_values import yaml_values
from tests.running import Ended, pipeline_alone, run

TEMPLATE = template_text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project of the package as it is."""
    for name, value in (("GIT_CONFIG_GLOBAL", os.devnull), ("GIT_CONFIG_SYSTEM", os.devnull)):
        monkeypatch.setenv(name, value)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.com")
    folder = tmp_path / "shop"
    files = {**project_files("shop", demonstration=False), "params.yaml": without(TEMPLATE, "sample")}
    digests = {path: digest(text.encode()) for path, text in files.items()}
    for path, text in {**files, RECORD: json.dumps({"version": "0.0.1", "files": digests})}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    run(folder, "git", "init", "--quiet")
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "Mine")


@pytest.fixture
def upgrade(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], Ended]:
    return lambda: pipeline_alone(capsys, monkeypatch, "upgrade")


def test_an_upgrade_in_a_hook_of_another_repository_is_committed_here(
    project: Path, upgrade: Callable[[], Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(project, "dvc.yaml", "stages: {}\n")
    commit(project)
    run(tmp_path, "git", "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    ended = upgrade()
    assert ended.code == 0, ended.err
    monkeypatch.delenv("GIT_DIR")
    assert run(project, "git", "log", "-1", "--format=%s").startswith("Upgrade from pipeline")


def test_an_upgrade_without_git_says_what_to_install(
    project: Path, upgrade: Callable[[], Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(project, "dvc.yaml", "stages: {}\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = upgrade()
    assert ended.code == 4
    assert "git is not installed, but a project needs it" in ended.err
    assert (project / "dvc.yaml").read_text() == "stages: {}\n"


def older(folder: Path, path: str, text: str) -> None:
    """A file as an older version of the package wrote it."""
    (folder / path).write_text(text, encoding="utf-8")
    record = json.loads((folder / RECORD).read_text())
    record["files"][path] = digest(text.encode())
    (folder / RECORD).write_text(json.dumps(record))


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new, 1))


def test_what_nobody_changed_is_replaced_and_edits_stay(project: Path, upgrade: Callable[[], Ended]) -> None:
    older(project, "dvc.yaml", "stages: {}\n")
    older(project, "final/dvc.yaml", "stages: {}\n")
    older(project, ".gitignore", "/data/\n")
    (project / ".gitignore").write_text("/data/\n/mine/\n")
    (project / "README.md").write_text("# Mine\n")
    (project / "feedback/README.md").unlink()
    edit(project, "  size: 28 #", "  size: 64 # mine:")
    edit(project, "    dark: 82 # marked if 99 % of the pixels are darker\n", "")
    edit(project, "    light: 242", "    bright: 242")
    commit(project)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and ".git/" not in str(path)}
    ended = upgrade()
    assert ended.code == 0, ended.err
    now = project_files("shop", demonstration=False)
    assert (project / "dvc.yaml").read_text() == now["dvc.yaml"]
    assert (project / "feedback/README.md").read_text() == now["feedback/README.md"]
    assert (project / ".gitignore").read_text() == "/data/\n/mine/\n"
    assert (project / ".gitignore.new").read_text() == now[".gitignore"]
    assert "you decide: .gitignore was kept, because you changed it" in ended.out
    assert (project / "README.md").read_text() == "# Mine\n"
    assert "  size: 64 # mine:" in (project / "params.yaml").read_text()
    assert "    dark: 82 # marked if 99 % of the pixels are darker" in (project / "params.yaml").read_text()
    assert "renamed curate.issues.bright to curate.issues.light" in ended.out
    assert run(project, "git", "status", "--porcelain") == ""
    assert run(project, "git", "log", "--format=%s").startswith("Upgrade from pipeline 0.0.1 to ")
    run(project, "git", "revert", "--no-edit", "HEAD")
    after = {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and ".git/" not in str(path)}
    assert after == before


def test_a_second_upgrade_has_nothing_to_do(project: Path, upgrade: Callable[[], Ended]) -> None:
    older(project, "dvc.yaml", "stages: {}\n")
    commit(project)
    assert upgrade().code == 0
    assert "nothing to do" in upgrade().out
    assert run(project, "git", "log", "--format=%s").count("Upgrade") == 1


def test_changes_that_are_not_committed_are_kept(project: Path, upgrade: Callable[[], Ended]) -> None:
    older(project, "dvc.yaml", "stages: {}\n")
    commit(project)
    (project / RECORD).write_text((project / RECORD).read_text() + "\n")
    ended = upgrade()
    assert ended.code == 5
    assert "not committed yet: .pipeline.json" in ended.err
    assert (project / "dvc.yaml").read_text() == "stages: {}\n"


def test_when_git_refuses_all_is_as_it_was(project: Path, upgrade: Callable[[], Ended]) -> None:
    older(project, "dvc.yaml", "stages: {}\n")
    commit(project)
    hook = project / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no >&2; exit 1\n")
    hook.chmod(0o755)
    ended = upgrade()
    assert (ended.code, "git commit failed" in ended.err) == (6, True)
    assert (project / "dvc.yaml").read_text() == "stages: {}\n"
    assert run(project, "git", "status", "--porcelain") == ""


def test_what_no_rule_can_settle_is_listed(project: Path, upgrade: Callable[[], Ended]) -> None:
    edit(project, "  seed: 1\n  method:", "  seed: 1\n  gone: 3\n  method:")
    commit(project)
    ended = upgrade()
    assert ended.code == 0
    assert "you decide:" in ended.out
    assert "split.gone: no such param" in ended.out


def test_elsewhere_it_says_where_to_run(
    tmp_path: Path, upgrade: Callable[[], Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = upgrade()
    assert ended.code == 4
    assert "runs in the folder of a project" in ended.err


PLACES = [
    "curate.issues", "curate.issues.blurry", "curate.issues.grayscale", "split", "split.seed", "train.keep",
    "ingest.size", "diagnose", "final_evaluation", "evaluate.satisficing", "augment.transforms", "train.model",
    "train.model.depth",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_missing_param_comes_back_where_it_stood_with_its_comment(place: str) -> None:
    text, changes = upgraded(without(TEMPLATE, place), TEMPLATE)
    assert changes == [f"added {place}"]
    assert yaml_values(text) == yaml_values(TEMPLATE)
    added = [line for line in text.splitlines() if line.strip() == "# Added by pipeline upgrade"]
    assert len(added) == 1
    assert not Counter(without(TEMPLATE, place).splitlines()) - Counter(text.splitlines())


def test_layouts_of_a_person_s_own_stay_readable() -> None:
    mine = (
        "train:   # mine\n"
        "    epochs: 3   # mine, too\n"
        "    model: {name: cnn, depth: 2, width: 16, kernel: 3, activation: relu, batch_norm: true}\n"
        "\n# the end\n"
    )
    text, changes = upgraded(mine, TEMPLATE)
    values = yaml_values(text)
    assert isinstance(values, dict)
    assert values["train"]["epochs"] == 3
    assert values["train"]["model"]["dropout"] == {"blocks": 0.25, "head": 0.0}
    assert {"train:   # mine", "    epochs: 3   # mine, too", "# the end"} <= {*text.splitlines()}
    assert "added train.seed" in changes
    check_params({**values, "sources": {"a": {"role": "production", "path": "a"}}})


def test_a_param_comes_back_into_braces() -> None:
    old = TEMPLATE.replace("{blocks: 0.25, head: 0.0}", "{blocks: 0.5}")
    text, changes = upgraded(old, TEMPLATE)
    assert changes == ["added train.model.dropout.head"]
    assert text == TEMPLATE.replace("blocks: 0.25", "blocks: 0.5")


def test_counts_of_production_images_get_no_shares() -> None:
    mine = with_choices(TEMPLATE, [Choice("split.production", {"dev": 50, "test": 50})])
    assert upgraded(mine, TEMPLATE) == (mine, [])


def test_params_of_another_choice_are_not_added() -> None:
    mine = with_choices(TEMPLATE, [Choice("train.model", {"name": "majority_class"})])
    assert upgraded(mine, TEMPLATE) == (mine, [])


def test_an_old_section_is_renamed_with_what_is_in_it() -> None:
    forest = {
        "name": "random_forest",
        "features": {"name": "pixels", "side": 8},
        "n_estimators": 60,
        "min_samples_leaf": 1,
    }
    mine = with_choices(TEMPLATE, [Choice("label_issues.model", forest)])
    text, changes = upgraded(
        mine.replace("\nlabel_issues:", "\nsuspects:").replace("n_estimators: 60", "trees: 60"), TEMPLATE
    )
    assert text == mine
    assert changes == [
        "renamed suspects to label_issues",
        "renamed label_issues.model.trees to label_issues.model.n_estimators",
    ]
