"""ingest: what finds near copies is that of the picture as it was before encoding, to the last bit."""

import inspect
from pathlib import Path
from types import ModuleType

import pytest

from pipeline import catalogue
from pipeline.images import perceptual
from pipeline.images import pixels as imaging
from pipeline.images.perceptual import marks, views
from pipeline.images.pixels import decode
from pipeline.manifest import HASHES
from tests.examples import encoded, picture, write_source
from tests.stages.ingest.test_ingest import TOLERANT, run


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


@pytest.mark.parametrize("module", [imaging, perceptual])
def test_a_change_of_the_code_that_shapes_columns_makes_them_anew(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_source(tmp_path / "src", {"cat": 3})
    before = set(run(tmp_path / "src", tmp_path).manifest["pixels"])
    source = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda part: source(part) + "#" * (part is module))
    assert not set(run(tmp_path / "src", tmp_path).manifest["pixels"]) & before
