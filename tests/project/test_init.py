"""`pipeline init`: a project of one's own from folders of images, all of it or nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.project.files import COPIED
from tests.examples import REPOSITORY, write_source
from tests.project.new_projects import BOTH, Init, everything, params_of
from tests.running import run


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_project_is_written_and_committed(init: Init, tmp_path: Path) -> None:
    ended = init("shop", *BOTH)
    assert ended.code == 0, ended.err
    assert "web (raw): 50 images in 2 classes" in ended.out
    assert "cat 16, dog 12" in ended.out
    assert "Next: cd shop && dvc repro && pipeline report" in ended.out
    params = params_of(tmp_path / "shop")
    assert {name: one.path for name, one in params.sources.items()} == {
        "web": str(tmp_path / "web"),
        "phone": str(tmp_path / "phone"),
    }
    assert params.sample is None
    assert "demonstration" not in (tmp_path / "shop/params.yaml").read_text()
    assert run(tmp_path / "shop", "git", "status", "--porcelain") == ""
    assert {*COPIED, "params.yaml", "dvc.yaml", "data/dvc.yaml", "final/dvc.yaml", ".pipeline.json"} == {
        *run(tmp_path / "shop", "git", "ls-files").split()
    }
    assert names_in(tmp_path) == {"shop", "web", "phone"}


def test_each_chosen_value_says_why(init: Init, tmp_path: Path) -> None:
    init("shop", *BOTH)
    lines = (tmp_path / "shop/params.yaml").read_text().splitlines()
    chosen = [number for number, line in enumerate(lines) if line.strip().startswith("# Chosen: ")]
    keys = [
        next(line for line in lines[number:] if not line.strip().startswith("#")).split(":")[0].strip()
        for number in chosen
    ]
    assert {"size", "fit", "encoding", "production", "train_dev", "strategy", "copies", "transforms", "model"} <= {
        *keys
    }
    assert {"batch_size", "epochs", "satisficing", "human_error", "min_per_class"} <= {*keys}
    assert max(map(len, lines)) <= 140


def test_the_demonstration_is_what_init_writes(init: Init, tmp_path: Path) -> None:
    assert init("demo", "--preset", "digits").code == 0
    of_init = ["params.yaml", "dvc.yaml", "data/dvc.yaml", "final/dvc.yaml", ".dvc/config", ".dvcignore"]
    for path in [*of_init, ".dvc/.gitignore", ".dvc/plots/matching.json", "feedback/README.md"]:
        assert (tmp_path / "demo" / path).read_bytes() == (REPOSITORY / path).read_bytes(), path


def test_production_images_alone_are_enough(init: Init, tmp_path: Path) -> None:
    ended = init("shop", "--production", "phone")
    assert ended.code == 0, ended.err
    assert "cannot measure data mismatch" in ended.out
    assert [one.role for one in params_of(tmp_path / "shop").sources.values()] == ["production"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--size", "48"], lambda params: params.ingest.size == 48),
        (["--model", "random_forest"], lambda params: params.train.model.name == "random_forest"),
        (["--preset", "document"], lambda params: params.augment.transforms[0].preset == "document"),
        (["--layout", "class"], lambda params: params.sources["web"].layout == "class"),
    ],
)
def test_options_override(init: Init, tmp_path: Path, options: list[str], expected: Callable[[Any], bool]) -> None:
    ended = init("shop", *BOTH, *options)
    assert ended.code == 0, ended.err
    assert expected(params_of(tmp_path / "shop"))


def test_only_some_classes(init: Init, tmp_path: Path) -> None:
    write_source(tmp_path / "more", {"a [1]": 5, "b": 6, "c": 7}, seed=3)
    ended = init("shop", "--production", "more", "--classes", "a [1],b")
    assert ended.code == 0, ended.err
    assert "11 images in 2 classes" in ended.out
    assert params_of(tmp_path / "shop").sources["more"].include == (r"/a\ \[1\]/", "/b/")


def test_a_class_is_asked_for_in_any_bytes_of_its_letters(init: Init, tmp_path: Path) -> None:
    write_source(tmp_path / "more", {"cafe\u0301": 5, "b": 6, "c": 7}, seed=3)
    ended = init("shop", "--production", "more", "--classes", "caf\u00e9,b")
    assert ended.code == 0, ended.err
    assert "11 images in 2 classes" in ended.out
    # As the folder is called on the disk.
    assert params_of(tmp_path / "shop").sources["more"].include == ("/b/", "/cafe\u0301/")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "gpt"], "--model gpt: there are cnn"),
        (["--preset", "moon"], "--preset moon: it must be one of light"),
        (["--layout", "deep"], "--layout deep: it must be class"),
        (["--classes", "wolf"], "--classes names none of the classes"),
        (["--classes", "cat,dgo"], "--classes names dgo, which no source has"),
        (["--labels", "none.csv"], "there is no such file"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_written(
    init: Init, tmp_path: Path, options: list[str], message: str
) -> None:
    ended = init("shop", *BOTH, *options)
    assert ended.code in (3, 4)
    assert message in ended.err
    assert names_in(tmp_path) == {"web", "phone"}


def test_raw_images_alone_measure_nothing(init: Init, tmp_path: Path) -> None:
    ended = init("shop", "--raw", "web")
    assert (ended.code, names_in(tmp_path)) == (3, {"web", "phone"})
    assert "--production is missing" in ended.err


def test_an_existing_project_is_refused_and_untouched(init: Init, tmp_path: Path) -> None:
    init("shop", *BOTH)
    (tmp_path / "shop/params.yaml").write_text("mine")
    before = everything(tmp_path / "shop")
    ended = init("shop", *BOTH)
    assert ended.code == 5
    assert "is a project already" in ended.err
    assert everything(tmp_path / "shop") == before


def test_a_file_in_the_way_is_named_and_untouched(init: Init, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/README.md").write_text("mine")
    ended = init("shop", *BOTH)
    assert ended.code == 5
    assert "README.md" in ended.err
    assert everything(tmp_path / "shop") == {"README.md": b"mine"}


def test_a_folder_that_has_the_images_may_become_the_project(init: Init, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    shutil.move(tmp_path / "phone", tmp_path / "shop/phone")
    assert init("shop", "--raw", "web", "--production", "shop/phone").code == 0
    assert params_of(tmp_path / "shop").sources["phone"].path == "phone"
    assert len(list((tmp_path / "shop/phone").rglob("*.png"))) == 28


def test_names_with_blanks_and_umlauts(init: Init, tmp_path: Path) -> None:
    write_source(tmp_path / "Fotos für Müller & Söhne", {"Äpfel": 8, "große Birnen": 8}, seed=3)
    ended = init("Mein Projekt #1", "--production", "Fotos für Müller & Söhne")
    assert ended.code == 0, ended.err
    sources = params_of(tmp_path / "Mein Projekt #1").sources
    assert {name: one.path for name, one in sources.items()} == {
        "fotos_fur_muller_sohne": str(tmp_path / "Fotos für Müller & Söhne")
    }
    assert "große Birnen 8" in ended.out


def test_sources_of_one_name_get_different_ones(init: Init, tmp_path: Path) -> None:
    for number, above in enumerate(("a", "b")):
        write_source(tmp_path / above / "図", {"x": 6, "y": 6}, seed=number)
    assert init("shop", "--production", "a/図", "--production", "b/図").code == 0
    assert [*params_of(tmp_path / "shop").sources] == ["production", "production_2"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused(init: Init, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    ended = init("closed/shop", *BOTH)
    assert ended.code == 6
    assert names_in(tmp_path / "closed") == set()


def test_a_refused_write_leaves_nothing(init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if Path(target).name == "params.yaml":
            raise PermissionError(13, "Permission denied")
        return write(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    assert init("deep/shop", *BOTH).code == 6
    assert names_in(tmp_path) == {"web", "phone"}


def test_in_a_repository_above_nothing_is_committed(init: Init, tmp_path: Path) -> None:
    run(tmp_path, "git", "init", "--quiet")
    ended = init("shop", *BOTH)
    assert ended.code == 0, ended.err
    assert f"is inside the Git repository {tmp_path}" in ended.out
    assert not (tmp_path / "shop/.git").exists()
    assert run(tmp_path, "git", "diff", "--cached", "--name-only") == ""


def test_without_a_name_for_git_the_files_are_there_and_it_is_said(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "")
    ended = init("shop", *BOTH)
    assert ended.code == 0
    assert "Git does not know your name" in ended.out
    assert (tmp_path / "shop/params.yaml").is_file()
