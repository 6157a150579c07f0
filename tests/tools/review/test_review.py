"""The review page's server: who is let in, what it takes, and what is shown to nobody."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pipeline.errors import ParamsError
from pipeline.store.decisions import LABELS
from pipeline.store.pair_decisions import PAIRS
from pipeline.tools.review.review import listen, person
from tests.tools.review.reviews import HOSTILE, OTHER, PORT, SHAS, TOKEN, client, decide, pair, saved


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
