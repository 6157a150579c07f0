"""A change of the real package runs the stages again that it may concern, and no other."""

import re
from pathlib import Path

import pytest

from pipeline.images.normalising import fit_file
from pipeline.images.pixels import decode, encode
from pipeline.stage import NAMES
from pipeline.stages.ingest.rows import NOT_IN_KEY
from pipeline.versions.left_out import LEFT_OUT, OF_ALL_STAGES
from pipeline.versions.stages import Versions, installed_versions, version_of
from tests.examples import REPOSITORY
from tests.versions.toys import changed_stages, copied_package, params, real_versions, replace_in, versions_in

MEASURES = REPOSITORY / "pipeline/metrics/measures.py"
METRICS = re.compile(r"(?m)^METRICS: .*Registry\(\n    \(\n")


def test_words_for_people_new_names_and_another_place_change_no_version(tmp_path: Path) -> None:
    changes = {
        "images/decoding.py": ("", "\n# A comment.\n"),
        "training/losses.py": (
            '"""',
            '"""Reworded. ',
        ),
        "training/training.py": ("memory ran out in a training step", "there was no memory left in a training step"),
        "stages/ingest/stage.py": (
            "from pipeline import catalogue\n",
            "from pipeline import catalogue\n\nUNUSED = 1\n",
        ),
        "workers/progress.py": ("", "\n\nBAR = 3\n"),
        "workers/engine.py": ("", "\n\nROUNDS = 3\n"),
        "errors.py": ("exit_code = 5", "exit_code = 55"),
        "cli/app.py": ("", "\n\nNAME = 3\n"),
        "catalogue.py": ("", '\nEXTRA = report("data/extra.json")\n'),
    }
    package = copied_package(tmp_path / "site-packages")
    for file, (old, new) in changes.items():
        text = (package / file).read_text(encoding="utf-8")
        (package / file).write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")
    assert versions_in(package) == real_versions()


def test_a_constant_of_the_decoder_runs_ingest_again_and_what_decodes(tmp_path: Path) -> None:
    changed = changed_stages(tmp_path, {"images/jpeg_decoding.py": ("SPARE = ", "SPARE = 1 + ")})
    assert changed == {"ingest"}  # what follows reads its outs, or asks for pixels of shards


@pytest.mark.parametrize(("stage", "added"), [("train", "each=None, "), ("split", "resumes={}, ")])
def test_a_change_in_the_folder_of_a_stage_runs_nothing_before_it(stage: str, added: str, tmp_path: Path) -> None:
    change = ("STAGE = Stage(", f"STAGE = Stage({added}")
    assert changed_stages(tmp_path, {f"stages/{stage}/stage.py": change}) == {stage}


def test_another_path_runs_its_writer_and_its_readers(tmp_path: Path) -> None:
    changed = changed_stages(tmp_path, {"catalogue.py": ('"data/train/model', '"data/train/the_model')})
    assert {"train", "evaluate"} <= changed < {*NAMES}


@pytest.mark.skipif(not METRICS.search(MEASURES.read_text(encoding="utf-8")), reason="the metrics are no registry yet")
def test_a_new_metric_retrains_nothing(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    measures = package / "metrics/measures.py"
    text = METRICS.sub(r"\g<0>        MetricRow(Another, of_rows=log_loss),\n", measures.read_text(encoding="utf-8"))
    added = 'class Another(MetricParams):\n    name: Literal["another"] = "another"\n\n\n'
    measures.write_text(
        text.replace("@dataclass(frozen=True)\nclass MetricRow(", f"{added}@dataclass(frozen=True)\nclass MetricRow("),
        encoding="utf-8",
    )
    after = versions_in(package)
    changed = {name for name, version in real_versions().items() if after[name] != version}
    # These say every metric of the table.
    assert changed == {"evaluate", "diagnose", "final_evaluation", "final_diagnosis"}


def test_how_bytes_are_written_counts(tmp_path: Path) -> None:
    changed = changed_stages(tmp_path, {"store/artifacts.py": ("sort_keys=True", "sort_keys=False")})
    assert {"split", "balance", "evaluate"} <= changed


def test_a_module_that_is_reached_in_a_new_way_is_in_the_version_at_once(tmp_path: Path) -> None:
    package = copied_package(tmp_path)
    (package / "images/tinting.py").write_text("TINT = 1\n")
    replace_in(
        package / "images/normalising.py",
        "\n\n\ndef fit_file",
        "\n\nfrom pipeline.images import tinting\n\n\ndef fit_file",
    )
    replace_in(
        package / "images/normalising.py", "\n    facts = {", "\n    pixels = pixels * tinting.TINT\n    facts = {"
    )
    before = versions_in(package)
    (package / "images/tinting.py").write_text("TINT = 2\n")
    after = versions_in(package)
    assert {name for name in NAMES if before[name] != after[name]} == {"ingest"}


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_is_seen_whole(name: str) -> None:
    reached = installed_versions().reached(name, params())
    # The module of a network of one's own is named by params; its code has a version of its own (test_own_code.py).
    computed = [one.where for one in reached.computed]
    assert computed in ([], ["pipeline.models.own:_function: a module by a computed name"])
    assert f"pipeline.stages.{name}.stage" in reached.by_module()
    assert not [module for module in reached.by_module() if module.startswith(("pipeline.cli", "pipeline.tools"))]


def test_what_is_left_out_is_there_and_would_be_reached() -> None:
    versions = Versions(REPOSITORY / "pipeline")
    names = versions.reach.package.names()
    for entry in LEFT_OUT:
        module = entry.partition(":")[0]
        assert module in names, entry
    assert all(versions.reach.units(place) for place in OF_ALL_STAGES)


def test_functions_have_versions_of_their_own() -> None:
    assert version_of(decode, encode) == version_of(encode, decode) != version_of(decode)
    assert version_of(fit_file, without=("pipeline.images.decoding",)) != version_of(fit_file)


def test_a_name_that_is_only_imported_there_has_no_version() -> None:
    with pytest.raises(LookupError, match=r"no definitions of the package: \['pipeline.stages.ingest.rows:Guard'\]"):
        installed_versions().of_code(["pipeline.stages.ingest.rows:Guard"])


def test_a_changed_word_or_comment_decodes_nothing_and_a_changed_constant_all(tmp_path: Path) -> None:
    places = [f"pipeline.stages.ingest.rows:{name}" for name in ("open_file", "rows_of", "refuse_file")]
    places.append("pipeline.workers.serving:Guard")
    package = copied_package(tmp_path)

    def key() -> str:
        return Versions(package).of_code(places, NOT_IN_KEY)

    before = key()
    assert before == installed_versions().of_code(places, NOT_IN_KEY)
    replace_in(package / "stages/ingest/rows.py", "has changed since inventory read it", "has changed")
    decoding = package / "images/jpeg_decoding.py"
    decoding.write_text("# Another comment.\n" + decoding.read_text(encoding="utf-8"), encoding="utf-8")
    assert key() == before
    replace_in(package / "stages/ingest/stage.py", "STAGE = Stage(", "OTHER = 1\nSTAGE = Stage(")
    replace_in(package / "sources/labels.py", 'METADATA = "', 'METADATA = "x')
    assert key() == before
    # What is said of a refused file stands in its row.
    replace_in(package / "workers/serving.py", "the decoder ended with", "it ended with")
    assert key() != before
    replace_in(package / "workers/serving.py", "it ended with", "the decoder ended with")
    replace_in(decoding, "SPARE = ", "SPARE = 1 + ")
    assert key() != before
