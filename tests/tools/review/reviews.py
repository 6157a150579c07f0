"""A review of three images, to be decided through its page."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from pipeline.store.decisions import LABELS, Decision
from pipeline.store.pair_decisions import PAIRS
from pipeline.store.shards import ShardReader
from pipeline.tools.review.items import Item
from pipeline.tools.review.saving import DecisionFile
from pipeline.tools.review.server import Review, application
from tests.examples import encoded, picture

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
