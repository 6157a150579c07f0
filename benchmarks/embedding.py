"""Embeddings: the stage's speed beside the bare network on one thread, and the cost of 1 % more images.

OPENBLAS_NUM_THREADS=1 python benchmarks/embedding.py [IMAGES]
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.models.efficientnet import EfficientNetLite0, load_imagenet_weights
from pipeline.project.runner import run_stage
from pipeline.workers.engine import Engine
from tests.examples import encoded, params
from tests.scenes import crowded

SIDE, BATCH = 160, 16
JPEG = {"name": "jpeg", "quality": 90}  # as for photos


def bare(images: int) -> float:
    """Seconds of CPU for so many pictures in batches, as PyTorch has it: no decoding, no norms folded."""
    network = EfficientNetLite0().eval()
    load_imagenet_weights(network)
    torch.set_num_threads(1)
    pictures = torch.randint(0, 256, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.inference_mode():
        network(pictures)
        begun = time.process_time()
        for _ in range(images // BATCH):
            network(pictures)
    return time.process_time() - begun


def stage(chosen: Any) -> float:
    begun = time.process_time()
    run_stage("embed", chosen, Engine(1))
    return time.process_time() - begun


def main(images: int = 1600) -> None:
    backbone = {"name": "efficientnet_lite0", "side": SIDE}
    sources = {"web": {"role": "raw", "path": "web"}, "phone": {"role": "production", "path": "phone"}}
    chosen = params(**{"sources": sources, "ingest.size": 224, "embed.backbone": backbone, "ingest.encoding": JPEG})
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, first, last in (("web", 0, images), ("phone", images, images + 1)):
            write(name, range(first, last))
            run_stage("ingest", chosen, Engine(1), name)
        alone, whole = bare(images), stage(chosen)
        again = stage(chosen)
        write("web", range(images + 1, images + 1 + images // 100))
        run_stage("ingest", chosen, Engine(1), "web")
        more = stage(chosen)
    print(f"{images:,} images, CPU: bare network {1000 * alone / images:.1f} ms an image")
    print(f"stage {1000 * whole / images:.1f} ms ({alone / whole:.2f} of its speed), again {again:.2f} s")
    print(f"1 % more images {more:.2f} s ({more / whole:.1%})")


def write(name: str, seeds: range) -> None:
    Path(name, "thing").mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        Path(name, "thing", f"{seed:06}.png").write_bytes(encoded(crowded(seed)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
