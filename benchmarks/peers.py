"""What other tools make of a folder of images, in the environment that has them.

    PYTHON benchmarks/peers.py TOOL FOLDER

PYTHON is an interpreter with that tool: it needs nothing of this pipeline. Prints JSON: version, seconds, and what
was found, by file name. The benchmarks issues.py and ingest.py call it with `--peers`.
"""

import argparse
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any


def cleanvision_issues(folder: Path) -> dict[str, Any]:
    """All of its checks but duplicates, by name of the issue."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    names = ["dark", "light", "odd_aspect_ratio", "low_information", "blurry", "grayscale", "odd_size"]
    begun = time.perf_counter()
    lab.find_issues({name: {} for name in names}, n_jobs=len(os.sched_getaffinity(0)))
    seconds = time.perf_counter() - begun
    found = {name: [Path(path).name for path in lab.issues.index[lab.issues[f"is_{name}_issue"]]] for name in names}
    return {"tool": "cleanvision", "seconds": seconds, "found": found}


TOOLS: dict[str, Callable[[Path], dict[str, Any]]] = {"cleanvision-issues": cleanvision_issues}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=[*TOOLS])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with redirect_stdout(sys.stderr):
        row = TOOLS[options.tool](options.folder)
    print(json.dumps({"version": importlib.metadata.version(row["tool"]), **row}))


if __name__ == "__main__":
    main()
