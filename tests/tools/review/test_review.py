"""The review page's server: who is let in, that a saved decision lasts, and what is shown to nobody."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.errors import ParamsError, StorageError
from pipeline.store.decision_tables import DecisionTable
from pipeline.store.decisions import LABELS, Decision
from pipeline.store.pair_decisions import PAIRS
from pipeline.store.shards import ShardReader
from pipeline.tools.review.items import Item
from pipeline.tools.review.review import listen, person
from pipeline.tools.review.saving import DecisionFile
from pipeline.tools.review.server import Review, application
from tests.examples import encoded, full_disk, picture

TOKEN, PORT = "secret", 8123
HOST = f"http://127.0.0.1:{PORT}"
SHAS = [letter * 64 for letter in "abc"]
OTHER = Decision("d" * 64, "drop", "cat", "", "bob", "2026-01-31T09:30:00Z")
HOSTILE = "<script>alert(1)</script>"


class Pictures(ShardReader):
    def image(self, shard: str, row: int) -> bytes:
        return encoded(picture(row))


def pair(one: int, other: int) -> Item:
    return replace(item(one), other=item(other), found_as="one scene, 12 details agree")


def item(number: int, label: str = "cat") -> Item:
    return Item(SHAS[number], f"web/{number}.png", "s", number, "web", "raw", "train", label, "dog", None, None)


def client(folder: Path, who: str = "ann", items: list[Item] | None = None) -> TestClient:
    review = Review(
        items or [item(0), item(1, HOSTILE), item(2, "")],
        ["cat", "dog", HOSTILE],
        Pictures(),
        DecisionFile(folder / "labels.csv", who, LABELS),
        DecisionFile(folder / "pairs.csv", who, PAIRS),
    )
    return TestClient(application(review, TOKEN, PORT), base_url=HOST, headers={"Origin": HOST})


def decide(page: TestClient, number: int, decision: str, to: str = "") -> Any:
    return page.post(f"/{TOKEN}/decide", json={"sha256": SHAS[number], "decision": decision, "to": to})


def saved(folder: Path) -> dict[tuple[str, str], tuple[str, str, str]]:
    found = LABELS.parse((folder / "labels.csv").read_bytes(), "labels.csv")
    return {(one.sha256, one.who): (one.decision, one.before, one.after) for one in found}


def test_the_page_its_files_and_pictures_are_served_under_a_strict_policy(tmp_path: Path) -> None:
    page = client(tmp_path)
    for name in ("", "review.js", "review.css", "state", f"picture/{SHAS[0]}"):
        answer = page.get(f"/{TOKEN}/{name}")
        assert answer.status_code == 200, name
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "http" not in (page.get(f"/{TOKEN}/").text + page.get(f"/{TOKEN}/review.js").text)
    state = page.get(f"/{TOKEN}/state").json()
    assert [one["label"] for one in state["items"]] == ["cat", HOSTILE, ""]
    assert page.get(f"/{TOKEN}/picture/{'f' * 64}").status_code == 404
    assert page.get(f"/{TOKEN}/other.js").status_code == 404


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/wrong/state", {}),
        ("/", {}),
        (f"/{TOKEN}/state", {"Host": "evil.example"}),
        (f"/{TOKEN}/state", {"Host": f"evil.example:{PORT}"}),
        (f"/{TOKEN}/state", {"Origin": "http://evil.example"}),
        (f"/{TOKEN}/state", {"Origin": "null"}),
    ],
)
def test_others_are_refused(path: str, headers: dict[str, str], tmp_path: Path) -> None:
    page = client(tmp_path)
    assert page.get(path, headers=headers).status_code == 403
    answer = page.post(path.replace("state", "decide"), headers=headers, json={"sha256": SHAS[0], "decision": "drop"})
    assert answer.status_code == 403
    assert not (tmp_path / "labels.csv").exists()


def test_a_form_of_another_page_cannot_decide(tmp_path: Path) -> None:
    page = client(tmp_path)
    body = f'{{"sha256": "{SHAS[0]}", "decision": "drop"}}'
    plain = page.post(f"/{TOKEN}/decide", content=body, headers={"Content-Type": "text/plain"})
    del page.headers["Origin"]
    without = page.post(f"/{TOKEN}/decide", content=body, headers={"Content-Type": "application/json"})
    assert (plain.status_code, without.status_code) == (403, 403)
    assert not (tmp_path / "labels.csv").exists()


def test_decisions_are_saved_and_undone_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(LABELS.render([OTHER]))
    page, bob = client(tmp_path), {(OTHER.sha256, "bob"): ("drop", "cat", "")}
    assert decide(page, 0, "relabel", "dog").json()["decision"] == {"decision": "relabel", "to": "dog"}
    assert decide(page, 2, "relabel", HOSTILE).status_code == 200
    assert decide(page, 0, "keep").status_code == 200
    first = {(SHAS[2], "ann"): ("relabel", "", HOSTILE)}
    assert saved(tmp_path) == bob | first | {(SHAS[0], "ann"): ("keep", "cat", "")}
    assert page.post(f"/{TOKEN}/undo", json={}).json() == {
        "sha256": SHAS[0],
        "decision": {"decision": "relabel", "to": "dog"},
    }
    assert saved(tmp_path) == bob | first | {(SHAS[0], "ann"): ("relabel", "cat", "dog")}
    assert page.post(f"/{TOKEN}/undo", json={}).json()["sha256"] == SHAS[2]
    assert page.post(f"/{TOKEN}/undo", json={}).json() == {"sha256": SHAS[0], "decision": None}
    assert page.post(f"/{TOKEN}/undo", json={}).status_code == 409
    assert saved(tmp_path) == bob
    assert decide(page, 1, "not_sure").status_code == 200
    # Started again, the page knows what was decided.
    assert client(tmp_path).get(f"/{TOKEN}/state").json()["decided"] == {SHAS[1]: {"decision": "not_sure", "to": ""}}


@pytest.mark.parametrize(
    ("number", "decision", "to", "message"),
    [
        (0, "delete", "", "decision must be one of"),
        (2, "keep", "", "no label to keep"),
        (0, "relabel", "", "choose a class"),
        (0, "relabel", "a\x07", "choose a class"),
        (0, "relabel", "cat", "keep it"),
        (0, "drop", "dog", "only relabel"),
    ],
)
def test_what_is_no_decision_is_refused(number: int, decision: str, to: str, message: str, tmp_path: Path) -> None:
    answer = decide(client(tmp_path), number, decision, to)
    assert (answer.status_code, message in answer.text) == (400, True)
    assert not (tmp_path / "labels.csv").exists()


def test_a_file_that_was_damaged_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("no such columns\n")
    answer = decide(client(tmp_path), 0, "keep")
    assert answer.status_code == 500
    assert "has no column" in answer.text
    assert (tmp_path / "labels.csv").read_text() == "no such columns\n"


WRITER = """
import sys
from pathlib import Path
from pipeline.errors import StorageError
from pipeline.store.decisions import LABELS, Decision
from pipeline.tools.review.saving import DecisionFile
file = DecisionFile(Path(sys.argv[1]), sys.argv[2], LABELS)
for number in range(int(sys.argv[3])):
    sha256 = f"{number:064x}"
    file.put(sha256, Decision(sha256, "drop", "cat", "", sys.argv[2], "2026-01-31T09:30:00Z"))
    print(sha256, flush=True)
