"""feedback/labels.csv: what is read, what is refused, and that it merges line by line."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.names import clean, fault
from pipeline.project.params_template import TEMPLATE
from pipeline.store.decisions import DROP, KEEP, LABELS, RELABEL, Decision
from tests.examples import REPOSITORY
from tests.running import run

SHA = {letter: letter * 64 for letter in "abcdef"}
ANN = Decision(SHA["a"], RELABEL, "cat", "dog", "ann", "2026-01-31T09:30:00Z", "it barks", "web/cat/1.png")
parse, render, by_content = LABELS.parse, LABELS.render, LABELS.by_subject
HEAD = "sha256,decision,from,to,who,when,why,id\n"


def row(**changes: str) -> str:
    one = replace(ANN, why="", id="", **changes)
    return f"{one.sha256},{one.decision},{one.before},{one.after},{one.who},{one.when},,\n"


NAMES = st.text(max_size=20).map(clean).filter(lambda name: not name or fault(name) is None)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20).map(lambda text: " ".join(text.replace("\0", "").split()))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("abc"), NAMES, TEXTS, TEXTS), max_size=5), st.randoms())
def test_decisions_survive_the_file_in_any_order_of_its_rows(
    drawn: list[tuple[str, str, str, str]], order: "object"
) -> None:
    found = [
        replace(ANN, sha256=SHA[letter], decision=DROP, before=label, after="", who=f"x{who}", why=why)
        for letter, label, who, why in drawn
    ]
    data = render(found)
    assert set(parse(data, "t.csv")) == set(found)
    assert render(reversed(parse(data, "t.csv"))) == data == render([*found, *found])
    assert data.count(b"\n") == 1 + len(set(found))


def test_a_spreadsheet_program_may_save_it() -> None:
    saved = "\ufeffdecision;sha256;who;when;from;to\r\n" + f"relabel;{SHA['a']};ann;{ANN.when};cat;dog\r\n"
    assert parse(saved.encode(), "t.csv") == (replace(ANN, why="", id=""),)


def test_all_rows_that_break_a_rule_are_named_at_once() -> None:
    rows = [
        row(),
        row(sha256="A" * 64),
        row(decision="relable"),
        row(after=""),
        row(after="cat"),
        row(decision=KEEP),
        row(decision=KEEP, before="", after=""),
        row(who=""),
        row(when="31.1.2026"),
        row(when="2026-02-31T09:30:00Z"),
        row(before="a\x07b"),
    ]
    with pytest.raises(DataError) as refused:
        parse((HEAD + "".join(rows)).encode(), "feedback/labels.csv")
    lines = str(refused.value).splitlines()
    for rule, where in {
        "sha256 must be 64 digits 0-9 and a-f": "row 3",
        "decision must be keep, relabel, drop, not_sure": "row 4 ('relable, did you mean relabel?')",
        "relabel needs a label in to": "row 5",
        "relabel needs another label in to than in from": "row 6 ('cat')",
        "only relabel has a label in to": "row 7 ('dog')",
        "keep needs the label in from": "row 8",
        "who must name the person": "row 9 ('')",
        "2026-01-31T09:30:00Z; 2 rows break this rule": "row 10 ('31.1.2026'), row 11 ('2026-02-31T09:30:00Z')",
        "from must be a label without control characters": "row 12",
    }.items():
        assert [line for line in lines if line.startswith("feedback/labels.csv: ") and rule in line and where in line]
    assert len(lines) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sha256,decision,from,to,when\n", "lacks the columns who: its first line must be sha256,decision,from,to,who"),
        (HEAD.replace("why", "reason"), "has the unknown columns reason"),
        (f"{HEAD}<<<<<<< HEAD\n{row()}", "sha256 must be 64 digits 0-9 and a-f; 1 row breaks this rule: row 2"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(text.encode(), "t.csv")


def test_the_latest_decision_of_a_person_counts() -> None:
    # 10:00 in Berlin is before 09:30 in London.
    earlier = replace(ANN, after="fox", when="2026-01-31T10:00:00+01:00")
    bob = replace(ANN, after="emu", who="bob", when="2020-01-01T00:00:00Z")
    assert by_content([ANN, earlier, bob]) == {SHA["a"]: [ANN, bob]}
    same_time = replace(ANN, after="fox")
    assert by_content([ANN, same_time]) == {SHA["a"]: [ANN, same_time]}


def test_git_keeps_the_decisions_of_both_sides(tmp_path: Path) -> None:
    def commit(*found: Decision) -> None:
        (tmp_path / "feedback/labels.csv").write_bytes(render(found))
        run(tmp_path, "git", "add", ".")
        run(tmp_path, "git", "commit", "--quiet", "--message", "Decide")

    (tmp_path / "feedback").mkdir()
    (tmp_path / ".gitattributes").write_bytes((TEMPLATE / "gitattributes").read_bytes())
    assert (TEMPLATE / "labels.csv").read_text() == HEAD == render([]).decode()
    run(tmp_path, "git", "init", "--quiet", "--initial-branch", "main")
    commit()
    run(tmp_path, "git", "branch", "bob")
    ann, bob = replace(ANN, sha256=SHA["b"]), replace(ANN, sha256=SHA["a"], who="bob")
    commit(ANN, ann)
    run(tmp_path, "git", "checkout", "--quiet", "bob")
    commit(bob)
    run(tmp_path, "git", "merge", "--quiet", "main")
    assert set(parse((tmp_path / "feedback/labels.csv").read_bytes(), "t.csv")) == {ANN, ann, bob}


def test_the_repository_has_the_file_on_which_curate_depends() -> None:
    listed = subprocess.run(["git", "ls-files", "feedback"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "feedback/labels.csv" in listed.stdout.split()


def test_no_spreadsheet_program_runs_a_cell() -> None:
    found = replace(ANN, before="=1+1", after="@a", who="+bob", why="-x", id="'=web/1.png")
    assert b",'=1+1,'@a,'+bob," in render([found])
    assert parse(render([found]), "t.csv") == (found,)


def test_a_person_has_one_voice_however_the_name_is_spelt() -> None:
    composed, taken_apart = "Zo\u00eb", "Zoe\u0308"
    keep = replace(ANN, decision=KEEP, after="", who=composed, when="2026-02-01T09:30:00Z")
    assert by_content([replace(ANN, who=taken_apart), keep]) == {SHA["a"]: [keep]}
    assert by_content([keep, replace(ANN, who=" zo\u00eb\u200b")]) == {SHA["a"]: [keep]}
    assert len(by_content([keep, ANN])[SHA["a"]]) == 2
