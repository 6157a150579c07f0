"""CPU time that EfficientNet-Lite0 takes for an image: with its norms as they are and folded, by images at once.

python benchmarks/backbone.py
"""

import copy
import time

import torch
from torch import Tensor, nn

from pipeline.models.efficientnet import efficientnet_layers, fuse_norms

SIDE, IMAGES, ROUNDS = 160, 64, 2


def milliseconds(network: nn.Module, pixels: Tensor, at_once: int) -> float:
    """CPU of this process, an image."""
    with torch.inference_mode():
        network(pixels[:at_once])
        begun = time.process_time()
        for part in torch.split(pixels, at_once):
            network(part)
        return (time.process_time() - begun) / len(pixels) * 1000


def main() -> None:
    torch.set_num_threads(1)
    plain: nn.Module = nn.Sequential(*efficientnet_layers(SIDE, "head", 0.1, 0.0, 6)).eval()
    folded = copy.deepcopy(plain)
    fuse_norms(folded)
    pixels = torch.randint(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    for name, network in (("as it is trained", plain), ("norms folded", folded)):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for at_once in (4, 16, 64):
            found = min(milliseconds(network, pixels, at_once) for _ in range(ROUNDS))
            print(f"{name}, {at_once} at once: {found:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
