"""`pipeline audit` of a split that this pipeline made: by its manifests, without the originals."""

import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline.manifest import SPLIT
from pipeline.project.params_file import load_params
from pipeline.project.runner import run_stage
from pipeline.store.arrow import open_arrow, write_arrow
from pipeline.store.manifests import arrow_table
from pipeline.workers.engine import Engine
from tests.examples import encoded
from tests.running import run_stages, write_params, write_tiny_sources
from tests.stages.curate.similar import scene
from tests.tools.audit.auditing import OWN, Audit, assert_leaks


@pytest.fixture
def own_split(audit: Audit) -> Audit:
    write_tiny_sources(Path())
    write_params(Path())
    for name, key in (("ingest", "phone"), ("ingest", "web"), ("curate", None), ("split", None)):
        run_stage(name, load_params(), Engine(1), key)
    return audit


def test_our_own_split_passes_without_the_originals(own_split: Audit) -> None:
    Path("images").rename("elsewhere")
    ended = own_split(*OWN)
    assert (ended.code, ended.err) == (0, "")
    assert "checked by path, content, near copies and groups" in ended.out
    assert own_split(*(f"../{Path.cwd().name}/{name}" for name in OWN), "--root", str(Path.cwd())).code == 0


def test_a_row_of_train_that_is_copied_to_test_is_caught(own_split: Audit) -> None:
    rows = [open_arrow(Path(name)).to_pandas() for name in OWN]
    train = rows[0][rows[0]["split"] == "train"]
    leaked = pd.concat([rows[1], train.iloc[:1].assign(split="test")], ignore_index=True)
    write_arrow(arrow_table(leaked, SPLIT), Path(OWN[1]))
    assert_leaks(own_split(*OWN), "path", f"train: {train['id'].iloc[0]} ", f"row {len(leaked)} of {OWN[1]}")


def test_images_that_nobody_labelled_are_audited_with_the_rest(own_split: Audit) -> None:
    assert own_split(*OWN, "data/split/unused.arrow").code == 0  # none
    Path("images/phone/loose.png").write_bytes(encoded(scene(1)))
    run_stages("ingest", "curate", "split")
    unused = "data/split/unused.arrow"
    ended = own_split(*OWN, unused)
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"unlabelled +1 +0 +0  1 production, 1 without a label", ended.out)
    leaked = open_arrow(Path(OWN[1])).to_pandas().iloc[:1]
    [label] = open_arrow(Path(unused)).to_pandas()["split"]
    write_arrow(arrow_table(leaked.assign(split=label, label=""), SPLIT), Path(unused))
    assert_leaks(own_split(*OWN, unused), "path", f"(no label), row 1 of {unused}")


def test_a_manifest_before_the_split_is_refused_in_words(own_split: Audit) -> None:
    ended = own_split("data/curate/manifest.arrow")
    assert ended.code == 5
    assert "no column split" in ended.err
    assert "audit a manifest from the stage split" in ended.err


def test_a_shard_that_is_gone(own_split: Audit) -> None:
    Path("data/ingest").rename("gone")
    ended = own_split(*OWN)
    assert ended.code == 4
    assert "is not under data/ingest" in ended.err
    assert own_split(*OWN, "--no-near").code == 0
