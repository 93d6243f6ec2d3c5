#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws a result file of bench/peers/run: queries a second by recall, and by memory.

usage: plot.py RESULT.json FOLDER [THREADS]     writes peers-recall.svg and peers-memory.svg; THREADS: 1 or 2 (default)
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from svg import FAINT, Axis, Entry, Panel, Style, document, legend, mark, text  # noqa: E402

from targets import frontier  # noqa: E402

WIDTH, LEFT, BETWEEN, TOP, HEIGHT = 1160, 76, 72, 86, 300
VECSTORE = "#0b6e8a"
STYLES = {
    "all pages cached": Style(VECSTORE, width=3),
    "nothing cached": Style(VECSTORE, "square", "7 4", 2.2),
    "hnswlib": Style("#d9480f", "square"),
    "hnswlib u8": Style("#d9480f", "diamond", "4 3"),
    "faiss HNSWFlat": Style("#2b8a3e", "square"),
    "faiss HNSWSQ8": Style("#2b8a3e", "diamond", "4 3"),
    "faiss IVFPQ + refine": Style("#8a6d00", "triangle"),
    "faiss IVFPQ fast scan + refine": Style("#8a6d00", "diamond", "4 3"),
    "usearch f16": Style("#7048b6", "square"),
    "usearch i8": Style("#7048b6", "diamond", "4 3"),
}
BUDGETS = "VecStore under --ram"
METRICS = {"l2": "L2", "cosine": "cosine"}


def label_of(variant: str) -> str:
    return f"VecStore, {variant}" if variant in ("all pages cached", "nothing cached") else variant


def short(number: float) -> str:
    return f"{number / 1000:g}k" if number >= 1000 else f"{number:g}"


def rate_axis(rates: list[float], title: str) -> Axis:
    """Logarithmic, with ticks at 1, 2 and 5 times the powers of ten that the rates need."""
    steps = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
    low = max((step for step in steps if step <= min(rates, default=1)), default=1)
    high = min((step for step in steps if step >= max(rates, default=10)), default=steps[-1])
    high = max(high, low * 10)
    return Axis(low, high, [(step, short(step)) for step in steps if low <= step <= high], title, math.log)


def panels(report: dict, across: Axis, up_title: str, rates: dict[str, list[float]]) -> list[tuple[str, Panel]]:
    """A panel for each data set, side by side."""
    sets = report["sets"]
    width = (WIDTH - LEFT - 24 - BETWEEN * (len(sets) - 1)) / len(sets)
    found = []
    for number, one in enumerate(sets):
        title = f"{one['set']}, {one['rows']:,} × {one['dim']} {one['dtype']}, {METRICS[one['metric']]}"
        up = rate_axis(rates[one["set"]], up_title if number == 0 else "")
        left = LEFT + number * (width + BETWEEN)
        found.append((one["set"], Panel(left, TOP, width, HEIGHT, across, up, title)))
    return found


def page(report: dict, title: str, notes: list[str], parts: list[str], entries: list[Entry]) -> str:
    y = TOP + HEIGHT + 68
    drawn, taken = legend(LEFT, y, WIDTH - LEFT, entries)
    host, versions = report["machine"], report["versions"]
    source = (
        f"bench/peers, {report['date']}, {host['processors']} × {host['cpu']}; hnswlib {versions['hnswlib']}, faiss "
        f"{versions['faiss-cpu']}, usearch {versions['usearch']}, VecStore {versions['VecStore']}."
    )
    parts = [text(LEFT - 58, 32, title, 17, weight="bold"), *parts, *drawn]
    y += taken + 12
    for note in [*notes, source]:
        parts.append(text(LEFT - 58, y, note, 11, FAINT))
        y += 17
    return document(WIDTH, y + 2, title, parts)


