"""How long models took to fit on this machine: seconds by the hash of the model's file, as dvc.lock names it.

Times differ from run to run, so they are no result: DVC and Git do not know the file, and nothing reads it but tables
for people. Without it they say no times.
"""

import hashlib
import json
import math
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.store.reading import read_bytes
from pipeline.store.writing import replacing, write_bytes

# Models that are remembered, the newest.
MAX_MODELS = 1000


def remember(path: Path, model: bytes, seconds: float) -> None:
    """Note what a model took to fit, in place of what was noted of the same bytes before."""
    key = hashlib.md5(model, usedforsecurity=False).hexdigest()
    known = {**{name: value for name, value in fit_times(path).items() if name != key}, key: round(seconds, 1)}
    newest = dict(list(known.items())[-MAX_MODELS:])
    with replacing(path) as half:
        write_bytes(json.dumps(newest, indent=1).encode(), half)


def fit_times(path: Path) -> dict[str, float]:
    """Seconds by the MD5 of a model's file; none where nothing was noted, or it cannot be read."""
    try:
        values = json.loads(read_bytes(path)) if path.is_file() else {}
    except (PipelineError, ValueError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value) and value >= 0
    }


def in_words(seconds: float) -> str:
    """A time as people say it: 41 s, 3.2 min, 1.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
