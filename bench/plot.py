#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the reads per query at recall@10 of .95 of a result file of bench/run, beside those of other engines.

usage: plot.py RESULT.json >reads.svg

The other engines' figures were measured by this project on the same kind of machine (2 vCPU with AVX-512, virtual NVMe),
on the same data, at the sweep point nearest to .95, but not in the run that is drawn: DiskANN (libaio, R = 64, beam 4)
and PipeANN (io_uring, R = 64, pipelined), 32-byte codes on csift, 48-byte codes on win384.
"""

import json
import sys
from xml.sax.saxutils import escape

OTHERS = {
    "csift": [("DiskANN", 32.7), ("PipeANN", 27.1)],
    "win384": [("DiskANN", 30.5), ("PipeANN", 28.4)],
}
TITLES = {
    "csift": "csift, 300k × 128 u8, L2",
    "win384": "win384, 100k × 384 f16, cosine",
    "fashion-mnist": "fashion-mnist, 60k × 784 u8, L2",
}
WIDTH, LEFT, BAR, GAP, HEAD = 760, 210, 22, 8, 34
OURS, THEIRS, INK, FAINT = "#1f6f8b", "#b9c2c9", "#22292f", "#69747c"


def bars_of(one):
    """(label, reads, ours) of one set: VecStore by share of pages cached, then the others."""
    bars = []
    for point in one["points"]:
        if point["queries"] == "" and point["target"] == 0.95 and point["chosen_by"] == "smallest":
            cached = f", {point['cached']:.0%} cached" if point["cached"] else ""
            bars.append((f"VecStore{cached}", point["reads"], True))
    return bars + [(name, reads, False) for name, reads in OTHERS.get(one["set"], [])]


def text(x, y, content, size=13, colour=INK, anchor="start", weight="normal"):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(content)}</text>'
    )


def main(path):
    report = json.load(open(path))
    groups = [(one["set"], bars_of(one)) for one in report["sets"] if one["set"] in TITLES]
    most = max((reads for _, bars in groups for _, reads, _ in bars), default=1.0)
    scale = (WIDTH - LEFT - 70) / most
    body, y = [text(16, 26, "Reads from disk per query at recall@10 = .95 (fewer is better)", 16, weight="bold")], 52
    for name, bars in groups:
        body.append(text(16, y + 16, TITLES[name], 14, weight="bold"))
        y += HEAD - 6
        for label, reads, ours in bars:
            body.append(text(LEFT - 8, y + BAR - 6, label, anchor="end"))
            body.append(
                f'<rect x="{LEFT}" y="{y}" width="{reads * scale:.1f}" height="{BAR}" fill="{OURS if ours else THEIRS}"/>'
            )
            body.append(text(LEFT + reads * scale + 6, y + BAR - 6, f"{reads:.1f}"))
            y += BAR + GAP
        y += 14
    host = report["machine"]
    body.append(text(16, y + 6, f"VecStore: bench/run, {report['date']}, {host['cpu']}, 4 KiB pages.", 11, FAINT))
    body.append(
        text(16, y + 22, "DiskANN, PipeANN: measured by this project on the same kind of machine, in other runs.", 11, FAINT)
    )
    y += 36
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
          'font-family="system-ui, sans-serif" role="img" aria-label="Reads per query at recall .95">')
    print("<!-- SPDX-License-Identifier: Apache-2.0; drawn by bench/plot.py -->")
    print(f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>')
    print("\n".join(body))
    print("</svg>")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