def recall_picture(report: dict, threads: str) -> str:
    """recall on a scale of the answers that are missing: from .9 to .99 is as far as from .99 to .999."""
    ticks = [(value, f"{value:g}"[1:]) for value in (0.8, 0.9, 0.95, 0.98, 0.99, 0.995)]
    across = Axis(0.8, 0.998, ticks, "recall@10", lambda recall: -math.log10(1 - recall))
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for one in report["sets"]:
        for variant in STYLES:
            same = [r for r in report["results"] if (r["set"], r["variant"]) == (one["set"], variant)]
            best = frontier([point for result in same for point in result["points"]], threads)
            lines[one["set"], variant] = [(min(recall, 0.998), rate) for recall, rate in best]
    rates = {
        one["set"]: [
            rate
            for (name, _), points in lines.items()
            for recall, rate in points
            if name == one["set"] and across.holds(recall)
        ]
        for one in report["sets"]
    }
    parts = []
    for name, panel in panels(report, across, "queries a second", rates):
        parts += panel.frame()
        for variant, style in reversed(STYLES.items()):
            parts += panel.draw(lines[name, variant], style)
    entries = [Entry(label_of(v), s) for v, s in STYLES.items() if any(lines[one["set"], v] for one in report["sets"])]
    title = f"Queries a second by recall@10, {threads} thread{'s' if threads != '1' else ''} (higher is better)"
    notes = ["The best settings of each index; recall of .998 and more is drawn at the right edge."]
    return page(report, title, notes, parts, entries)


def memory_points(report: dict, name: str, raw_bytes: int, threads: str) -> dict[str, list[tuple[float, float]]]:
    """(memory as a share of the raw vectors, queries a second at .95) of the best index of each kind, and VecStore's
    budgets."""
    points: dict[str, list[tuple[float, float]]] = {}
    for result in report["results"]:
        rate = result["at"]["0.95"][threads]
        if result["set"] != name or rate is None:
            continue
        if "budget_share" in result:
            points.setdefault(BUDGETS, []).append((result["budget_share"], rate))
            continue
        here = (result["index_rss_bytes"] / raw_bytes, rate)
        best = points.setdefault(result["variant"], [here])
        if rate > best[0][1]:
            best[0] = here
    return points


def memory_picture(report: dict, threads: str) -> str:
    ticks = [(share, f"{share:.0%}") for share in (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8)]
    across = Axis(0.04, 12, ticks, "memory, of the raw vectors", math.log)
    found = {one["set"]: memory_points(report, one["set"], one["raw_bytes"], threads) for one in report["sets"]}
    rates = {
        name: [rate for points in kinds.values() for share, rate in points if across.holds(share)]
        for name, kinds in found.items()
    }
    styles = {BUDGETS: Style(VECSTORE, "triangle", width=2.4), **STYLES}
    parts = []
    for name, panel in panels(report, across, "queries a second at recall .95", rates):
        parts += panel.frame()
        for kind, style in styles.items():
            if kind == BUDGETS:
                parts += panel.draw(found[name].get(kind, []), style)
            else:
                inside = [p for p in found[name].get(kind, []) if across.holds(p[0]) and panel.up.holds(p[1])]
                parts += [mark(*panel.place(*point), style, 5) for point in inside]
    drawn = [kind for kind in styles if any(kind in kinds for kinds in found.values())]
    entries = [Entry(label_of(kind), styles[kind], lined=kind == BUDGETS) for kind in drawn]
    title = f"Queries a second at recall@10 = .95 by memory, {threads} thread{'s' if threads != '1' else ''}"
    notes = ["Memory: under --ram that budget, else what more is resident once the index is loaded and searched."]
    return page(report, title, notes, parts, entries)


def main(path: str, folder: str, threads: str = "2") -> None:
    report = json.loads(Path(path).read_text())
    (Path(folder) / "peers-recall.svg").write_text(recall_picture(report, threads))
    (Path(folder) / "peers-memory.svg").write_text(memory_picture(report, threads))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
