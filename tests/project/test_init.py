"""`pipeline init`: a project of one's own from folders of images, all of it or nothing."""

import io
import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import EpsImagePlugin, Image

from pipeline.images.decoding import heic_installed
from pipeline.project import image_facts
from pipeline.project.files import COPIED
from pipeline.project.label_files import separator_of
from pipeline.project.params_file import Params, load_params
from pipeline.sources.files import Folder
from tests.examples import REPOSITORY, encoded, picture, write_source
from tests.running import Ended, pipeline_alone, run

Init = Callable[..., Ended]


@pytest.fixture
def init(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Init:
    """`pipeline init` in a folder outside of any repository, with two sources beside."""
    write_source(tmp_path / "web", {"cat": 30, "dog": 20}, seed=1)
    write_source(tmp_path / "phone", {"cat": 16, "dog": 12}, seed=2)
    monkeypatch.chdir(tmp_path)
    for name, value in (("GIT_CONFIG_GLOBAL", os.devnull), ("GIT_CONFIG_SYSTEM", os.devnull)):
        monkeypatch.setenv(name, value)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.com")

    def run_init(*arguments: str) -> Ended:
        return pipeline_alone(capsys, monkeypatch, "init", *arguments)

    return run_init


BOTH = ("--raw", "web", "--production", "phone")


def params_of(folder: Path) -> Params:
    return load_params(folder / "params.yaml")


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


def test_parts_of_a_split_are_joined_and_said(init: Init, tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        write_source(tmp_path / "given" / part, {"cat": 5, "dog": 4}, seed=len(part))
    ended = init("shop", "--production", "given")
    assert ended.code == 0, ended.err
    assert "are parts of a split" in ended.out
    assert "cat 15, dog 12" in ended.out
    assert params_of(tmp_path / "shop").sources["given"].layout == "split/class"


def test_class_folders_further_down_are_found(init: Init, tmp_path: Path) -> None:
    write_source(tmp_path / "unpacked/export/images", {"cat": 8, "dog": 8})
    ended = init("shop", "--production", "unpacked")
    assert ended.code == 0, ended.err
    assert params_of(tmp_path / "shop").sources["unpacked"].inside == "export/images"


def test_what_looks_odd_is_said(init: Init, tmp_path: Path) -> None:
    for name in ("Cat", "wolf"):
        write_source(tmp_path / "web", {name: 4}, seed=9)
    write_source(tmp_path / "phone", {unicodedata.normalize("NFD", "Kätzchen"): 4, "fox": 4}, seed=9)
    (tmp_path / "phone/cat/@eaDir").mkdir()
    (tmp_path / "phone/cat/@eaDir/thumb.jpg").write_bytes(b"x")
    (tmp_path / "web/cat/broken.jpg").write_bytes(b"no image")
    (tmp_path / "web/cat/notes.txt").write_text("hello")
    ended = init("shop", *BOTH)
    assert "1 files of operating systems and network drives" in ended.out
    assert "1 of the inspected images cannot be opened" in ended.out
    assert "1 files do not have the ending of an image: cat/notes.txt" in ended.out
    assert "only raw images have the classes Cat, wolf" in ended.out
    assert "labels that may mean the same class" in ended.out
    assert params_of(tmp_path / "shop").split.one_sided_classes == "train"


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({}, "has no images"),
        ({"cat": 20}, "there is only one class, cat"),
        ({f"image {number}": 1 for number in range(40)}, "Is each image in a folder of its own?"),
        ({"cat": 20, "dog": 2}, "1 of 2 classes have fewer than 3 production images"),
    ],
)
def test_images_that_are_no_project_get_one_clear_message(
    init: Init, tmp_path: Path, classes: dict[str, int], message: str
) -> None:
    (tmp_path / "own").mkdir()
    write_source(tmp_path / "own", classes)
    ended = init("shop", "--production", "own")
    assert ended.code in (4, 5)
    assert message in ended.err
    assert names_in(tmp_path) == {"web", "phone", "own"}


def test_images_without_labels_need_some(init: Init, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    for number in range(5):
        (tmp_path / f"loose/{number}.png").write_bytes(encoded(picture(number)))
    ended = init("shop", "--raw", "web", "--production", "loose")
    assert "no production image has a label" in ended.err
    assert init("shop", "--raw", "loose", "--production", "phone").code == 5
    ended = init("shop", *BOTH, "--production", "loose")
    assert ended.code == 0, ended.err
    assert params_of(tmp_path / "shop").sources["loose"].labels.name == "none"
    assert "5 images have no label; the model can learn from them: see train.unlabelled" in ended.err + ended.out


def test_labels_from_a_table(init: Init, tmp_path: Path) -> None:
    paths = [path.relative_to(tmp_path / "phone") for path in sorted((tmp_path / "phone").rglob("*.png"))]
    rows = [f"{path},{path.parent},p{number}" for number, path in enumerate(paths)]
    (tmp_path / "phone/labels.csv").write_text("\n".join(["Image,finding,Patient", *rows]))
    ended = init("shop", "--production", "phone", "--labels", "labels.csv")
    assert ended.code == 3
    assert "no column fits label. Its columns are Image, finding, Patient" in ended.err
    typed = str(tmp_path / "phone/labels.csv")
    ended = init("shop", "--production", "phone", "--labels", typed, "--columns", "label=finding")
    assert ended.code == 0, ended.err
    assert "28 images in 2 classes" in ended.out
    labels: Any = params_of(tmp_path / "shop").sources["phone"].labels
    assert (labels.columns.path, labels.columns.label, labels.columns.group) == ("Image", "finding", "Patient")


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"data": {"x": "\\ud800"}, "annotations": []}]', "\x00", "[null]"])
def test_an_export_that_is_none_is_refused(init: Init, tmp_path: Path, text: str) -> None:
    (tmp_path / "phone/export.json").write_text(text)
    ended = init("shop", "--production", "phone", "--labels", "export.json")
    assert (ended.code, not (tmp_path / "shop").exists()) == (5, True)
    assert "--labels export.json is not a JSON export of Label Studio (" in ended.err


