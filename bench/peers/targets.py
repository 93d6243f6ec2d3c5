# SPDX-License-Identifier: Apache-2.0
"""Queries a second at a given recall, out of points that lie on either side of it."""

from __future__ import annotations

import math
import statistics

TARGETS = (0.95, 0.99)


def rate(point: dict, threads: str) -> float | None:
    """Median of the passes with that many threads, None where they were not taken."""
    passes = point["qps"].get(threads)
    return statistics.median(passes) if passes else None


def frontier(points: list[dict], threads: str) -> list[tuple[float, float]]:
    """(recall, queries a second) of the points that no other beats in both, by rising recall."""
    best: list[tuple[float, float]] = []
    known = [(point["recall"], rate(point, threads)) for point in points]
    for recall, qps in sorted(((r, q) for r, q in known if q is not None), reverse=True):
        if not best or qps > best[-1][1]:
            best.append((recall, qps))
    return best[::-1]


def qps_at(points: list[dict], target: float, threads: str) -> float | None:
    """On the straight line, in recall and the logarithm of the rate, between the target's neighbours on the frontier.
    Where every point lies above the target: the fastest. None where the target is not reached."""
    line = frontier(points, threads)
    if not line or line[-1][0] < target:
        return None
    above = next(i for i, (recall, _) in enumerate(line) if recall >= target)
    if above == 0:
        return line[0][1]
    (low, low_log), (high, high_log) = [(recall, math.log(qps)) for recall, qps in line[above - 1 : above + 1]]
    return math.exp(low_log + (high_log - low_log) * (target - low) / (high - low))


def at_targets(points: list[dict]) -> dict:
    return {f"{target:g}": {threads: qps_at(points, target, threads) for threads in ("1", "2")} for target in TARGETS}
