"""A stranger's way: the wheel alone, in an environment of its own, outside of any clone."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeline.project.files import COPIED
from tests.examples import REPOSITORY, write_source
from tests.running import environment

pytestmark = pytest.mark.slow


def run(folder: Path, *command: str, **settings: str) -> str:
    variables = {**environment(folder), **settings}
    variables.pop("PYTHONPATH", None)
    ended = subprocess.run(
        command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert ended.returncode == 0, f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "pipeline", source / "pipeline", ignore=leave_out)
    shutil.copytree(REPOSITORY / "docs", source / "docs", ignore=leave_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(folder, *pip, "--wheel-dir", str(folder), str(source))
    return next(folder.glob("*.whl"))


def test_the_wheel_has_every_file_that_init_copies(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
    assert {f"pipeline/project/template/{name}" for name in (*COPIED.values(), "params.yaml")} <= names
    assert "pipeline/project/dvc_plots.yaml" in names
    guides = {name.rpartition("/")[2] for name in names if "/share/image-data-pipeline/docs/" in name}
    assert guides == {path.name for path in (REPOSITORY / "docs").glob("*.md")}


def test_the_source_archive_has_the_package_and_no_part_of_the_tests(wheel: Path, tmp_path: Path) -> None:
    del wheel  # without setuptools there is none
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "MANIFEST.in"):
        shutil.copyfile(REPOSITORY / name, source / name)
    for name in (
        "pipeline/__init__.py",
        "pipeline/py.typed",
        "pipeline/project/template/gitignore",
        "tests/test_cli.py",
    ):
        (source / name).parent.mkdir(exist_ok=True, parents=True)
        (source / name).touch()
    (source / "pipeline/project/__init__.py").touch()
    run(source, sys.executable, "-c", "from setuptools import build_meta; build_meta.build_sdist('..')")
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "CHANGELOG.md", "pipeline/py.typed", "pipeline/project/template/gitignore"} <= names
    assert not [name for name in names if name.startswith("tests")]


def test_from_folders_to_the_page_with_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    run(tmp_path, sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env"))
    python = tmp_path / "env/bin/python"
    packages = Path(run(tmp_path, str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # What the package needs lies in this environment; a path alone, so that no clone that is installed there joins.
    (packages / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    run(tmp_path, *pip, str(wheel))
    path = os.pathsep.join([str(tmp_path / "env/bin"), environment(tmp_path)["PATH"]])

    def at(folder: Path, *command: str) -> str:
        return run(folder, *command, PATH=path)

    assert str(packages) in at(tmp_path, "python", "-c", "import pipeline; print(pipeline.__file__)")
    write_source(tmp_path / "Fotos für alle/web", {"cat": 40, "dog": 30}, seed=1)
    write_source(tmp_path / "Fotos für alle/phone", {"cat": 30, "dog": 30}, seed=2, noise=100)
    folders = ("--raw", "Fotos für alle/web", "--production", "Fotos für alle/phone")
    assert "web (raw): 70 images in 2 classes" in at(tmp_path, "pipeline", "init", "shop", *folders)
    shop = tmp_path / "shop"
    # Only so that the test is short.
    text = (shop / "params.yaml").read_text()
    text, changed = re.subn(r"(?m)^  epochs: \d+", "  epochs: 2", text)
    assert changed == 1
    assert "bootstrap: 1000" in text
    (shop / "params.yaml").write_text(text.replace("bootstrap: 1000", "bootstrap: 100"))
    printed = at(shop, "dvc", "repro")
    assert "rows per epoch" in printed
    assert "diagnose: " in printed
    assert {*at(shop, "git", "status", "--porcelain").split()} & {"dvc.lock", "reports/"}
    at(shop, "git", "add", "--all")
    at(shop, "git", "commit", "--quiet", "--message", "Run")
    assert "dev.accuracy" in at(shop, "dvc", "metrics", "diff", "--all", "HEAD")
    assert at(shop, "git", "rev-parse", "--short=7", "HEAD").strip() in at(shop, "pipeline", "compare")
    at(shop, "pipeline", "report")
    assert (shop / "report/index.html").read_text(encoding="utf-8").startswith("<!")
    at(shop, "git", "checkout", "--quiet", "--", ".")
    record = json.loads((shop / ".pipeline.json").read_text())
    (shop / ".pipeline.json").write_text(json.dumps({**record, "version": "0.0.1"}))
    params = (shop / "params.yaml").read_text()
    (shop / "params.yaml").write_text(
        params.replace("    dark: 82 # marked if 99 % of the pixels are darker\n", "").replace("size: 16 ", "size: 24 ")
    )
    at(shop, "git", "commit", "--quiet", "--all", "--message", "As an older version wrote it")
    assert "added curate.issues.dark" in at(shop, "pipeline", "upgrade")
    assert (shop / "params.yaml").read_text().count("size: 24 ") == 1
    at(shop, "dvc", "status", "dvc.yaml")