def test_labels_from_label_studio(init: Init, tmp_path: Path) -> None:
    tasks = [
        {
            "id": number,
            "data": {"photo": f"/data/local-files/?d=phone/{path.parent.name}/{path.name}"},
            "annotations": [
                {"result": [{"type": "choices", "from_name": "what", "value": {"choices": [path.parent.name]}}]}
            ],
        }
        for number, path in enumerate(sorted((tmp_path / "phone").rglob("*.png")))
    ]
    (tmp_path / "phone/export.json").write_text(json.dumps(tasks))
    ended = init("shop", "--production", "phone", "--labels", "export.json")
    assert ended.code == 0, ended.err
    labels: Any = params_of(tmp_path / "shop").sources["phone"].labels
    assert (labels.image, labels.prefix, labels.choice) == ("photo", "/data/local-files/?d=phone/", "what")


def test_an_archive_is_a_source(init: Init, tmp_path: Path) -> None:
    shutil.make_archive("photos", "zip", tmp_path / "phone")
    ended = init("shop", "--production", "photos.zip")
    assert ended.code == 0, ended.err
    assert "cat 16, dog 12" in ended.out


@pytest.mark.parametrize("installed", [True, False])
def test_heic_images_are_looked_at_or_what_opens_them_is_said(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    assert heic_installed()
    for label in ("cat", "dog"):
        (tmp_path / "heic" / label).mkdir(parents=True)
        for number in range(6):
            data = encoded(picture(number, width=80, height=96), "HEIF")
            (tmp_path / "heic" / label / f"{number}.heic").write_bytes(data)
    if not installed:
        monkeypatch.setattr(image_facts, "heic_installed", lambda: False)
    ended = init("shop", "--production", "heic")
    if installed:
        assert ended.code == 0, ended.err
        assert "formats of 12 inspected images: 12 HEIF" in ended.out
    else:
        assert ended.code == 5
        assert "none of the inspected images can be opened: they are HEIC: run `pip install" in ended.err


def test_cells_with_several_labels_make_a_project_of_several_labels(init: Init, tmp_path: Path) -> None:
    paths = [path.relative_to(tmp_path / "phone") for path in sorted((tmp_path / "phone").rglob("*.png"))]
    cells = ["cat|dog", "dog", "cat", "nothing"]
    rows = [f"{path},{cells[number % 4]}" for number, path in enumerate(paths)]
    (tmp_path / "phone/labels.csv").write_text("\n".join(["image,label", *rows]))
    ended = init("shop", "--production", "phone", "--labels", "labels.csv")
    assert ended.code == 0, ended.err
    made = params_of(tmp_path / "shop")
    labels: Any = made.sources["phone"].labels
    assert labels.separator == "|"
    assert made.problem.model_dump() == {"name": "multi_label", "none": "nothing"}
    assert made.balance.strategy.name == "none"
    assert made.evaluate.optimizing.name == "macro_f1"
    assert "cat 14, dog 14, nothing 7" in ended.out


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        ({"cat", "dog"}, None),
        ({"cat|dog", "fig"}, "|"),
        ({"cat; dog"}, ";"),
        ({"cat,dog", "cat", "dog"}, ","),
        ({"Lyon, France", "Paris, France"}, None),
        ({"cat|", "dog"}, None),
    ],
)
def test_what_stands_between_labels_is_seen(cells: set[str], separator: str | None) -> None:
    assert separator_of(cells) == separator


def test_no_program_is_run_to_look_at_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pillow runs Ghostscript for an EPS file, whatever its name ends in, and takes any bytes for some formats."""
    run_by_pillow: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *arguments, **_: run_by_pillow.append(arguments))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    tga = io.BytesIO()
    Image.new("RGB", (9, 9)).save(tga, "TGA")
    tiff = io.BytesIO()
    Image.new("RGB", (9, 9)).save(tiff, "TIFF")
    files = {"eps.png": eps, "tga.jpg": tga.getvalue(), "cut.tif": tiff.getvalue()[:-40]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    found = image_facts.look_at(Folder(tmp_path), [*files])
    assert (found.unreadable, run_by_pillow) == (3, [])
    assert capfd.readouterr() == ("", "")
