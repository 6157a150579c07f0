"""The diagnosis as a sentence, a page and a report."""

import json

import pytest

from pipeline.diagnosis.diagnosis import Diagnosis
from pipeline.diagnosis.findings import EPOCHS, LEAK, SMALL_DEV, Finding
from pipeline.diagnosis.gaps import BIAS, MISMATCH, VARIANCE, Gap
from pipeline.diagnosis.next_steps import Step
from pipeline.diagnosis.rendering import levels_table, page, report, sentence
from tests.diagnosis.cases import evaluate, gap, levels


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
            [gap(BIAS, "present", 0.1), gap(VARIANCE, "cannot tell", 0.06), gap(MISMATCH, "cannot tell", 0.05)],
            "Avoidable bias of 10.0 points (95 % interval 5.0 to 15.0). Too few images to tell about "
            "variance (95 % interval 1.0 to 11.0) and data mismatch (95 % interval 0.0 to 10.0).",
            id="one, and doubt about others",
        ),
        pytest.param(
            [gap(VARIANCE, "cannot tell", 0.06), gap(BIAS, "absent")],
            "Too few images to tell about variance (95 % interval 1.0 to 11.0).",
            id="doubt alone",
        ),
        pytest.param(
            [gap(name, "absent", 0.0) for name in (BIAS, VARIANCE, MISMATCH)],
            "Nothing stands out: every gap is smaller than is worth work.",
            id="nothing",
        ),
    ],
)
def test_diagnosis_is_said_in_a_sentence(gaps: list[Gap], words: str) -> None:
    assert sentence(gaps) == words


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
    return Diagnosis(KNOWN, GAPS, findings, steps)


def test_page_says_what_errors_are_where_the_metric_is_no_share() -> None:
    assert "\nErrors are 1 - accuracy: log_loss is no share of images.\n\n|" in page(found(), evaluate("log_loss"))
    assert "Errors are" not in page(found(), evaluate())


def test_page_has_steps_as_commands_and_words() -> None:
    steps = (Step(VARIANCE, "dvc exp run -S a=1", "more of it", "x"), Step(VARIANCE, None, "collect more", "y"))
    text = page(found(steps=steps), evaluate())
    assert "\nTry next:\n- more of it: `dvc exp run -S a=1`\n- collect more\n\n|" in text


def test_page_without_steps_points_to_test() -> None:
    assert "Nothing to try from here. Once you mean to use the model, look at test:" in page(found(), evaluate())


FINDINGS = (
    Finding(SMALL_DEV, "dev is small", {"needs": 200}),
    Finding(EPOCHS, "the loss still fell", {"epochs": 3}),
    Finding(LEAK, "3 dev images stand in train", {"images": 3}, subject="dev"),
)


def test_sentence_says_leaks_first_and_causes_after_gaps() -> None:
    words = sentence(GAPS, FINDINGS)
    assert words == (
        "3 dev images stand in train. Variance of 19.0 points (95 % interval 14.0 to 24.0). The loss still fell. "
        "Too few images to tell about data mismatch (95 % interval -4.0 to 6.0)."
    )
    assert page(found(*FINDINGS), evaluate()).endswith("- leakage: 3 dev images stand in train\n")


def test_report_is_json_that_programs_read() -> None:
    step = Step(VARIANCE, None, "collect more", "MLY ch. 27")
    read = json.loads(json.dumps(report(found(*FINDINGS, steps=(step,))), allow_nan=False))
    assert read["sentence"] == sentence(GAPS, FINDINGS)
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
    assert read["steps"] == [{"finding": VARIANCE, "command": None, "words": "collect more", "source": "MLY ch. 27"}]
    assert read["findings"][2] == {
        "name": LEAK,
        "subject": "dev",
        "words": "3 dev images stand in train",
        "p": None,
        "gain": 0.0,
        "figures": {"images": 3},
    }
