#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a result file of bench/peers/run as Markdown.

usage: table.py RESULT.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

# The floor of the project is set against these: the better of them, at its best parameters.
RIVALS = ("hnswlib", "hnswlib u8", "faiss HNSWFlat")
TARGETS = ("0.95", "0.99")
# Under load a process gets less than a processor, and its rate says nothing.
CPU_PER_WALL_LEAST = 0.9


def row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head: str, rows: list[str]) -> Iterator[str]:
    cells = head.split(", ")
    yield row(*cells)
    yield row(*["---"] * len(cells))
    yield from rows
    yield ""


def rate(value: float | None) -> str:
    return f"{value:,.0f}" if value is not None else "–"


def rates(result: dict, target: str) -> str:
    """QPS with one and two threads."""
    one, two = (result["at"][target][threads] for threads in ("1", "2"))
    return f"{rate(one)} / {rate(two)}" if one is not None or two is not None else "–"


def parameters(result: dict) -> str:
    names = {"M": "M", "lists": "lists", "code_bytes": "code bytes"}
    return ", ".join(f"{names[name]} {value}" for name, value in result["parameters"].items() if name in names) or "–"


def latency(result: dict, target: str = "0.95") -> str:
    """p50 / p99 of the fastest point that reaches the target."""
    reached = [point for point in result["points"] if point["recall"] >= float(target)]
    if not reached:
        return "–"
    best = min(reached, key=lambda point: point["latency_us"]["mean"])["latency_us"]
    return f"{best['p50']:.0f} / {best['p99']:.0f}"


def name_of(result: dict) -> str:
    return f"**VecStore**, {result['variant']}" if result["library"] == "VecStore" else result["variant"]


def best_of(results: list[dict]) -> list[dict]:
    """Of the indexes of one kind those that are the fastest at a target, with one thread or two."""
    kept: list[dict] = []
    for target in TARGETS:
        for threads in ("1", "2"):
            able = [result for result in results if result["at"][target][threads] is not None]
            if able:
                best = max(able, key=lambda result: result["at"][target][threads])
                kept += [best] if best not in kept else []
    return kept or results[:1]


def libraries(report: dict, name: str) -> Iterator[str]:
    mine = [result for result in report["results"] if result["set"] == name and "budget_share" not in result]
    rows = []
    for variant in dict.fromkeys(result["variant"] for result in mine):
        for result in best_of([result for result in mine if result["variant"] == variant]):
            build = result["build"]
            rows.append(
                row(
                    name_of(result),
                    parameters(result),
                    rates(result, "0.95"),
                    rates(result, "0.99"),
                    latency(result),
                    f"{result['index_rss_bytes'] / 1e6:.0f}",
                    f"{build['cpu_seconds']:.0f}",
                    f"{build['seconds']:.0f}",
                )
            )
    head = "index, parameters, QPS at .95 (1 / 2 threads), QPS at .99 (1 / 2 threads), p50 / p99 µs at .95"
    yield from table(f"{head}, memory MB, build CPU-s, build s", rows)


def lead(report: dict, name: str) -> Iterator[str]:
    """VecStore with everything cached against the better of hnswlib and faiss HNSWFlat."""
    mine = [result for result in report["results"] if result["set"] == name]
    ours = next((result for result in mine if result["variant"] == "all pages cached"), None)
    theirs = [result for result in mine if result["variant"] in RIVALS]
    if ours is None or not theirs:
        return
    parts = []
    for target in TARGETS:
        for threads in ("1", "2"):
            best = max((result["at"][target][threads] or 0 for result in theirs), default=0)
            own = ours["at"][target][threads]
            if own is not None and best > 0:
                parts.append((f"{target[1:]} ({threads} thread{'s' if threads == '2' else ''})", f"{own / best:.2f}"))
    if parts:
        yield "All pages cached, × the better of hnswlib and faiss HNSWFlat:\n"
        yield from table(", ".join(head for head, _ in parts), [row(*(factor for _, factor in parts))])


def least_reads(points: list[dict], target: float) -> float | None:
    return min((point["reads_per_query"] for point in points if point["recall"] >= target), default=None)


