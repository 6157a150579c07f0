"""Search the strengths of degradation with the smallest distance between raw and production pictures.

Kinds of degradation are added one by one, each time that which brings the two sides nearest, as long as one helps;
after each the strengths are refined in steps that get finer.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from pipeline.stages.augment.degradation import ABSENT, KINDS, NOTHING, Strengths

# What a kind must gain in distance times the root of the pictures per role: where there is no gap, the best kind
# gained at most 0.2 in seven of eight trials, with 20, 60 or 200 pictures. And what a step of refining must.
GAIN, STEP_GAIN = 0.25, 0.03
# Steps of KINDS at which a kind is first tried, and by which it is then moved.
TRIED, STRIDES = (1, 2, 4, 7, 11, 16, 23, 32), (4, 2, 1)
# Kinds that are refined before the better one is added: blur and resolution look alike at first.
RIVALS = 2


class Distance(Protocol):
    """Strengths -> how far the two sides are apart; infinite when no more may be tried."""

    @property
    def chance(self) -> float:
        """What distances differ by without a reason, but for a factor."""

    def __call__(self, strengths: Strengths) -> float: ...


def search(distance: Distance) -> Strengths:
    """The strengths with the smallest distance: kinds are added while one helps, and idle ones taken out again."""
    best, gain = NOTHING, distance.chance * GAIN
    while distance(added := _with_one_more(best, distance)) < distance(best) - gain:
        best = _refined(added, added.used(), distance)
    for kind in best.used():
        without = replace(best, **{kind: ABSENT})
        best = without if distance(without) < distance(best) + gain else best
    return best


def _with_one_more(best: Strengths, distance: Distance) -> Strengths:
    """The strengths with the further kind that helps most."""
    firsts = {kind: _tried(best, kind, distance) for kind in KINDS if kind not in best.used()}
    rivals = sorted(firsts, key=lambda kind: distance(firsts[kind]))[:RIVALS]
    return min((_refined(firsts[kind], [kind], distance) for kind in rivals), key=distance, default=best)


def _tried(best: Strengths, kind: str, distance: Distance) -> Strengths:
    """The best of growing strengths of a kind; each line of them ends after two that are no better."""
    tried = [best]
    for part, sign in (("typical", 1), ("typical", -1), ("spread", 1)):
        line = [best]
        for steps in TRIED:
            line.append(move(best, kind, part, sign * steps))
            if len(line) > 2 and min(map(distance, line[-2:])) >= min(map(distance, line[:-2])):
                break
        tried += line
    return min(tried, key=distance)


def _refined(best: Strengths, kinds: Iterable[str], distance: Distance) -> Strengths:
    """Strengths moved one by one as long as that helps."""
    moves = [(kind, part, sign) for kind in kinds for part in ("typical", "spread") for sign in (1, -1)]
    for stride in STRIDES:
        before = None
        while before != best:
            before = best
            for kind, part, sign in moves:
                moved = move(best, kind, part, sign * stride)
                while distance(moved) < distance(best) - STEP_GAIN * distance.chance:
                    best, moved = moved, move(moved, kind, part, sign * stride)
    return best


def move(strengths: Strengths, kind: str, part: str, steps: int) -> Strengths:
    """One value moved by so many steps, within its ends."""
    limits, old = KINDS[kind], getattr(strengths, kind)
    low, high = (limits.low, limits.high) if part == "typical" else (0.0, limits.widest * limits.step)
    value = round(min(max(getattr(old, part) + steps * limits.step, low), high), 6)
    return replace(strengths, **{kind: replace(old, **{part: value})})
