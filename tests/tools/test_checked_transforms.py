"""A run says what is wrong with transforms before it begins, and looks at each list once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import catalogue
from pipeline.transforms import transforms
from tests.running import Ended, pipeline, write_params

Command = Callable[..., Ended]
BLUR = {"name": "Blur", "blur_limit": 3, "p": 1.0}


@pytest.fixture
def inventory(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, workspace: Path) -> Command:
    """The command, with these transforms and other changes."""

    def run(*listed: Any, **changes: Any) -> Ended:
        write_params(workspace, **{"augment.transforms": list(listed), **changes})
        return pipeline(capsys, monkeypatch, "inventory")

    return run


def test_a_run_ends_before_it_begins_where_transforms_cannot_be_used(inventory: Command, workspace: Path) -> None:
    ended = inventory({"name": "Afine"}, {**BLUR, "p": 2}, {"name": "CenterCrop", "height": 8, "width": 8})
    assert ended.code == 3
    assert ended.err == (
        "error: params.yaml names transforms that cannot be used:\n"
        "  augment.transforms.0.name: albumentations has no transform 'Afine', did you mean Affine?\n"
        "  augment.transforms.1.p: must be a number from 0 to 1, got 2\n"
    )
    assert not (workspace / "data/inventory/files").exists()
    # Again: nothing that failed is remembered.
    assert inventory({"name": "Afine"}).code == 3


def test_a_list_that_passed_is_looked_at_once(inventory: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    monkeypatch.setattr(transforms, "check_transforms", lambda *arguments: looks.append(arguments))
    for listed, changes in (
        ([BLUR], {}),
        ([BLUR], {}),
        ([BLUR], {"augment.seed": 9}),
        ([], {"augment.copies.count": 0}),
    ):
        assert inventory(*listed, **changes).code == 0
    assert len(looks) == 1
    assert inventory({**BLUR, "p": 0.5}).code == 0
    assert inventory({**BLUR, "p": 0.5}, **{"ingest.size": 8}).code == 0
    assert [size for _, size in looks] == [16, 16, 8]


def test_damaged_memory_costs_a_look(inventory: Command, workspace: Path) -> None:
    assert inventory(BLUR).code == 0
    memory = workspace / catalogue.CHECKED_TRANSFORMS
    right = memory.read_bytes()
    memory.write_bytes(b"")
    assert inventory(BLUR).code == 0
    assert memory.read_bytes() == right
