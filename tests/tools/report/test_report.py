"""`pipeline report`: one file that shows a run, whatever things are called and whatever is missing."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline import catalogue
from pipeline.diagnosis.gaps import MEANS
from pipeline.errors import MissingInputError
from pipeline.project.params_file import load_params
from pipeline.store.spreadsheets import read_spreadsheet, spreadsheet_bytes
from pipeline.store.writing import write_files
from pipeline.tools.errors import ERRORS_TABLE, write_errors
from pipeline.tools.improve.log import Entry, append
from pipeline.tools.report.gathering import gather
from pipeline.tools.report.report import write_report
from tests.pages import HOSTILE, SVG, parsed
from tests.running import run, run_stages, write_params
from tests.tools.report.written_pages import PAGE, notes, page, write_diagnosis

# Everything that the page is made of, beside what SVG has.
HTML = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "nav", "h1", "h2", "h3"),
    *("p", "b", "a", "ul", "ol", "li", "div", "span", "bdi", "code", "pre", "figure", "figcaption", "img", "br"),
    *("table", "caption", "tr", "th", "td"),
}


def test_the_page_judges_by_the_bounds_of_params_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    split = {"images": 9, "accuracy": 0.9, "optimizing": 0.9, "low": 0.8, "high": 1.0}
    report = {"accepted": True, "limits": {"size": {"value": 3.0, "held": True}}, "dev": split}
    write_files({Path(catalogue.EVALUATE_METRICS.path): json.dumps(report).encode()})
    for largest, holds in ((4.0, True), (2.0, False)):
        limit = {"metric": "model_megabytes", "min": None, "max": largest}
        write_params(tmp_path, **{"evaluate.optimizing": "accuracy", "evaluate.satisficing": {"size": limit}})
        verdict = gather(load_params(), None)["verdict"].value
        assert verdict is not None
        assert (verdict["accepted"], verdict["limits"][0]["held"], verdict["current"]) == (holds, holds, True)
    write_params(tmp_path, **{"evaluate.optimizing": "accuracy", "evaluate.satisficing": {"other": limit}})
    assert not gather(load_params(), None)["verdict"].value["current"]


def test_the_page_shows_the_numbers_of_the_reports(folder: Path) -> None:
    text = " ".join(page().text.split())
    metrics = json.loads(Path(catalogue.EVALUATE_METRICS.path).read_text())
    diagnosis = json.loads(Path(catalogue.DIAGNOSIS.path).read_text())
    assert diagnosis["sentence"] in text
    for split in ("train", "train_dev", "dev"):
        assert f"{metrics[split]['optimizing']:.4f}" in text
        assert f"{metrics[split]['low']:.4f} to {metrics[split]['high']:.4f}" in text
    for level in diagnosis["levels"]:
        assert f"{100 * level['error']:.2f} %" in text
    for gap in diagnosis["gaps"]:
        assert MEANS[gap["name"]] in text
    for step in diagnosis["steps"]:
        assert " ".join(step["words"].replace("`", "").split()) in text
        assert step["command"] is None or step["command"] in text
    assert "135 files" in text
    assert "The model is accepted" in text or "The model is rejected" in text


def test_what_too_few_images_say_is_neither_yes_nor_no(folder: Path) -> None:
    Path(catalogue.SPLIT_MATCHING.path).with_name("checksums.json").unlink()  # so that the table may change
    table = pd.read_csv(catalogue.SPLIT_MATCHING.path)
    raw = table["comparison"] == "raw_vs_production"
    assert "raw and production" in page().text
    table.loc[raw, "groups"] = 1
    table.to_csv(catalogue.SPLIT_MATCHING.path, index=False)
    assert "raw and production" not in page().text
    assert "train and production" in page().text
    table.assign(others=1).to_csv(catalogue.SPLIT_MATCHING.path, index=False)
    assert "There are too few images to tell." in page().text


def test_the_page_says_what_degrading_raw_images_leaves(folder: Path) -> None:
    path = Path(catalogue.AUGMENT_METRICS.path)
    path.with_name("checksums.json").unlink()  # so that the numbers may change
    metrics = json.loads(path.read_text())
    assert "Raw against production: AUC" not in page().text
    by_facts = {"auc_before": 0.97, "auc_before_low": 0.93, "auc_before_high": 0.99, "auc_after": 0.6}
    for embedded, said in (
        ({}, "because embed.backbone is null"),
        ({"embedding": {**by_facts, "auc_after": 0.81, "rest": "content"}}, "What is left is content:"),
        ({"embedding": {**by_facts, "auc_after": 0.81, "rest": "unclear"}}, "It cannot be told whether"),
    ):
        path.write_text(json.dumps({**metrics, "match_production": {**by_facts, **embedded}}))
        text = " ".join(page().text.split())
        assert "Raw against production: AUC" in text
        assert "0.97 0.93 to 0.99" in text
        assert said in text
        assert text.count("0.97 0.93 to 0.99") == 1 + bool(embedded)
    path.write_text(json.dumps({**metrics, "match_production": {**by_facts, "embedding": {"rest": "no such"}}}))
    assert any("KeyError" in note for note in notes())


def test_the_conclusion_is_shown_if_it_is_of_the_same_errors(folder: Path) -> None:
    said = json.loads(Path(catalogue.DIAGNOSIS.path).read_text())
    test = {"name": "test", "error": 0.4321, "low": 0.4, "high": 0.5, "images": 9}
    last = {**said, "sentence": "Bad on test.", "levels": [*said["levels"], test]}
    write_files({Path(catalogue.FINAL_DIAGNOSIS.path): json.dumps(last).encode()})
    assert "Bad on test." in page().text
    assert "43.21 %" in page().text
    last["levels"] = [{**level, "error": 0.9} for level in last["levels"]]
    write_files({Path(catalogue.FINAL_DIAGNOSIS.path): json.dumps(last).encode()})
    assert "Bad on test." not in page().text


def test_tags_of_errors_are_ranked_where_somebody_gave_some(folder: Path) -> None:
    asked = "Tag what went wrong in each image, and this page ranks the tags"
    assert asked in page().text
    path = Path(catalogue.PREDICTIONS.path)
    predictions = catalogue.PREDICTIONS.read(path)
    path.unlink()
    catalogue.PREDICTIONS.write(predictions.assign(predicted=HOSTILE[0]), path)
    write_errors("dev", ERRORS_TABLE, Path("errors.png"), [])
    assert asked in page().text
    table = read_spreadsheet(ERRORS_TABLE.read_bytes(), "errors.csv", "id").columns
    hostile = "<script>alert(9)</script>"
    ERRORS_TABLE.write_bytes(spreadsheet_bytes({**table, "tags": [hostile, *table["tags"][1:]]}))
    seen = page()
    assert f"with a tag could gain; 1 of {len(table['id'])} have a tag" in seen.text
    assert hostile in seen.text
    assert "script" not in seen.tags
    assert asked not in seen.text
    with pytest.raises(MissingInputError, match=r"^--tags nix\.csv is missing or not a file: `pipeline errors` writes"):
        write_report(load_params(), PAGE, Path("nix.csv"))
    other = Path("other.csv")
    other.write_bytes(spreadsheet_bytes({**table, "id": ["nix", *table["id"][1:]], "tags": ["a", *table["tags"][1:]]}))
    write_report(load_params(), PAGE, other)
    assert "1 ids are not errors of the current model: row 2" in parsed(PAGE.read_text(encoding="utf-8")).text


def test_an_ensemble_is_told_with_its_members_and_measured_as_one_model(folder: Path) -> None:
    centroid = {"name": "nearest_centroid", "features": {"name": "pixels", "side": 4}}
    members = [
        {"model": centroid},
        {"model": {"name": "logistic_regression", "features": centroid["features"], "c": 1.0}},
    ]
    ensemble = {"name": "stacking", "members": members, "folds": 2, "use": "always"}
    write_params(folder, **{"train.ensemble": ensemble})
    run_stages("train", "evaluate", "diagnose")
    found = catalogue.ENSEMBLE.read(Path(catalogue.ENSEMBLE.path))
    assert found["kept"]
    text = " ".join(page().text.split())
    assert "Ensemble (stacking): " in text
    assert f"Its log loss on train, out of fold is {found['log_loss']:.4f}" in text
    assert all(f"{member['weight']:.2f}" in text for member in found["members"])
    assert "nearest_centroid" in text
    made = sorted(path.name for path in Path(catalogue.MEMBERS).rglob("*.pt"))
    write_params(folder, **{"train.ensemble": {**ensemble, "name": "voting"}})
    run_stages("train")
    assert sorted(path.name for path in Path(catalogue.MEMBERS).rglob("*.pt")) == made
    assert catalogue.ENSEMBLE.read(Path(catalogue.ENSEMBLE.path))["name"] == "voting"


def test_a_baseline_has_figures_and_no_curve_of_one_point(folder: Path) -> None:
    assert 'id="curve-loss' in str(gather(load_params(), None)["curves"].value["plots"][0])
    write_params(folder, **{"train.model": {"name": "majority_class"}})
    run_stages("train")
    seen = page()
    assert "majority_class is fitted without epochs." in seen.text
    metrics = json.loads((Path(catalogue.CURVES.path) / "metrics.json").read_text())
    assert f"{metrics['dev']['optimizing']:.4f}" in seen.text


def test_names_of_users_are_text_and_nothing_is_fetched_or_run(folder: Path) -> None:
    seen = page()
    assert seen.tags <= HTML | SVG
    assert not [name for _, attributes in seen.elements for name in attributes if name.startswith("on")]
    assert [address for address in seen.addresses if not address.startswith(("#", "data:image/"))] == []
    raw = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"(?i)https?:|@import|javascript:|url\((?!#)", raw) == []
    assert "default-src 'none'" in raw
    shown = [name.encode("unicode_escape").decode() if "\u202e" in name else name for name in HOSTILE]
    assert shown[0] in seen.text
    assert shown[1] in seen.text
    assert "\u202e" not in raw


def test_words_of_the_diagnosis_are_text(folder: Path) -> None:
    hostile = "</code><script>alert(3)</script>`<b>`"
    said = json.loads(Path(catalogue.DIAGNOSIS.path).read_text())
    step = {"finding": hostile, "command": hostile, "words": hostile, "source": hostile}
    finding = {"name": hostile, "words": hostile}
    said |= {"sentence": hostile, "steps": [step], "findings": [finding]}
    write_diagnosis(json.dumps(said))
    seen = page()
    assert seen.tags <= HTML | SVG
    assert seen.text.count("<script>alert(3)</script>") == 7


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("cannot tell", "There are too few images to say what would help"), ("absent", "No further experiments")],
)
def test_without_steps_the_page_says_why(folder: Path, verdict: str, words: str) -> None:
    said = json.loads(Path(catalogue.DIAGNOSIS.path).read_text())
    said |= {"steps": [], "gaps": [{**gap, "verdict": verdict} for gap in said["gaps"]]}
    write_diagnosis(json.dumps(said))
    assert words in page().text


def test_ids_stand_once_and_links_lead_somewhere(folder: Path) -> None:
    seen = page()
    ids = [attributes["id"] for _, attributes in seen.elements if "id" in attributes]
    # Plots repeat the marks of an axis under one name.
    assert [address for address in seen.addresses if address.startswith("#") and address[1:] not in ids] == []
    sections = [attributes["id"] for tag, attributes in seen.elements if tag == "section"]
    assert len(set(sections)) == len(sections) == 11


def test_the_same_run_gives_the_same_bytes(folder: Path) -> None:
    page()
    first = PAGE.read_bytes()
    page()
    assert PAGE.read_bytes() == first


def test_experiments_need_a_repository_and_then_are_shown(folder: Path) -> None:
    assert any("DVC cannot read this repository" in note for note in notes())
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "git", "commit", "--quiet", "--allow-empty", "--message", "Set up")
    text = page().text
    assert "On dev; paired differences to the best accepted model" in text
    assert "workspace" in text
    assert "DVC cannot read" not in text


def test_the_latest_tries_of_improve_are_shown(folder: Path) -> None:
    hostile = "</code><script>alert(5)</script>"
    append(Entry("old", "improve-old-1", "variance", "an older one", "dvc exp run", {}))
    append(
        Entry("new", hostile, "leakage", hostile, hostile, {}, value=0.9, difference=0.1, low=0.02, high=0.2, kept=True)
    )
    append(Entry("new", "improve-new-2", "variance", "more dropout", "dvc exp run", {}, note="within noise"))
    seen = page()
    assert "script" not in seen.tags
    assert hostile in seen.text
    assert "+0.0200 to +0.2000" in seen.text
    assert "within noise" in seen.text
    assert "an older one" not in seen.text
