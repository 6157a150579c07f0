"""Which revisions a name can stand for, and what is said of names that stand for none."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from scmrepo.git import Git

from pipeline.errors import DataError
from pipeline.tools.revisions import resolved
from tests.running import run


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The commit of a name, in a repository of one commit with both kinds of tags, and an experiment."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "file").write_text("x")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "add", "file")
    for words in (["commit", "-qm", "one"], ["tag", "light"], ["tag", "-a", "annotated", "-m", "x"]):
        run(folder, "git", *words)
    commit = run(folder, "git", "rev-parse", "HEAD").strip()
    experiments: Any = SimpleNamespace(ls=lambda **_: {"base": [("try", commit)]})
    found = SimpleNamespace(scm=Git(str(folder)), experiments=experiments)
    return lambda name: "HEAD" if resolved(found, name) == commit else "another"


@pytest.mark.parametrize("name", ["HEAD", "@", "light", "annotated", "try"])
def test_a_commit_a_tag_and_an_experiment_are_revisions(named: Callable[[str], str], name: str) -> None:
    assert named(name) == "HEAD"


@pytest.mark.parametrize("name", ["HEAD^{tree}", "HEAD:", "HEAD:file"])
def test_a_file_or_folder_of_a_commit_is_none(named: Callable[[str], str], name: str) -> None:
    with pytest.raises(DataError, match=r"is no commit in Git: name a commit"):
        named(name)


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_no_name_is_not_the_last_commit(named: Callable[[str], str], name: str) -> None:
    """`pipeline gate --against "$BASE"` of a script that never set BASE would always pass."""
    with pytest.raises(DataError, match=r"^no revision is named: name a commit"):
        named(name)


@pytest.mark.parametrize("name", ["nope", "-x", "a" * 5000, "a\0b", "\udcff", "\x1b[31m", "HEAD~9"], ids=ascii)
def test_a_name_that_nobody_knows_is_said(named: Callable[[str], str], name: str) -> None:
    with pytest.raises(DataError, match="neither Git nor DVC knows a revision") as caught:
        named(name)
    assert len(str(caught.value)) < 600
    assert "\x1b" not in str(caught.value)
