"""How a run on a cluster scales, and where it bends: a model of the driver, the nodes, their storage and slow nodes.

    python benchmarks/cluster_simulation.py [--kind small large] [--gigabytes 5] [--dispatch 0.004] [--plot FILE.png]

Jobs are shards. The driver gives each free worker one, which costs `dispatch` seconds of the driver; the worker reads
the shard's files from storage whose bandwidth all workers share, works, and writes the shard there. A share of the
workers is slow. When nothing waits, a job that takes three times the median is given to a second worker, as
`workers/cluster/run.py` does.

Seconds a file were measured by benchmarks/ingest.py. `dispatch`, `start`, `bandwidth` and the share of slow workers are
assumptions; benchmarks/cluster.py measures the first two. What comes out is a model's answer, not a measurement.
"""

import argparse
import heapq
import random
import statistics
import sys
from dataclasses import dataclass, replace

NODES = (1, 2, 4, 8, 16, 32, 64)
CORES = 16


@dataclass(frozen=True)
class Load:
    """A set of files, and what they cost.

    rows: files in a shard. seconds: of a processor, for a file. read, written: bytes a file.
    """

    files: int
    rows: int
    seconds: float
    read: float
    written: float


@dataclass(frozen=True)
class Machines:
    """A cluster.

    workers: processors that do jobs. dispatch: seconds of the driver for a job. start: until a worker is ready.
    bandwidth: bytes a second that storage gives to all of them. slow: share of workers that need `factor` times
    as long. spread: standard deviation of the logarithm of a job's time.
    """

    workers: int
    dispatch: float
    start: float
    bandwidth: float
    slow: float = 0.02
    factor: float = 4.0
    spread: float = 0.1


# Photos of 12 megapixels, and of 500 x 375, as benchmarks/ingest.py has them.
LOADS = {
    "large": Load(1_000_000, 128, 0.0155, 2.6e6, 12e3),
    "small": Load(10_000_000, 128, 0.00143, 45e3, 12e3),
}


def simulate(load: Load, machines: Machines, seed: int = 0) -> tuple[float, float]:
    """Seconds of a run, and which share of them the driver was busy."""
    draw = random.Random(seed)
    jobs = -(-load.files // load.rows)
    bytes_a_job = load.rows * (load.read + load.written)
    # Storage is shared evenly by those that use it; a worker uses it for so much of its time.
    alone = load.rows * load.seconds
    demand = machines.workers * bytes_a_job / alone
    transfer = bytes_a_job / machines.bandwidth * max(1.0, machines.workers * min(1.0, demand / machines.bandwidth))
    speeds = [machines.factor if draw.random() < machines.slow else 1.0 for _ in range(machines.workers)]
    free = [(machines.start, worker) for worker in range(machines.workers)]
    heapq.heapify(free)
    driver, busy, ends = 0.0, 0.0, []
    for _ in range(jobs):
        at, worker = heapq.heappop(free)
        driver = max(driver, at) + machines.dispatch
        busy += machines.dispatch
        took = max(alone * speeds[worker] * draw.lognormvariate(0.0, machines.spread), transfer)
        ends.append((driver + took, took))
        heapq.heappush(free, (driver + took, worker))
    usual = statistics.median(took for _, took in ends)
    # The last of them: a second worker takes over what is overdue.
    last = sorted(end for end, _ in ends)[-min(len(ends), machines.workers) :]
    rescued = [min(end, last[0] + 3 * usual + usual) for end in last]
    total = max(rescued)
    return total, busy / total


def table(load: Load, base: Machines) -> list[tuple[int, float, float, float]]:
    """Nodes, hours, the share of the ideal speed, the driver's share, each the median of nine seeds."""
    rows, one = [], 0.0
    for nodes in NODES:
        runs = [simulate(load, replace(base, workers=nodes * CORES), seed) for seed in range(9)]
        seconds = statistics.median(seconds for seconds, _ in runs)
        one = one or seconds * nodes
        rows.append((nodes, seconds / 3600, one / (seconds * nodes), statistics.median(share for _, share in runs)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=LOADS, nargs="*", default=list(LOADS))
    parser.add_argument("--dispatch", type=float, default=0.004, help="seconds of the driver for a job")
    parser.add_argument("--start", type=float, default=3.0, help="seconds until a worker is ready")
    parser.add_argument("--gigabytes", type=float, default=5.0, help="that storage gives a second")
    parser.add_argument("--plot", help="PNG file")
    options = parser.parse_args()
    base = Machines(CORES, options.dispatch, options.start, options.gigabytes * 1e9)
    shown = {kind: table(LOADS[kind], base) for kind in options.kind}
    for kind, rows in shown.items():
        print(f"{kind}: {LOADS[kind].files:,} files, {CORES} processors a node, {options.gigabytes:g} GB/s for all")
        for nodes, hours, ideal, driver in rows:
            print(f"  {nodes:3} nodes  {hours:8.3f} h  {ideal:6.1%} of ideal  driver busy {driver:5.1%}")
    if options.plot:
        draw(shown, options.plot)
    sys.stdout.flush()


def draw(shown: dict[str, list[tuple[int, float, float, float]]], place: str) -> None:
    """Speed-up by nodes, beside the ideal line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(NODES, NODES, color="0.7", label="ideal")
    for kind, rows in shown.items():
        axes.plot([row[0] for row in rows], [row[0] * row[2] for row in rows], marker="o", label=kind)
    axes.set(xscale="log", yscale="log", xlabel=f"nodes of {CORES} processors", ylabel="times the speed of one node")
    axes.set_xticks(NODES, [str(nodes) for nodes in NODES])
    axes.set_yticks(NODES, [str(nodes) for nodes in NODES])
    axes.legend()
    figure.savefig(place, dpi=110)


if __name__ == "__main__":
    main()
