"""The version of a project's own code: which files it takes in, and which changes change it."""

from pathlib import Path

import pytest

from pipeline.versions.own_code import own_modules, own_version

FILES = {
    "mymodels.py": "import torch, nets.wide\nfrom layers import block\nfrom nets.deep import net\ndef build(): pass\n",
    "layers.py": "import functools\ndef block():\n    from late import late\n",
    "late.py": "late = 1\n",
    "nets/__init__.py": "",
    "nets/deep.py": "from . import sibling\nfrom ..layers import block\nnet = 1\n",
    "nets/wide.py": "",
    "nets/sibling.py": "import mymodels\n",
    "nets/unused.py": "",
    "unused.py": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_file_and_all_that_it_imports_inside_the_project_count(root: Path) -> None:
    found = own_modules("mymodels:build", root)
    assert set(found) == {"mymodels", "layers", "late", "nets", "nets.deep", "nets.wide", "nets.sibling"}


@pytest.mark.parametrize("file", [name for name in FILES if "unused" not in name])
def test_a_change_of_any_of_them_changes_the_version(root: Path, file: str) -> None:
    before = own_version("mymodels:build", root)
    (root / file).write_text(f"{FILES[file]}\nadded = 1\n")
    assert own_version("mymodels:build", root) != before


@pytest.mark.parametrize(
    "change", ["# A comment.\n{}", "{}\n\n\n", '"""Words."""\n{}', "{}\ndef more():\n    'Words.'\n"]
)
def test_comments_layout_and_docstrings_do_not_count(root: Path, change: str) -> None:
    (root / "late.py").write_text("late = 1\ndef more():\n    pass\n" if "more" in change else FILES["late.py"])
    before = own_version("mymodels:build", root)
    text = change.replace("    'Words.'", "    'Words.'\n    pass").format(FILES["late.py"])
    (root / "late.py").write_text(text)
    assert own_version("mymodels:build", root) == before


def test_what_nobody_imports_does_not_count(root: Path) -> None:
    before = own_version("mymodels:build", root)
    (root / "nets/unused.py").write_text("changed = 1")
    (root / "unused.py").unlink()
    assert own_version("mymodels:build", root) == before


def test_numbers_and_truth_values_are_told_apart(root: Path) -> None:
    versions = set()
    for value in ("1", "True", "1.0", "'1'", "None", "0", "False"):
        (root / "late.py").write_text(f"late = {value}\n")
        versions.add(own_version("mymodels:build", root))
    assert len(versions) == 7
