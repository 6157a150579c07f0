"""The diagnosis as a sentence, a page and a report."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.diagnosis.findings import EPOCHS, HARD_SLICE, HARDER, LABEL_NOISE, LEAK, SMALL_DEV, WEAK_JUDGE, Finding
from pipeline.diagnosis.gaps import BIAS, MISMATCH, VARIANCE, Gap
from pipeline.diagnosis.next_steps import Step
from pipeline.diagnosis.rendering import levels_table, page, report, sentence
from tests.diagnosis.cases import evaluate, gap, levels


def of(gaps: Sequence[Gap] = (), *findings: Finding, steps: Sequence[Step] = ()) -> Diagnosis:
    """A diagnosis; 10 points are worth work."""
    return Diagnosis(KNOWN, gaps, findings, steps, 0.1)


@pytest.mark.parametrize(
    ("gaps", "words"),
    [
        pytest.param(
            [gap(VARIANCE, "present"), gap(BIAS, "absent"), gap(MISMATCH, "absent")],
            "Variance of 12.3 points (95 % interval 7.3 to 17.3).",
            id="one",
        ),
        pytest.param(
            [gap(MISMATCH, "present", 0.2), gap(BIAS, "present", 0.1), gap(VARIANCE, "absent")],
            "Data mismatch of 20.0 points (95 % interval 15.0 to 25.0) and "
            "avoidable bias of 10.0 points (95 % interval 5.0 to 15.0).",
            id="two",
        ),
        pytest.param(
            [gap(BIAS, "present", 0.1), gap(VARIANCE, "cannot tell", 0.03), gap(MISMATCH, "cannot tell", 0.02)],
            "Avoidable bias of 10.0 points (95 % interval 5.0 to 15.0). Too few images to tell about variance: 3.0 "
            "points (-2.0 to 8.0). Too few images to tell about data mismatch: 2.0 points (-3.0 to 7.0). A gap of 10.0 "
            "points or more is worth working on.",
            id="one, and doubt about others",
        ),
        pytest.param(
            [replace(gap(VARIANCE, "cannot tell", 0.08), at_the_edge=True), gap(BIAS, "absent")],
            "Nothing is clearly wrong. Variance is at the edge: 8.0 points (3.0 to 13.0). A gap of 10.0 points or more "
            "is worth working on.",
            id="at the edge",
        ),
        pytest.param(
            [gap(name, "absent", 0.0) for name in (BIAS, VARIANCE, MISMATCH)],
            "No problem found: no gap is large enough to work on.",
            id="nothing",
        ),
    ],
)
def test_diagnosis_is_said_in_a_sentence(gaps: list[Gap], words: str) -> None:
    assert sentence(of(gaps)) == words


KNOWN = levels(train=(2000, 20), train_dev=(2000, 400), dev=(2000, 420))
GAPS = [gap(MISMATCH, "cannot tell", 0.01, needs=1200), gap(VARIANCE, "present", 0.19), gap(BIAS, "absent", 0)]


def test_table_shows_each_level_with_the_gap_above_it() -> None:
    lines = levels_table(KNOWN, GAPS)
    assert lines[2:] == [
        "| human |  | 1.00% |  |  |  |",
        "| train | 2,000 | 1.00% | avoidable bias: 0.0 points | -5.0 to 5.0 | absent |",
        "| train_dev | 2,000 | 20.00% | variance: 19.0 points | 14.0 to 24.0 | present |",
        "| dev | 2,000 | 21.00% | data mismatch: 1.0 points | -4.0 to 6.0 "
        "| cannot tell: needs about 1,200 more dev images |",
    ]
    assert {line.count("|") for line in lines} == {7}


def found(*findings: Finding, steps: tuple[Step, ...] = ()) -> Diagnosis:
    return of(GAPS, *findings, steps=steps)


def test_page_says_what_errors_are_where_the_metric_is_no_share() -> None:
    assert "\nErrors are 1 - accuracy, because log_loss is not a share of images.\n\n|" in page(
        found(), evaluate("log_loss")
    )
    assert "Errors are" not in page(found(), evaluate())
    words = page(found(), evaluate("worst_class_recall"))
    assert (
        "\nErrors are 1 - balanced_accuracy, because worst_class_recall is lower in small splits just by chance.\n"
        in words
    )


def test_page_has_steps_in_their_order_as_commands_and_words_with_their_reason() -> None:
    steps = (Step(VARIANCE, "dvc exp run -S a=1", "more of it", "x"), Step(MISMATCH, None, "collect more", "y"))
    assert (
        "\nTry one at a time, in this order:\n1. more of it (for variance): `dvc exp run -S a=1`\n"
        "2. collect more (for data mismatch)\n\n|"
    ) in page(found(steps=steps), evaluate())


DOUBT = [replace(gap(VARIANCE, "cannot tell", 0.08), at_the_edge=True)]


def test_page_without_steps_points_to_test() -> None:
    words = "\nThere is nothing left to try. When you want to use the model, evaluate it on test: `dvc repro"
    assert words in page(of([gap(VARIANCE, "absent")]), evaluate())
    # Where something is surely wrong, nobody is sent to test.
    assert "dvc repro final" not in page(found(), evaluate())


def test_page_without_steps_for_too_few_images_asks_for_more() -> None:
    few = [gap(VARIANCE, "cannot tell", 0.08)]
    assert (
        "\nThere are too few images to say what would help. Add images, above all production ones, and run "
        "`dvc repro`. When you want to use the model as it is, evaluate it on test: `dvc repro final/dvc.yaml`.\n"
    ) in page(of(few), evaluate())


def test_what_is_at_the_edge_may_be_measured_or_left() -> None:
    step = Step(VARIANCE, "dvc exp run -S a=1", "measure better", "x", "takes one training like this one")
    assert (
        "\nTry next:\n1. measure better (for variance; takes one training like this one): `dvc exp run -S a=1`\n\n"
        "If the model is good enough for you, skip this and evaluate it on test: `dvc repro final/dvc.yaml`.\n"
    ) in page(of(DOUBT, steps=[step]), evaluate())


def test_harder_images_are_listed_and_no_problem_is_made_of_them() -> None:
    hard = Finding(HARD_SLICE, "images of dev that look alike (mostly fig): 20.0% of 30 are misclassified")
    found = of([gap(BIAS, "absent", 0.0)], hard)
    assert sentence(found) == "No problem found: no gap is large enough to work on."
    assert f"- hard slice: {hard.words}" in page(found, evaluate())
    assert "use the model, evaluate it on test" in page(found, evaluate())


def test_page_says_what_each_gap_means() -> None:
    assert "\n- variance: more mistakes on new images than on training images of the same kind\n" in page(
        found(), evaluate()
    )


def test_wrong_labels_are_said_first_and_the_gaps_rest_on_them() -> None:
    noise = [Finding(LABEL_NOISE, f"{role} labels seem wrong", subject=role) for role in ("production", "raw")]
    assert sentence(found(*noise)).startswith(
        "Production labels seem wrong. Raw labels seem wrong. "
        "Fix this first, because it distorts the gaps that follow. "
        "Variance of 19.0 points (95 % interval 14.0 to 24.0). "
    )


def test_gaps_are_true_only_if_labels_are_that_nobody_can_check() -> None:
    weak = Finding(WEAK_JUDGE, "cannot tell whether labels are wrong", {"too_weak": True})
    assert sentence(of([gap(BIAS, "present", 0.2)], weak)).startswith(
        "Cannot tell whether labels are wrong. The gaps that follow are true only if the labels are right. "
        "Avoidable bias of 20.0 points"
    )
    assert "are true only" not in sentence(of([gap(MISMATCH, "present", 0.2)], weak))


def test_an_explained_gap_is_named_by_its_reason() -> None:
    words = sentence(of([gap(MISMATCH, "explained")], Finding(HARDER, "production is harder")))
    assert words == "Production is harder."


FINDINGS = (
    Finding(SMALL_DEV, "dev is small", {"needs": 200}),
    Finding(EPOCHS, "the loss still fell", {"epochs": 3}),
    Finding(LEAK, "3 dev images stand in train", {"images": 3}, subject="dev"),
)


def test_sentence_says_leaks_first_and_causes_after_gaps() -> None:
    words = sentence(found(*FINDINGS))
    assert words == (
        "3 dev images stand in train. Fix this first, because it distorts the gaps that follow. "
        "Variance of 19.0 points (95 % interval 14.0 to 24.0). Too few images to tell about data mismatch: "
        "1.0 points (-4.0 to 6.0). A gap of 10.0 points or more is worth working on."
    )
    assert page(found(*FINDINGS), evaluate()).endswith("- leakage: 3 dev images stand in train\n")


def test_report_is_json_that_programs_read() -> None:
    step = Step(VARIANCE, None, "collect more", "MLY ch. 27", "people collect")
    read = json.loads(json.dumps(report(found(*FINDINGS, steps=(step,))), allow_nan=False))
    assert read["sentence"] == sentence(found(*FINDINGS))
    assert read["named"] == [LEAK, VARIANCE, EPOCHS, SMALL_DEV]
    assert [each["name"] for each in read["levels"]] == ["human", "train", "train_dev", "dev"]
    assert read["levels"][0] == {"name": "human", "error": 0.01, "low": 0.01, "high": 0.01, "images": None}
    assert read["gaps"][0] == {
        "name": MISMATCH,
        "upper": "dev",
        "lower": "train_dev",
        "value": 0.01,
        "low": pytest.approx(-0.04),
        "high": pytest.approx(0.06),
        "verdict": "cannot tell",
        "needs": 1200,
        "needs_of": ["dev"],
    }
    assert read["gaps"][1]["needs"] is None
    assert read["steps"] == [
        {
            "finding": VARIANCE,
            "command": None,
            "words": "collect more",
            "source": "MLY ch. 27",
            "cost": "people collect",
        }
    ]
    assert read["findings"][2] == {
        "name": LEAK,
        "subject": "dev",
        "words": "3 dev images stand in train",
        "p": None,
        "gain": 0.0,
        "figures": {"images": 3},
    }
