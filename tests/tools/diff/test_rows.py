"""Which images changed between two runs, whatever the order of the tables."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tools.diff.rows import changes


def table(*rows: dict[str, str]) -> pa.Table:
    names = ("id", "sha256", "label", "split", "group")
    return pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in names})


def row(number: int, **values: str) -> dict[str, str]:
    made = {"id": f"web/{number}.jpg", "sha256": f"{number:064x}", "label": "fig", "split": "train", "group": "g"}
    return {**made, **values}


def test_each_kind_of_change_is_counted_and_listed() -> None:
    before = table(row(1), row(2), row(3), row(4), row(5))
    after = table(
        row(6),
        row(1, id="phone/renamed.jpg", split="dev"),
        row(3, label="apple"),
        row(4, sha256="f" * 64, group="other"),
        row(5),
    )
    found = changes(before, after)
    assert found.counts == {
        "came": 1,
        "went": 1,
        "renamed": 1,
        "content": 1,
        "label": 1,
        "split": 1,
        "group": 1,
    }
    rows = found.table.set_index("id")
    assert dict(zip(rows.index, rows["change"], strict=True)) == {
        "phone/renamed.jpg": "renamed,split",
        "web/2.jpg": "went",
        "web/3.jpg": "label",
        "web/4.jpg": "content,group",
        "web/6.jpg": "came",
    }
    of = found.table.set_index("id").to_dict("index")
    renamed = of["phone/renamed.jpg"]
    assert (renamed["other_id"], renamed["split_before"], renamed["split_after"]) == ("web/1.jpg", "train", "dev")
    assert (of["web/2.jpg"]["label_before"], of["web/2.jpg"]["label_after"]) == ("fig", "")
    assert (of["web/6.jpg"]["group_before"], of["web/6.jpg"]["group_after"]) == ("", "g")
    assert found.moved.loc["train", "dev"] == 1
    assert found.moved.loc["", "train"] == 1
    assert found.moved.loc["train", ""] == 1


def test_equal_files_that_all_got_other_names_are_not_guessed() -> None:
    before = table(row(1, id="a", sha256="0"), row(2, id="b", sha256="0"))
    after = table(row(1, id="c", sha256="0"), row(2, id="d", sha256="0"))
    assert changes(before, after).counts["renamed"] == 0
    assert changes(before, after).counts["came"] == 2


def test_a_run_without_images_is_all_went() -> None:
    assert changes(table(row(1)), table()).counts["went"] == 1
    assert changes(table(), table(row(1))).counts["came"] == 1
    assert changes(table(), table()).table.empty


cells = st.fixed_dictionaries(
    {
        "id": st.sampled_from("abcdefgh"),
        "sha256": st.sampled_from("0123"),
        "label": st.sampled_from(["fig", "apple"]),
        "split": st.sampled_from(["train", "dev"]),
        "group": st.sampled_from("xy"),
    }
)
tables = st.lists(cells, unique_by=lambda each: each["id"])


@settings(deadline=None)
@given(tables, tables, st.randoms())
def test_every_image_is_in_exactly_one_cell_and_order_does_not_matter(
    before: list[dict[str, str]], after: list[dict[str, str]], generator: Any
) -> None:
    found = changes(table(*before), table(*after))
    counts = found.counts
    assert counts["went"] + counts["renamed"] + _stayed(before, after) == len(before)
    assert counts["came"] + counts["renamed"] + _stayed(before, after) == len(after)
    assert int(found.moved.to_numpy().sum()) == len(before) + counts["came"]
    generator.shuffle(before)
    generator.shuffle(after)
    again = changes(table(*before), table(*after))
    assert again.counts == counts
    assert again.table.equals(found.table)


def _stayed(before: list[dict[str, str]], after: list[dict[str, str]]) -> int:
    return len({each["id"] for each in before} & {each["id"] for each in after})
