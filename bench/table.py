#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a result file of bench/run as Markdown.

usage: table.py RESULT.json
"""

import json
import os
import sys


def row(*cells):
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head, rows):
    return [row(*head), row(*["---"] * len(head)), *rows, ""]


def floors(report):
    yield "## Floors"
    yield ""
    yield from table(
        ("set", "floor", "measured", "", "limit", ""),
        [
            row(
                f["set"],
                f["floor"],
                f"{f['value']:.2f}",
                f["bound"],
                f"{f['limit']:g}",
                "holds" if f["holds"] else "**missed**",
            )
            for f in report["floors"]
        ],
    )


def point_cells(point):
    times = point.get("times")
    cells = [
        point["set"] + (f", {point['queries']} queries" if point["queries"] else ""),
        f"{point['cached']:.0%}",
        f"{point['target']:.2f}",
        f"{point['L']} ({point['chosen_by']})",
        f"{point['recall']:.4f}",
        f"{point['reads']:.2f}",
        f"{point['rounds']:.2f}",
        f"{point['bytes'] / 1024:.1f}",
    ]
    if times is None:
        return cells + ["–"] * 5
    share = times.get("device_share_2_threads")
    return cells + [
        f"{times['qps_1_thread']:.0f}",
        f"{times['qps_2_threads']:.0f}",
        f"{times['p50_us']:.0f}",
        f"{times['p99_us']:.0f}",
        f"{share:.0%}" if share is not None else "–",
    ]


def searches(report):
    yield "## Searches from disk, recall@10"
    yield ""
    yield (
        "The \"smallest\" L is the least that reaches the target on all queries of the set. The \"calibrated\" L is "
        "what the index chose at build, on rows of its own."
    )
    yield ""
    head = "set, pages cached, target, L, recall, reads/query, rounds, KiB/query, QPS 1 thread, QPS 2 threads, p50 µs, p99 µs, share of device"
    points = [row(*point_cells(point)) for one in report["sets"] for point in one["points"]]
    yield from table(head.split(", "), points)


def clients(report):
    yield "## Callers with one query at a time"
    yield ""
    yield "Nothing cached, recall target .95; queries a second and µs (p50 / p99 / p99.9)."
    yield ""
    sets = [one for one in report["sets"] if "clients" in one]
    if not sets:
        return
    rows = []
    for i, first in enumerate(sets[0]["clients"]):
        cells = [first["clients"]]
        for one in sets:
            at = one["clients"][i]
            cells.append(f"{at['qps']:,.0f}: {at['p50_us']:.0f} / {at['p99_us']:.0f} / {at['p999_us']:.0f}")
        rows.append(row(*cells))
    yield from table(("clients", *(one["set"] for one in sets)), rows)


def builds(report):
    yield "## Building, opening, memory"
    yield ""
    head = "set, rows, build CPU-s, wall s, peak MB (RSS), open s, disk MB, RAM B/vector, fixed RAM KB, rows a page, mean degree, answer pages/query, exact search QPS (1/2 threads)"
    rows = []
    for one in report["sets"]:
        build, store, exact = one["build"], one["store"], one.get("exact_search")
        rows.append(
            row(
                one["set"],
                f"{store['rows']:,}",
                f"{build['cpu_seconds']:.0f}",
                f"{build['wall_seconds']:.0f}",
                f"{build['rss_peak_bytes'] / 1e6:.0f}",
                f"{store['open_seconds']:.3f}",
                f"{store['disk_bytes'] / 1e6:.0f}",
                f"{store['ram_bytes_per_row']:.2f}",
                f"{store['fixed_ram_bytes'] / 1e3:.0f}",
                store["rows_per_page"],
                f"{store['mean_degree']:.1f}",
                f"{one['oracle_pages']:.2f}",
                f"{exact['qps_1_thread']:.0f} / {exact['qps_2_threads']:.0f}" if exact else "–",
            )
        )
    yield from table(head.split(", "), rows)


def scorer(report):
    yield "## PQ scorer, runs of rows"
    yield ""
    yield from table(
        ("unit", "kernel", "ns a row", "× scalar"),
        [
            row(level, one["kernel"], f"{one['ns_per_row']:.2f}", f"{one['times_scalar']:.1f}")
            for level, one in report["pq_scorer"].items()
        ],
    )


def heading(report, path):
    host = report["machine"]
    yield "# Measured"
    yield ""
    yield f"Written by `bench/run` from `{os.path.basename(path)}`; do not edit."
    yield ""
    yield (
        f"{host['processors']} × {host['cpu']} (family/model {host['family_model']}; {', '.join(host['isa'])}), "
        f"{host['memory_bytes'] / 2**30:.0f} GiB, hypervisor {host['hypervisor']}. {host['system']}, Linux "
        f"{host['kernel']}, {report['compiler']}. The commit is {report['commit']}, the day {report['date']}. The load "
        f"average at the end was {host['load_average'][0]:.1f}. Counts (recall, reads, rounds, bytes) do not depend on "
        "the machine's load; times do."
    )
    yield ""
    if "note" in report:
        yield report["note"]
        yield ""


def main(path):
    report = json.load(open(path))
    for part in (
        heading(report, path),
        floors(report),
        searches(report),
        clients(report),
        builds(report),
        scorer(report),
    ):
        print("\n".join(part))
    print("## Device, `bench_pagestore`\n\n```")
    print("\n".join(report["device"]))
    print("```")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
