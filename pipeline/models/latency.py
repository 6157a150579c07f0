"""Latency: how long a model takes for one image on this machine.

No two measurements are equal, and results must be: so one is made for a model and a machine, kept, and
taken over for as long as both stay.
"""

import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.models.files import TrainedModel
from pipeline.models.prediction import fast_forward

CPU_INFO = Path("/proc/cpuinfo")
# The first runs choose kernels and fetch memory.
WARM_UP, RUNS = 20, 200


def latency_of(model: TrainedModel, digest: str, threads: int, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """The latency of a model on this machine with a number of threads, with what it was measured on.

    Args:
        digest: of the model's file.
        kept: an earlier result; returned if it is of the same model and machine.
    """
    about = {"model": digest, "machine": machine(), "threads": threads}
    if kept is not None and {key: kept.get(key) for key in about} == about and "latency_p95_ms" in kept:
        return dict(kept)
    return {**about, "latency_p95_ms": round(p95_milliseconds(model, threads), 3)}


@torch.inference_mode()
def p95_milliseconds(model: TrainedModel, threads: int) -> float:
    """95th percentile of the time from pixels to probabilities, batches of one image."""
    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = model.network.to(device).eval()
    pixels = torch.zeros((1, 3, model.size, model.size), dtype=torch.uint8)
    times = []
    with fast_forward(network, device, threads) as forward:
        for _ in range(WARM_UP + RUNS):
            begun = time.perf_counter()
            forward(pixels.to(device)).softmax(dim=1).cpu()
            times.append(time.perf_counter() - begun)
    return float(np.percentile(times[WARM_UP:], 95) * 1000)


def machine() -> str:
    """What shapes latency: the processor or graphics card, and torch's version; not the host's name."""
    lines = CPU_INFO.read_text(errors="replace").splitlines() if CPU_INFO.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.machine()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor
    return f"{device}, torch {torch.__version__}"
