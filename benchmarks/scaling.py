"""What a picture loses when it is decoded small and averaged, beside a full decode and LANCZOS.

    python benchmarks/scaling.py FOLDER [--size 224]

Photos of a folder whose shorter side is at least twice the size, and a chart of rings that become finer towards its rim
(a zone plate), as a JPEG file of 4000 x 3000. PSNR in decibels and SSIM (Wang et al. 2004), on luma, against the full
decode with LANCZOS. On the chart: how much of the rings' contrast is left where the target can hold them (up to half of
its finest frequency, ideally 1), and how much false pattern appears where it cannot (ideally 0, plain grey).
"""

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from photos import PHOTOS, encoded
from PIL import Image

from pipeline.images.normalising import Picture, normalise
from pipeline.images.pixels import Pixels

Grey = npt.NDArray[np.float64]


def as_ingest_does(data: bytes, size: int) -> Pixels:
    made = normalise(data, PHOTOS.model_copy(update={"size": size}))
    assert isinstance(made, Picture)
    return made.shown


def square(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        rgb = image.convert("RGB")
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    return rgb.crop((left, top, left + side, top + side))


def with_lanczos(data: bytes, size: int) -> Pixels:
    return np.asarray(square(data).resize((size, size), Image.Resampling.LANCZOS))


def with_area(data: bytes, size: int) -> Pixels:
    return np.asarray(cv2.resize(np.asarray(square(data)), (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def with_bilinear_points(data: bytes, size: int) -> Pixels:
    """What scripts with OpenCV do without saying how to resize: it looks at four pixels alone."""
    return np.asarray(cv2.resize(np.asarray(square(data)), (size, size)), np.uint8)


WAYS: dict[str, Callable[[bytes, int], Pixels]] = {
    "full decode, LANCZOS": with_lanczos,
    "DCT scale, curves and fours (ingest)": as_ingest_does,
    "full decode, area": with_area,
    "full decode, OpenCV's default": with_bilinear_points,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    photos = [data for path in sorted(options.folder.rglob("*.jp*g")) if large(data := path.read_bytes(), options.size)]
    print(f"{len(photos)} photos, at {options.size} pixels against a full decode with LANCZOS")
    for name, way in WAYS.items():
        pairs = [(grey(way(data, options.size)), grey(with_lanczos(data, options.size))) for data in photos]
        noise = np.array([psnr(*pair) for pair in pairs])
        likeness = np.array([ssim(*pair) for pair in pairs])
        left, false = on_the_chart(way, options.size)
        print(
            f"{name:36} PSNR {np.median(noise):5.1f} dB (5 %: {np.quantile(noise, 0.05):5.1f})  "
            f"SSIM {np.median(likeness):.4f} (5 %: {np.quantile(likeness, 0.05):.4f})  "
            f"chart: {left:.2f} of the contrast left, {false:.3f} false"
        )


def large(data: bytes, size: int) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return image.format == "JPEG" and min(image.size) >= 2 * size and image.getexif().get(0x0112, 1) == 1


def grey(pixels: Pixels) -> Grey:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float64)


def psnr(one: Grey, other: Grey) -> float:
    return float(10 * np.log10(255**2 / max(np.square(one - other).mean(), 1e-4)))


def ssim(one: Grey, other: Grey) -> float:
    def mean(values: Grey) -> Grey:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)

    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    first, second = mean(one), mean(other)
    products = mean(one * one) - first**2, mean(other * other) - second**2, mean(one * other) - first * second
    found = (2 * first * second + low) * (2 * products[2] + high)
    return float((found / ((first**2 + second**2 + low) * (products[0] + products[1] + high))).mean())


def on_the_chart(way: Callable[[bytes, int], Pixels], size: int) -> tuple[float, float]:
    """Of rings up to half of the target's finest frequency, and beyond it: standard deviation over a sine's own."""
    side = 3000
    rows, columns = np.mgrid[:side, :4000] - np.array([1500, 2000])[:, None, None]
    squared = rows.astype(np.float64) ** 2 + columns**2
    # Cycles a pixel of the target: a half, its finest, at a third of the square's half side, 1.5 at the rim.
    steep = 1.5 * size / side / (side / 2)
    chart = np.rint(127.5 + 100 * np.cos(np.pi * steep * squared)).astype(np.uint8)
    seen = grey(way(encoded(np.stack([chart] * 3, axis=2), "JPEG", quality=95), size))
    there = np.hypot(*(np.indices((size, size)) - (size - 1) / 2)) / (size / 2) * 1.5
    sine = 100 / np.sqrt(2)
    return float(seen[there < 0.25].std() / sine), float(seen[(there > 0.6) & (there < 1.5)].std() / sine)


if __name__ == "__main__":
    main()
