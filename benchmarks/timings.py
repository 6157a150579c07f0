"""Seconds of wall clock and of CPU, and ratios of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Seconds:
    """Of the wall clock, and of all cores together."""

    wall: float
    cpu: float


def ratio(rounds: Sequence[dict[str, Seconds]], over: str, under: str, kind: str = "wall") -> str:
    pairs = [(getattr(found[over], kind), getattr(found[under], kind)) for found in rounds]
    fastest = min(one for one, _ in pairs) / min(other for _, other in pairs)
    return f"{spread([one / other for one, other in pairs])}, fastest {fastest:.3f}"


def spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.2f} to {max(values):.2f})"


def seconds(work: Callable[[], object]) -> float:
    """Of the wall clock."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def timed(work: Callable[[], object]) -> Seconds:
    cpu = cpu_of_all()
    wall = seconds(work)
    return Seconds(wall, cpu_of_all() - cpu)


def cpu_of_all() -> float:
    """Of this process, of workers that are up, and of those that ended."""
    me = psutil.Process()
    up = [child.cpu_times() for child in me.children(recursive=True)]
    return float(sum(me.cpu_times()[:4]) + sum(each.user + each.system for each in up))
