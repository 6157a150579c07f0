"""feedback/pairs.csv: a pair is the same whichever content is named first, and bad rows are named at once."""

import subprocess
from dataclasses import replace

import pytest

from pipeline.errors import DataError
from pipeline.project.params_template import TEMPLATE
from pipeline.store.pair_decisions import NOT_SAME, PAIRS, SAME, decide_pair
from tests.examples import REPOSITORY

A, B, C = ("a" * 64, "web/1.png"), ("b" * 64, "=web/2.png"), ("c" * 64, "phone/3.png")
HEAD = "one,other,decision,who,when,why,one_id,other_id\n"
ANN = decide_pair([B, A], NOT_SAME, "ann", "2026-01-31T09:30:00Z", "two crates")


def test_the_order_of_a_pair_does_not_count() -> None:
    assert decide_pair([A, B], NOT_SAME, "ann", ANN.when, "two crates") == ANN
    assert (ANN.one, ANN.other, ANN.one_id) == (A[0], B[0], "web/1.png")
    turned = f"{HEAD}{B[0]},{A[0]},not_same,ann,{ANN.when},two crates,'=web/2.png,web/1.png\n"
    assert PAIRS.parse(turned.encode(), "t.csv") == (ANN,)
    assert PAIRS.parse(PAIRS.render([ANN, ANN]), "t.csv") == (ANN,)


def test_the_latest_decision_of_a_person_on_a_pair_counts() -> None:
    later = replace(ANN, decision=SAME, when="2026-02-01T09:30:00Z")
    other = decide_pair([A, C], SAME, "ann", ANN.when, "")
    assert PAIRS.by_subject([later, ANN, other]) == {ANN.subject: [later], other.subject: [other]}


def test_all_rows_that_break_a_rule_are_named_at_once() -> None:
    rows = [
        (A[0], A[0], "same", "ann", ANN.when),
        (A[0], "xyz", "same", "ann", ANN.when),
        (A[0], B[0], "notsame", "ann", ANN.when),
        (A[0], B[0], "same", "", "yesterday"),
    ]
    with pytest.raises(DataError) as refused:
        PAIRS.parse((HEAD + "".join(",".join(row) + ",,,\n" for row in rows)).encode(), "feedback/pairs.csv")
    lines = str(refused.value).splitlines()
    for rule, where in {
        "one and other must differ: files with equal content are always one group": "row 2",
        "one and other must be the SHA-256 of a file": "row 3",
        "decision must be same, not_same, not_sure": "row 4 ('notsame, did you mean not_same?')",
        "who must name the person": "row 5",
        "when must be a time with its zone": "row 5 ('yesterday')",
    }.items():
        assert [line for line in lines if line.startswith("feedback/pairs.csv: ") and rule in line and where in line]
    assert len(lines) == 5


def test_projects_have_the_file_and_git_merges_it_by_line() -> None:
    assert (TEMPLATE / "pairs.csv").read_text() == HEAD == PAIRS.render([]).decode()
    assert "feedback/pairs.csv merge=union" in (TEMPLATE / "gitattributes").read_text()
    listed = subprocess.run(["git", "ls-files", "feedback"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "feedback/pairs.csv" in listed.stdout.split()
