"""spot-check and lr-range: many models in one table, and a learning rate, from the training set as it is."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import catalogue
from pipeline.errors import ParamsError
from pipeline.project.params_file import load_params
from pipeline.store.vectors import Embeddings
from pipeline.tools.spot_check.candidates import CANDIDATES, EMBEDDED, OWN, candidates
from pipeline.tools.spot_check.spot_check import Dev, Trial, check_all, table_of
from pipeline.workers.engine import Engine
from tests.examples import params
from tests.fits import metric_named
from tests.running import pipeline, run_in, write_params


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage before train ran."""
    return run_in(tmp_path_factory.mktemp("trying"), "ingest", "embed", "curate", "split", "balance", "augment")


@pytest.fixture(autouse=True)
def _inside(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(prepared)
    write_params(prepared)


def files(folder: Path) -> dict[Path, str]:
    """What lies there, by content."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_is_a_model_that_params_allow(name: str) -> None:
    assert getattr(candidates(params().train.model, [name])[name], "name", "") == name.partition(" ")[0]


def test_an_unknown_candidate_is_answered_with_all_there_are() -> None:
    with pytest.raises(ParamsError, match=r"^no candidate cnnn: the candidates are majority_class, .*, train\.model$"):
        candidates(params().train.model, ["cnnn"])


def test_models_are_ranked_on_dev_and_nothing_else_changes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    before = files(prepared)
    asked = ("majority_class", "nearest_centroid", OWN)
    options = [part for name in asked for part in ("--model", name)]
    monkeypatch.setenv("COLUMNS", "200")
    ended = pipeline(capsys, monkeypatch, "spot-check", *options, "--csv", "ranked.csv")
    assert ended.code == 0, ended.err
    table = pd.read_csv("ranked.csv", keep_default_na=False)
    Path("ranked.csv").unlink()
    assert files(prepared) == before
    assert table["model"].iloc[-1] == "majority_class"
    assert table["accuracy"].is_monotonic_decreasing
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["high"]).all()
    assert not table["noise"].iloc[-1]
    assert [name in ended.out for name in asked] == [True] * 3
    assert "accuracy on dev" in ended.out


def test_framings_are_measured_beside_the_classes_and_nothing_else_changes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, prepared: Path
) -> None:
    before = files(prepared)
    monkeypatch.setenv("COLUMNS", "200")
    ended = pipeline(capsys, monkeypatch, "reframe", "--order", "c,a,b", "--csv", "framings.csv")
    assert ended.code == 0, ended.err
    table = pd.read_csv("framings.csv", keep_default_na=False)
    Path("framings.csv").unlink()
    assert files(prepared) == before
    framings = ["ordinal", "ordinal, softmax", *(f"{one} against the rest" for one in "abc")]
    assert [name for name in table["framing"] if "as one" not in name] == framings
    assert "mean cost per prediction on" in ended.out
    assert "The models are linear, on small pictures" in ended.out
    assert "no tree was tried, because one made from mistakes needs 4 classes or more" in ended.out
    again = pipeline(capsys, monkeypatch, "reframe", "--order", "c,a,b")
    assert again.out == ended.out


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        (["--order", "a,b"], ["--order lacks c: each class needs a place"]),
        (
            ["--order", "a,b,c,d,a", "--tree", "{x: [a, b], y: [c]}"],
            ["--order names d, which no image has", "--order names a class twice", "--tree: the group y has 1 entries"],
        ),
        (["--costs", "{a: {z: 5}}"], ["names the class 'z', which the model does not have"]),
    ],
)
def test_an_order_and_a_tree_that_do_not_fit_the_classes_are_refused(
    options: list[str],
    messages: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = pipeline(capsys, monkeypatch, "reframe", *options)
    assert ended.code == 3
    assert all(message in ended.err for message in messages)


def test_a_model_that_cannot_be_fitted_costs_itself_alone() -> None:
    write_params(Path(), **{"ingest.size": 16})
    shallow = load_params()
    too_deep = shallow.train.model.model_copy(update={"depth": 6})
    changed = shallow.model_copy(update={"train": shallow.train.model_copy(update={"model": too_deep})})
    table, images = check_all(changed, [OWN, "majority_class"], None, Engine(1))
    assert table["model"].tolist() == ["majority_class", OWN]
    assert table["problem"].iloc[1].startswith("train.model.depth 6 halves pictures of 16 pixels")
    assert images > 0


def trial(name: str, value: float, spread: float) -> Trial:
    noise = np.random.default_rng(len(name)).normal(0, spread, IMAGES)
    return Trial(name, value, value, (value - 0.05, value + 0.05), noise - noise.mean())


IMAGES = 400
GROUPED = Dev(np.arange(IMAGES), IMAGES, seed=1)


def test_a_metric_to_be_minimised_ranks_the_other_way() -> None:
    trials = [trial("a", 0.5, 0.3), trial("bb", 0.2, 0.3), trial("ccc", 0.21, 0.3)]
    assert table_of(trials, metric_named("accuracy"), GROUPED)["model"].tolist() == ["a", "ccc", "bb"]
    ranked = table_of(trials, metric_named("log_loss"), GROUPED)
    assert ranked["model"].tolist() == ["bb", "ccc", "a"]
    assert ranked["noise"].tolist() == [True, True, False]


def test_on_few_groups_every_difference_may_be_chance() -> None:
    trials = [trial("a", 0.9, 0.3), trial("bb", 0.2, 0.3)]
    few = Dev(np.arange(IMAGES) % 14, 14, seed=1)
    assert table_of(trials, metric_named("accuracy"), few)["noise"].tolist() == [True, True]


def test_twenty_equal_models_are_seldom_told_apart() -> None:
    """At most 5 % of tables call any worse: of 40 tables fewer than 7, but for a chance of 0.3 %."""
    generator, wrong_tables = np.random.default_rng(3), 0
    for _ in range(40):
        right = generator.random((20, IMAGES)) < 0.8
        trials = [
            Trial(f"m{number}", float(each.mean()), influence=each - each.mean()) for number, each in enumerate(right)
        ]
        wrong_tables += not table_of(trials, metric_named("accuracy"), GROUPED)["noise"].all()
    assert wrong_tables < 7


def test_models_on_embeddings_are_ranked_beside_the_others(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = catalogue.CURATED.read(Path(catalogue.CURATED.path)).set_index("sha256")["label"].astype(str)

    def of(self: Embeddings, contents: list[str]) -> np.ndarray:
        names = sorted(set(labels))
        noise = np.random.default_rng(1).normal(0, 0.1, (len(contents), 8))
        return (np.eye(8)[[names.index(labels[each]) for each in contents]] + noise).astype(np.float16)

    monkeypatch.setattr(Embeddings, "of", of)
    monkeypatch.setenv("COLUMNS", "200")
    options = [part for name in (*EMBEDDED, "majority_class") for part in ("--model", name)]
    ended = pipeline(capsys, monkeypatch, "spot-check", *options, "--csv", "ranked.csv")
    assert ended.code == 0, ended.err
    table = pd.read_csv("ranked.csv", keep_default_na=False)
    Path("ranked.csv").unlink()
    assert set(table["model"].iloc[:2]) == set(EMBEDDED)
    assert (table["accuracy"].iloc[:2] > 0.95).all()
    assert (table["train"].iloc[:2].astype(float) > 0.95).all()
    assert "by models that did not see their groups" in ended.out


def test_without_embeddings_a_model_on_them_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Embeddings, "of", lambda self, contents: None)
    table, _ = check_all(load_params(), ["linear (embeddings)", "majority_class"], None, Engine(1))
    assert table["problem"].iloc[1].startswith("there are no embeddings (embed.backbone: null)")


def test_a_learning_rate_is_suggested_with_its_curve(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = pipeline(capsys, monkeypatch, "lr-range", "--steps", "60", "--output", "rates.png")
    assert ended.code == 0, ended.err
    curve = pd.read_csv("rates.csv")
    suggested = float(ended.out.split()[1].rstrip(","))
    assert list(curve) == ["rate", "loss", "smoothed"]
    assert curve["rate"].iloc[0] == pytest.approx(1e-6)
    assert 1e-5 < suggested < curve["rate"].to_numpy()[int(curve["smoothed"].argmin())]
    with Image.open("rates.png") as image:
        assert image.size == (800, 500)
    picture = Path("rates.png").read_bytes()
    assert pipeline(capsys, monkeypatch, "lr-range", "--steps", "60", "--output", "rates.png").out == ended.out
    assert Path("rates.png").read_bytes() == picture


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        pytest.param({}, ["--low", "1", "--high", "0.1"], "--low must be below --high, got 1 and 0.1", id="no range"),
        pytest.param(
            {"train.model": {"name": "majority_class"}}, [], "majority_class has no learning rate", id="no network"
        ),
        pytest.param(
            {}, ["--low", "9", "--high", "10"], "the loss did not fall at any rate: start lower", id="too high"
        ),
    ],
)
def test_no_rate_is_suggested_where_there_is_none(
    changes: dict[str, Any],
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_params(Path(), **changes)
    ended = pipeline(capsys, monkeypatch, "lr-range", "--steps", "10", *options)
    assert ended.code in {3, 5}
    assert message in ended.err