def budget_row(result: dict) -> str:
    share, budget_bytes = f"{result['budget_share']:.1%}".replace(".0%", "%"), result["ram_budget_bytes"]
    if "refused" in result:
        return row(share, f"{budget_bytes / 1e6:.1f}", "refused: " + result["refused"][-1].split("; ")[-1], *["–"] * 5)
    reads = [least_reads(result["points"], float(target)) for target in TARGETS]
    return row(
        share,
        f"{budget_bytes / 1e6:.1f}",
        "its own" if result.get("own_build") else "default",
        f"{result['build']['ram_bytes_per_row']:.1f}",
        f"{result['ram_peak_bytes'] / 1e6:.1f} ({result['index_rss_bytes'] / 1e6:.1f})",
        rates(result, "0.95"),
        rates(result, "0.99"),
        " / ".join(f"{one:.1f}" if one is not None else "–" for one in reads),
    )


def budgets(report: dict, name: str) -> Iterator[str]:
    rows = [budget_row(r) for r in report["results"] if r["set"] == name and "budget_share" in r]
    if rows:
        head = "budget of raw, MB, index, RAM B/vector, peak MB (RSS), QPS at .95 (1 / 2 threads)"
        yield "VecStore under `search --ram`:\n"
        yield from table(f"{head}, QPS at .99 (1 / 2 threads), reads/query at .95 / .99", rows)


def warnings(report: dict) -> Iterator[str]:
    """What makes the figures less than they seem."""
    starved = 0
    for result in report["results"]:
        shares = [point["cpu_per_wall"]["1"] for point in result["points"] if "cpu_per_wall" in point]
        starved += bool(shares) and min(shares) < CPU_PER_WALL_LEAST
    if starved:
        least = f"{CPU_PER_WALL_LEAST:.0%}"
        yield f"**{starved} indexes got less than {least} of a processor in some pass: the machine was not idle.**\n"
    if report["method"]["rows"]:
        rows = f"{report['method']['rows']:,}"
        yield f"**A trial with the first {rows} rows of each set; its figures say nothing of the sets.**\n"
    missing: dict[str, list[str]] = {}
    for one in report["skipped"]:
        if "index" in one:
            missing.setdefault(one["set"], []).append(one["index"].replace(" ef_construction 200", ""))
        else:
            yield f"**{one['set']} was skipped: {one['reason']}**\n"
    for name, indexes in missing.items():
        yield f"**Not measured yet on {name}: {', '.join(indexes)}**\n"


def heading(report: dict, path: Path) -> Iterator[str]:
    host, versions, method = report["machine"], report["versions"], report["method"]
    wheels = ", ".join(f"{name}: {isa}" for name, isa in report["wheel_instructions"].items())
    yield f"# Beside in-memory libraries\n\nWritten by `bench/peers/run` from `{path.name}`; do not edit.\n"
    yield (
        f"{host['processors']} × {host['cpu']} (family/model {host['family_model']}; {', '.join(host['isa'])}), "
        f"{host['memory_bytes'] / 2**30:.0f} GiB, {host['system']}, Linux {host['kernel']}, {versions['compiler']}. "
        f"VecStore {versions['VecStore']}, hnswlib {versions['hnswlib']} (-O3 -march=native), faiss-cpu "
        f"{versions['faiss-cpu']}, usearch {versions['usearch']}. The wheels choose these instructions: {wheels}. "
        f"The day is {report['date']}. Figures are recall@{method['k']}, and medians of {method['passes']} passes; "
        f"{method['build_threads']} threads build. A rate at a recall lies between two measured points. "
        "[bench/peers](../peers/README.md) has how everything is counted.\n"
    )
    yield from warnings(report)


def main(path: Path) -> None:
    report = json.loads(path.read_text())
    lines = list(heading(report, path))
    for one in report["sets"]:
        raw = f"{one['raw_bytes'] / 1e6:.0f} MB raw, {one['queries']:,} queries"
        lines.append(f"## {one['set']}, {one['rows']:,} × {one['dim']} {one['dtype']}, {one['metric']}; {raw}\n")
        for part in (libraries, lead, budgets):
            lines += part(report, one["set"])
    print("\n".join(lines).rstrip())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