"""


def writer(folder: Path, who: str, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder / "labels.csv"), who, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    both = [writer(tmp_path, who, 30) for who in ("ann", "bob")]
    assert [len(one.communicate()[0].split()) for one in both] == [30, 30]
    assert len(saved(tmp_path)) == 60


def test_a_kill_loses_nothing_that_was_shown_as_saved(tmp_path: Path) -> None:
    running = writer(tmp_path, "ann", 100_000)
    assert running.stdout is not None
    shown = [running.stdout.readline().strip() for _ in range(20)]
    os.kill(running.pid, signal.SIGKILL)
    shown += running.stdout.read().split()
    running.wait()
    running.stdout.close()
    assert {(sha256, "ann") for sha256 in shown if len(sha256) == 64} <= set(saved(tmp_path))


def decision(number: int, kind: str = "drop", when: int = 0, who: str = "ann") -> Decision:
    return Decision(f"{number:064x}", kind, "cat", "", who, f"2026-01-31T09:30:{when:02}Z")


def test_what_others_write_meanwhile_is_kept_whatever_wrote_it(tmp_path: Path) -> None:
    """A second process adds, a spreadsheet program saves anew with semicolons, Git puts another file there."""
    path = tmp_path / "labels.csv"
    ann, bob = DecisionFile(path, "ann", LABELS), DecisionFile(path, "bob", LABELS)
    ann.put(decision(1).sha256, decision(1))
    bob.put(decision(1).sha256, decision(1, "keep", who="bob"))
    ann.put(decision(2).sha256, decision(2))
    path.write_bytes(path.read_bytes().replace(b",", b";").replace(b"\n", b"\r\n"))
    ann.put(decision(3).sha256, decision(3))
    bob.put(decision(4).sha256, decision(4, who="bob"))
    assert set(LABELS.parse(path.read_bytes(), "x")) == {
        *(decision(number) for number in (1, 2, 3)),
        decision(1, "keep", who="bob"),
        decision(4, who="bob"),
    }
    path.write_bytes(LABELS.render([decision(9, who="eve")]).rstrip(b"\n"))
    ann.put(decision(5).sha256, decision(5))
    assert LABELS.parse(path.read_bytes(), "x") == (decision(5), decision(9, who="eve"))
    path.unlink()
    assert ann.own() == {}


def test_a_later_decision_counts_and_undo_takes_it_off_again(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    file, first, second = DecisionFile(path, "ann", LABELS), decision(1), decision(1, "keep", when=5)
    file.put(decision(0).sha256, decision(0))
    file.put(first.sha256, first)
    before = path.read_bytes()
    assert file.put(first.sha256, second) == first
    assert path.read_bytes() == before + LABELS.render([second]).partition(b"\n")[2]
    assert file.own()[first.sha256] == second
    assert file.put(first.sha256, first) == second
    assert path.read_bytes() == before
    # After somebody else has written, nothing is cut off.
    file.put(first.sha256, second)
    DecisionFile(path, "bob", LABELS).put(decision(7).sha256, decision(7, who="bob"))
    file.put(first.sha256, None)
    assert LABELS.parse(path.read_bytes(), "x") == (decision(0), decision(7, who="bob"))


def test_a_review_ends_with_the_file_in_order(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    twice = [decision(3, "keep", when=1), decision(3, "drop", when=1)]
    path.write_bytes(LABELS.render([decision(3), *twice]) + LABELS.render([decision(2, who="bob")]).partition(b"\n")[2])
    file = DecisionFile(path, "ann", LABELS)
    file.put(decision(1).sha256, decision(1))
    file.tidy()
    assert path.read_bytes() == LABELS.render([decision(1), decision(2, who="bob"), *twice])
    stamp = path.stat().st_mtime_ns
    file.tidy()
    assert path.stat().st_mtime_ns == stamp
    DecisionFile(tmp_path / "none.csv", "ann", LABELS).tidy()
    assert not (tmp_path / "none.csv").exists()


def test_saving_reads_nothing_again_while_nobody_else_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(LABELS.render(decision(number) for number in range(1000)))
    file = DecisionFile(path, "ann", LABELS)
    file.own()
    parsed: list[int] = []
    parse = DecisionTable.parse

    def noted(table: DecisionTable[Decision], data: bytes, name: str) -> tuple[Decision, ...]:
        parsed.append(len(data))
        return parse(table, data, name)

    monkeypatch.setattr(DecisionTable, "parse", noted)
    for number in range(1000, 1010):
        file.put(decision(number).sha256, decision(number))
    assert max(parsed) < 1000
    assert len(LABELS.parse(path.read_bytes(), "x")) == 1010


def test_half_a_row_on_a_full_disk_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(LABELS.render(decision(number) for number in range(100)))
    before = path.read_bytes()
    file = DecisionFile(path, "ann", LABELS)
    file.own()
    with full_disk(len(before) + 40), pytest.raises(StorageError, match=r"labels\.csv"):
        file.put(decision(500).sha256, decision(500))
    assert path.read_bytes() == before
    file.put(decision(500).sha256, decision(500))
    assert len(LABELS.parse(path.read_bytes(), "x")) == 101


@pytest.mark.parametrize("who", ["", " ", "a\nb\x1b", "M\udcfcller", "\u200b"])
def test_decisions_are_saved_under_a_name_that_a_line_can_have(who: str) -> None:
    with pytest.raises(ParamsError, match=r"--who .* is not a name"):
        person(who)
    assert person(" Zoe\u0308  M ") == "Zo\u00eb M"
    assert person(None)


def test_halves_of_characters_are_no_reason_and_no_class(tmp_path: Path) -> None:
    page = client(tmp_path)
    for values in ({"decision": "relabel", "to": "d\ud83d"}, {"decision": "keep", "why": "\udc00"}):
        answer = page.post(
            f"/{TOKEN}/decide",
            content=json.dumps({"sha256": SHAS[0], **values}),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400
    assert not (tmp_path / "labels.csv").exists()


def test_a_port_or_an_account_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(0) as taken, pytest.raises(ParamsError, match=r"--port \d+ cannot be used \(Address already in use\)"):
        listen(taken.getsockname()[1])

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nameless)
    with pytest.raises(ParamsError, match="this account has no name: give yours with --who"):
        person(None)


def decide_pair(page: TestClient, one: int, other: int, decision: str) -> Any:
    return page.post(f"/{TOKEN}/pair", json={"one": SHAS[one], "other": SHAS[other], "decision": decision, "why": "="})


def saved_pairs(folder: Path) -> list[tuple[str, str, str, str]]:
    found = PAIRS.parse((folder / "pairs.csv").read_bytes(), "pairs.csv")
    return [(one.one, one.other, one.decision, one.other_id) for one in found]


def test_decisions_on_pairs_are_saved_and_undone_in_turn_with_those_on_labels(tmp_path: Path) -> None:
    page = client(tmp_path, items=[pair(1, 0), pair(1, 2)])
    state = page.get(f"/{TOKEN}/state").json()
    assert [(one["sha256"], one["other"]["sha256"]) for one in state["items"]] == [
        (SHAS[1], SHAS[0]),
        (SHAS[1], SHAS[2]),
    ]
    assert "shard" not in state["items"][0]["other"]
    assert page.get(f"/{TOKEN}/picture/{SHAS[0]}").status_code == 200
    name = f"{SHAS[0]} {SHAS[1]}"
    assert decide_pair(page, 1, 0, "not_same").json() == {"pair": name, "decision": "not_same"}
    assert decide(page, 2, "drop").status_code == 200
    assert decide_pair(page, 0, 1, "same").status_code == 200
    assert page.get(f"/{TOKEN}/state").json()["pairs"] == {name: "same"}
    assert page.post(f"/{TOKEN}/undo", json={}).json() == {"pair": name, "decision": "not_same"}
    assert saved_pairs(tmp_path) == [(SHAS[0], SHAS[1], "not_same", "web/1.png")]
    assert page.post(f"/{TOKEN}/undo", json={}).json() == {"sha256": SHAS[2], "decision": None}
    assert page.post(f"/{TOKEN}/undo", json={}).json() == {"pair": name, "decision": None}
    assert saved_pairs(tmp_path) == []


@pytest.mark.parametrize(
    ("one", "other", "decision", "message"),
    [
        (0, 2, "same", "name two images of a pair"),
        (0, 0, "same", "name two images of a pair"),
        (1, 0, "equal", "decision must be one of same, not_same, not_sure"),
    ],
)
def test_only_pairs_of_the_review_are_decided_on(
    one: int, other: int, decision: str, message: str, tmp_path: Path
) -> None:
    answer = decide_pair(client(tmp_path, items=[pair(1, 0)]), one, other, decision)
    assert (answer.status_code, message in answer.text) == (400, True)
    assert not (tmp_path / "pairs.csv").exists()
