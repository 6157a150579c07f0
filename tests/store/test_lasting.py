"""What must stay as it is from run to run: a damaged table is an error, because a run without it would decide anew."""

import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipeline import catalogue
from pipeline.errors import DataError
from pipeline.manifest import GROUPS
from pipeline.store.arrow import write_arrow

EARLIER = pd.DataFrame({name: ["one", "two"] for name in GROUPS.names})


def test_a_flipped_bit_in_earlier_groups_is_an_error(tmp_path: Path) -> None:
    draw = random.Random(1)
    place = tmp_path / "groups.arrow"
    catalogue.CURATE_GROUPS.write(EARLIER, place)
    whole = place.read_bytes()
    for _ in range(100):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        place.write_bytes(content)
        with pytest.raises(DataError, match=r"images could move to another split. Remove it, then run `dvc checkout"):
            catalogue.CURATE_GROUPS.read(place)


def test_without_earlier_groups_there_are_none(tmp_path: Path) -> None:
    assert catalogue.CURATE_GROUPS.read(tmp_path / "groups.arrow").empty


def test_groups_of_another_version_are_not_read(tmp_path: Path) -> None:
    place = tmp_path / "groups.arrow"
    write_arrow(GROUPS.empty_table().append_column("more", pa.array([], pa.string())), place)
    assert [*catalogue.CURATE_GROUPS.read(place).columns] == GROUPS.names
