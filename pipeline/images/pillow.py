"""Pillow's process-wide settings and log messages: set and collected while one file is decoded."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import AvifImagePlugin, Image, PngImagePlugin


@contextmanager
def pillow_lines() -> Iterator[list[str]]:
    """Collect the lines that Pillow's loggers write inside the block, each once."""
    lines: list[str] = []
    logger, handler = logging.getLogger("PIL"), logging.Handler(logging.WARNING)
    handler.emit = lambda record: None if (line := record.getMessage()) in lines else lines.append(line)  # type: ignore[method-assign]
    spreads, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.propagate = spreads


@contextmanager
def pillow_settings(max_text: int) -> Iterator[None]:
    """Replace Pillow's limits of pixels and texts by ours, in the whole process, and give AVIF one thread.

    Each thread would take address space, which has a limit: more cores would refuse more files.

    Args:
        max_text: bytes that the texts of a PNG, or its colour profile, may have when unpacked.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    texts = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = max_text
    threads, AvifImagePlugin.DEFAULT_MAX_THREADS = AvifImagePlugin.DEFAULT_MAX_THREADS, 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken EXIF, say, which is no reason to refuse a picture
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, AvifImagePlugin.DEFAULT_MAX_THREADS = limit, threads
        PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = texts
