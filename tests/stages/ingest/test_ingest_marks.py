"""ingest: what finds near copies is that of the picture as it was before encoding, to the last bit."""

import shutil
from pathlib import Path

import pytest

from pipeline import catalogue
from pipeline.images.perceptual import marks, views
from pipeline.images.pixels import decode
from pipeline.manifest import HASHES
from pipeline.stages.ingest.rows import shape_of_rows
from pipeline.versions import stages
from pipeline.versions.stages import Versions
from tests.examples import REPOSITORY, encoded, params, picture, write_source
from tests.stages.ingest.ingesting import TOLERANT, run


def test_marks_are_those_of_the_normalised_picture_to_the_last_bit(tmp_path: Path) -> None:
    write_source(tmp_path / "src", {"cat": 40}, noise=100)
    # A column with a gap would come back as floats, which hold 53 bits of a hash.
    (tmp_path / "src/cat/broken.png").write_bytes(b"broken")
    done = run(tmp_path / "src", tmp_path, TOLERANT)
    done.content()
    manifest = catalogue.INGESTED.read(done.folder / "manifest")
    for row in manifest.to_dict("records"):
        hashes, detail = marks(views(decode(done.image(row["id"]))))
        assert [row[name] for name in HASHES] == hashes.tolist()
        assert row["fine_detail"] == pytest.approx(detail, rel=1e-6)
    assert len(set(manifest["hash_0"] % 2**11)) > 1


def test_marks_leave_out_the_bars_and_the_encoding(tmp_path: Path) -> None:
    (tmp_path / "src/cat").mkdir(parents=True)
    wide = picture(1, 40, 80)
    (tmp_path / "src/cat/wide.png").write_bytes(encoded(wide))
    square = {"ingest.size": 80, "ingest.fit": "pad", "ingest.encoding": {"name": "jpeg", "quality": 5}}
    [row] = run(tmp_path / "src", tmp_path, square).manifest.to_dict("records")
    assert [row[name] for name in HASHES] == marks(views(wide))[0].tolist()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("normalising.py", "cv2.INTER_AREA", "cv2.INTER_LINEAR"), ("perceptual.py", "SIDE = ", "SIDE = 1 + ")],
)
def test_a_change_of_the_code_that_shapes_columns_makes_them_anew(
    file: str, old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shape_of_rows(params().ingest)
    copy = tmp_path / "pipeline"
    shutil.copytree(REPOSITORY / "pipeline", copy)
    code = (copy / "images" / file).read_text(encoding="utf-8")
    assert old in code
    (copy / "images" / file).write_text(code.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(stages, "installed_versions", lambda: Versions(copy))
    assert shape_of_rows(params().ingest) != before
