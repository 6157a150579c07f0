"""What libraries read from the environment as they are imported; worker processes inherit it."""

import os

SETTINGS = {
    # It would ask the network for newer releases.
    "NO_ALBUMENTATIONS_UPDATE": "1",
    # Arrow's own pool keeps what is freed: on millions of rows, a fifth more memory.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # Threads split sums, and so round them: one gives the same on any number of cores. The matrices are small: on a
    # busy machine its threads, which wait for each other at full speed, took four times the work itself.
    "OPENBLAS_NUM_THREADS": "1",
}


def settle() -> None:
    """Set what the user has not; to be called before numpy, pyarrow or albumentations is imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
