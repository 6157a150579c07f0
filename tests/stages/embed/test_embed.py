"""embed: one vector an image, whatever the workers, the order and what earlier runs left."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pipeline import catalogue
from pipeline.errors import DataError, MissingInputError, WorkerError
from pipeline.models import backbones, efficientnet
from pipeline.models.backbones import DIMENSIONS, Embedder
from pipeline.models.mobilenet import Backbone
from pipeline.project.runner import run_stage
from pipeline.stages.embed import stage
from pipeline.stages.embed.params import EfficientNetLite0Backbone
from pipeline.store.reading import sha256_of
from pipeline.store.vectors import VectorReader
from pipeline.workers.engine import Engine
from tests.examples import encoded, params
from tests.scenes import scene

LITE: Any = {"name": "efficientnet_lite0", "side": 32}
SHARDS = Path(catalogue.EMBED_SHARDS)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, *seeds: int) -> None:
    Path(name, "thing").mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        Path(name, "thing", f"{seed:03}.png").write_bytes(encoded(scene(seed, 40)))


def chosen(backbone: Any = LITE, **changes: Any) -> Any:
    sources = {"web": {"role": "raw", "path": "web"}, "phone": {"role": "production", "path": "phone"}}
    return params(**{"sources": sources, "ingest.size": 40, "embed.backbone": backbone, **changes})


def ingest(**changes: Any) -> Any:
    loaded = chosen(**changes)
    for name in loaded.sources:
        run_stage("ingest", loaded, Engine(1), name)
    return loaded


def embed(workers: int = 1, **changes: Any) -> str:
    return run_stage("embed", ingest(**changes), Engine(workers))


def files() -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in Path("data/embed").rglob("*") if path.is_file()}


def vectors() -> dict[str, Any]:
    places = catalogue.EMBEDDED.read(Path(catalogue.EMBEDDED.path))
    found = VectorReader(SHARDS).matrix(places["shard"].astype(str).tolist(), places["row"].tolist())
    return dict(zip(places["sha256"], found, strict=True))


def test_each_different_picture_gets_its_features() -> None:
    write("web", 1, 2)
    # The same picture in both sources.
    write("phone", 2, 3)
    assert embed().startswith("embed: 3 pictures embedded, 1280 numbers each (")
    found = vectors()
    assert len(found) == 3
    manifest = catalogue.INGESTED.named(name="web").read(Path("data/ingest/web/manifest.arrow"))
    square = cv2.resize(scene(1, 40), (32, 32), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        expected = reference()(torch.from_numpy(square).permute(2, 0, 1)[None])[0].numpy()
    np.testing.assert_allclose(found[manifest["sha256"][0]].astype(np.float32), expected, atol=5e-3)
    assert catalogue.EMBED_METRICS.read(Path(catalogue.EMBED_METRICS.path)) == {"dimensions": 1280, "pictures": 3}


def reference() -> efficientnet.EfficientNetLite0:
    network = efficientnet.EfficientNetLite0()
    efficientnet.load_imagenet_weights(network)
    return network.eval()


def test_black_bars_are_no_part_of_a_picture() -> None:
    Path("web/thing").mkdir(parents=True)
    wide = np.concatenate([scene(1, 40), scene(2, 40)], axis=1)
    Path("web/thing/wide.png").write_bytes(encoded(wide))
    write("phone", 3)
    changes: Any = {"ingest.fit": "pad", "ingest.size": 80}
    embed(**changes)
    manifest = catalogue.INGESTED.named(name="web").read(Path("data/ingest/web/manifest.arrow"))
    expected = Embedder(EfficientNetLite0Backbone(**LITE))(wide)
    np.testing.assert_array_equal(vectors()[manifest["sha256"][0]], expected)


def test_the_bytes_are_the_same_for_any_number_of_workers_and_cold_or_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "MIN_ROWS_FOR_WORKERS", 2)
    write("web", *range(20))
    write("phone", *range(100, 104))
    embed()
    half = files()
    write("web", *range(20, 40))
    embed(workers=2)
    warm = files()
    assert half != warm
    for path in warm:
        Path(path).unlink()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    embed(workers=1)
    assert files() == warm
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_only_new_pictures_are_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    write("web", *range(6))
    write("phone", 100)
    embed()
    asked: list[int] = []
    whole = Embedder.many

    def counted(self: Embedder, pictures: Any) -> Any:
        given = [*pictures]
        asked.extend([1] * len(given))
        return whole(self, given)

    monkeypatch.setattr(Embedder, "many", counted)
    embed()
    assert asked == []
    write("web", 6)
    embed()
    assert len(asked) == 1


def test_another_side_or_fit_embeds_anew_and_drops_what_is_stale() -> None:
    write("web", 1)
    write("phone", 2)
    embed()
    first = files()
    embed(backbone={**LITE, "side": 64})
    shards = [path for path in first if path.startswith(catalogue.EMBED_SHARDS)]
    assert files().keys().isdisjoint(shards)


def test_without_a_backbone_there_are_no_vectors() -> None:
    write("web", 1)
    write("phone", 2)
    embed()
    assert embed(backbone=None).startswith("embed: no embeddings (embed.backbone: null) (")
    assert vectors() == {}
    assert SHARDS.is_dir()
    assert [path.name for path in SHARDS.iterdir()] == ["empty.txt"]


def test_neither_labels_nor_splits_reach_it() -> None:
    write("web", 1, 2)
    write("phone", 3)
    embed()
    plain = vectors()
    Path("web/other").mkdir()
    Path("web/thing/002.png").rename("web/other/002.png")
    embed()
    found = vectors()
    assert found.keys() == plain.keys()
    for content, vector in plain.items():
        np.testing.assert_array_equal(found[content], vector)


def test_a_source_that_was_not_ingested_is_named() -> None:
    with pytest.raises(MissingInputError, match=r"^not ingested yet: web, phone; run `dvc repro ingest`$"):
        run_stage("embed", chosen(), Engine(1))


def test_weights_that_give_no_numbers_are_refused(tmp_path: Path) -> None:
    write("web", 1, 2)
    write("phone", 3)
    network = Backbone(frozen=True)
    tensors = {
        key: value * float("nan") if value.is_floating_point() else value for key, value in network.state_dict().items()
    }
    torch.save(tensors, tmp_path / "weights.pth")
    backbone = {
        "name": "mobilenet_v2",
        "weights": "weights.pth",
        "sha256": sha256_of(tmp_path / "weights.pth"),
        "side": 32,
    }
    message = r"^the vectors of 3 of 3 images are not finite \(phone/thing/003\.png, web/thing/001\.png, .* to null$"
    with pytest.raises(DataError, match=message):
        embed(backbone=backbone)
    with pytest.raises(DataError, match=r"weights\.pth has SHA-256 .*, but params\.yaml says 0000"):
        embed(backbone={**backbone, "sha256": "0" * 64})
    with pytest.raises(MissingInputError, match=r"^no\.pth is missing"):
        embed(backbone={**backbone, "weights": "no.pth"})


def test_weights_of_your_own_give_vectors(tmp_path: Path) -> None:
    write("web", 1)
    write("phone", 2)
    torch.manual_seed(1)
    network = Backbone(frozen=True)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    sha256 = sha256_of(tmp_path / "weights.pth")
    embed(backbone={"name": "mobilenet_v2", "weights": "weights.pth", "sha256": sha256, "side": 32})
    assert {vector.shape for vector in vectors().values()} == {(DIMENSIONS,)}


def test_a_network_that_memory_does_not_bear_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes")

    embedder = Embedder(EfficientNetLite0Backbone(**LITE))
    monkeypatch.setitem(vars(embedder), "network", refuse)
    with pytest.raises(WorkerError, match=r"more memory for a picture of 32 x 32 pixels than there is: lower embed\.b"):
        embedder(scene(1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 3)])
def test_tiny_pictures_have_vectors(shape: tuple[int, int]) -> None:
    found = Embedder(EfficientNetLite0Backbone(**LITE))(np.zeros((*shape, 3), np.uint8))
    assert np.isfinite(found).all()


def test_one_picture_is_enough() -> None:
    write("phone", 1)
    assert embed(sources={"phone": {"role": "production", "path": "phone"}}).startswith("embed: 1 pictures embedded")
    assert {vector.shape for vector in vectors().values()} == {(DIMENSIONS,)}


def test_equal_pictures_cost_one_vector() -> None:
    write("phone", 2)
    Path("web/thing").mkdir(parents=True)
    for number in range(30):
        Path("web/thing", f"{number}.png").write_bytes(encoded(scene(1, 40)))
    assert embed().startswith("embed: 2 pictures embedded")


def test_other_instructions_change_last_digits_alone() -> None:
    code = (
        "import sys, numpy; from tests.scenes import scene; from pipeline.models.backbones import Embedder\n"
        "from pipeline.stages.embed.params import EfficientNetLite0Backbone as Lite\n"
        "embed = Embedder(Lite(name='efficientnet_lite0', side=64))\n"
        "sys.stdout.buffer.write(numpy.stack([embed(scene(seed, 64)) for seed in range(4)]).tobytes())"
    )
    found = []
    for settings in ({}, {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}):
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        )
        found.append(np.frombuffer(ended.stdout, np.float16).astype(np.float64))
    np.testing.assert_allclose(found[0], found[1], atol=0.02)


def test_a_vector_does_not_depend_on_the_pictures_beside_it() -> None:
    embedder = Embedder(EfficientNetLite0Backbone(name="efficientnet_lite0", side=64))
    pictures = [scene(seed, 64) for seed in range(11)]
    together = [*embedder.many(pictures)]
    backwards = [*embedder.many(pictures[::-1])][::-1]
    for picture, one, other in zip(pictures, together, backwards, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, embedder(picture))
    assert [*embedder.many([])] == []


def test_the_process_keeps_its_threads() -> None:
    before = torch.get_num_threads(), cv2.getNumThreads()
    with backbones.one_thread():
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before
