"""What the engine `ray` costs beside processes of this machine: ingest of the same generated photos by both.

    python benchmarks/cluster.py [--sets large middle] [--files 400] [--rounds 3] [--workers 2]

Needs the extra [ray]. Each round runs one after the other, in fresh processes that have started their workers (a tenth
of the files, under other names) before the clock does. `overhead` is the ratio of the wall times, `driver` the CPU of
the run's own process for each shard, `start` the seconds until the first result of a cluster of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.workers.libraries import SETTINGS

os.environ.update(SETTINGS)

from ingest import SETS, write

from pipeline.sources.params import SourceParams
from pipeline.stages.ingest.stage import ingest
from pipeline.store.shards import ShardStore
from pipeline.workers.engine import choose_engine


def measured(folder: Path, name: str, engine_name: str, workers: int) -> dict[str, float]:
    """Seconds and the driver's CPU of one ingest, once the workers are there."""
    os.chdir(folder)
    engine = choose_engine(workers, engine_name)
    params = SETS[name].params
    begun = time.perf_counter()
    warm = SourceParams(role="raw", path=str(folder / "warm"))
    ingest("warm", warm, params, ShardStore(Path(f"warm-{engine_name}")), engine)
    start = time.perf_counter() - begun
    source = SourceParams(role="raw", path=str(folder / "photos"))
    begun, cpu = time.perf_counter(), time.process_time()
    store = ShardStore(Path(f"shards-{engine_name}-{os.getpid()}"))
    ingest("photos", source, params, store, engine)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return {"seconds": seconds, "start": start, "driver": cpu / max(1, len([*store.folder.glob("*.arrow")]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", choices=SETS, default=["large", "middle"])
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options, here = parser.parse_args(), str(Path(__file__).resolve())
    if options.one:
        folder, name, engine = options.one
        print(json.dumps(measured(Path(folder), name, engine, options.workers)))
        return
    for name in options.sets:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            os.chdir(folder)
            few = max(10, options.files // 10)
            write(SETS[name], range(few))
            (folder / "photos").rename(folder / "warm")
            write(SETS[name], range(few, few + options.files))
            found: dict[str, list[dict[str, float]]] = {"processes": [], "ray": []}
            for _ in range(options.rounds):
                for engine, runs in found.items():
                    command = [sys.executable, here, "--workers", str(options.workers), "--one", place, name, engine]
                    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
                    runs.append(json.loads(out.splitlines()[-1]))
            ratios = [
                ray["seconds"] / here["seconds"] for here, ray in zip(found["processes"], found["ray"], strict=True)
            ]
            print(
                f"{name}: {options.files} files, overhead {statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f}); driver a shard "
                f"{1000 * statistics.median(run['driver'] for run in found['ray']):.1f} ms (processes "
                f"{1000 * statistics.median(run['driver'] for run in found['processes']):.1f}); start "
                f"{statistics.median(run['start'] for run in found['ray']):.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
