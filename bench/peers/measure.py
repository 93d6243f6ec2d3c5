# SPDX-License-Identifier: Apache-2.0
"""Measures VecStore beside in-memory libraries, one index after the other, and writes one JSON file.

Called by bench/peers/run, with the Python that has the wheels. What an index gave is kept under the work folder until
the library, its driver or the settings change, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import catalog
import datasets
import drivers
import vecstore_runs
from catalog import Effort
from datasets import DataSet, K

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from collect import compiler, machine, output_of  # noqa: E402  the machine is described as bench/run does


def say(text: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def digest_of(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


class Partials:
    """What single indexes gave, one file each, named by all that could change it."""

    def __init__(self, options: argparse.Namespace, effort: Effort) -> None:
        self.folder = options.work / "partial"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fresh = options.fresh
        # Quick or not decides which indexes and settings there are, which are part of every key, not what one gives.
        self.common = f"{options.rows} {dataclasses.replace(effort, quick=False)}"

    def path_of(self, title: str, data: DataSet, state: str) -> Path:
        key = hashlib.sha256(f"{title}|{data.stamp}|{state}|{self.common}".encode()).hexdigest()[:16]
        name = re.sub(r"[^a-z0-9]+", "-", f"{data.name} {title}".lower()).strip("-")
        return self.folder / f"{name}-{key}.json"

    def has(self, title: str, data: DataSet, state: str) -> bool:
        return self.path_of(title, data, state).exists()

    def get(self, title: str, data: DataSet, state: str, measure: Callable[[], dict]) -> dict:
        path = self.path_of(title, data, state)
        if path.exists() and not self.fresh:
            say(f"{data.name}: {title}: measured before, {path.name}")
            return json.loads(path.read_text())
        load, start = os.getloadavg()[0], time.perf_counter()
        result = {
            **measure(),
            "load_average_before": load,
            "at_time": datetime.datetime.now().isoformat("T", "seconds"),
        }
        path.with_suffix(".partial").write_text(json.dumps(result, indent=1))
        path.with_suffix(".partial").rename(path)
        say(f"{data.name}: {title}: {time.perf_counter() - start:.0f} s{told(result)}")
        return result


def told(result: dict) -> str:
    rates = [f".{target[2:]}: {one['2']:,.0f}" for target, one in result.get("at", {}).items() if one["2"]]
    if "refused" in result:
        return f", {result['refused'][-1]}"
    return f", queries/s with 2 threads at {', '.join(rates)}" if rates else ""


def versions(options: argparse.Namespace) -> dict:
    hnswlib = output_of("dpkg-query", "-W", "-f=${Version}", "libhnswlib-dev") or "of unknown version"
    found = {name: importlib.metadata.version(name) for name in ("faiss-cpu", "usearch", "numpy")}
    commit = output_of("git", "-C", str(HERE), "describe", "--always", "--dirty")
    return {"VecStore": commit, "hnswlib": hnswlib, **found, "compiler": compiler(str(options.build))}


def instructions_of_wheels() -> dict:
    """What the wheels say they use on this processor."""
    import faiss
    from usearch.index import Index

    kinds = {kind: Index(ndim=128, metric="l2sq", dtype=kind).hardware_acceleration for kind in ("f16", "i8")}
    return {"faiss": faiss.get_compile_options().strip(), **{f"usearch {kind}": isa for kind, isa in kinds.items()}}


def measure_peers(data: DataSet, options: argparse.Namespace, partials: Partials, known: dict, report: dict) -> None:
    for index in catalog.indexes(data, options.quick):
        if options.libraries and index.engine not in options.libraries:
            continue
        if options.variants and index.variant not in options.variants:
            continue
        native = index.engine == "hnswlib"
        driver = (drivers.HnswlibDriver if native else drivers.WheelDriver)(index, data, options, effort_of(options))
        source = HERE / ("hnswlib_driver.cc" if native else "wheels.py")
        state = f"{digest_of(source)}|{known}|{index.build}|{index.ladders}"
        title = " ".join([index.variant, *(f"{name} {value}" for name, value in index.build.items())])
        if options.known and not partials.has(title, data, state):
            say(f"NOT MEASURED {data.name}: {title}")
            report["skipped"].append({"set": data.name, "index": title, "reason": "not measured yet"})
            continue
        result = partials.get(title, data, state, driver.measure)
        about = {"set": data.name, "library": index.engine, "variant": index.variant, "parameters": index.build}
        report["results"].append({**about, **result})


def measure_vecstore(data: DataSet, options: argparse.Namespace, partials: Partials, report: dict) -> None:
    state = digest_of(options.cli, HERE / "vecstore_runs.py")
    runs = vecstore_runs.Runs(options.cli, data, effort_of(options), state)
    build = partials.get("VecStore build", data, state, runs.build)
    for mode in vecstore_runs.modes(data, options.quick):
        about = {"set": data.name, "library": "VecStore", "variant": mode.variant, "parameters": {}, "build": build}
        if mode.budget_share is not None:
            about |= {"budget_share": mode.budget_share, "ram_budget_bytes": int(mode.arguments[1])}
        title = f"VecStore {mode.variant}"
        of_mode = f"{state}|{mode}|{options.quick}"
        result = partials.get(title, data, of_mode, lambda mode=mode: runs.measure(mode))
        report["results"].append({**about, **result})


def measure_set(
    source: datasets.Source, options: argparse.Namespace, partials: Partials, known: dict, report: dict
) -> None:
    """Adds what one data set gave to the report; says loudly where it cannot be measured."""
    try:
        data = datasets.prepare(options.cli, source, options.data, options.work, options.rows)
    except datasets.Skipped as reason:
        say(f"SKIPPED {source.name}: {reason}")
        report["skipped"].append({"set": source.name, "reason": str(reason)})
        return
    report["sets"].append(data.description())
    if not options.libraries or "vecstore" in options.libraries:
        measure_vecstore(data, options, partials, report)
    measure_peers(data, options, partials, known, report)


def effort_of(options: argparse.Namespace) -> Effort:
    """A trial shows that everything works, and takes its figures from single short passes."""
    if options.rows == 0:
        return Effort(options.quick, options.passes or 3)
    return Effort(options.quick, options.passes or 1, pass_seconds=0.02, cached_queries=1000, disk_queries=200)


def parse(arguments: list[str]) -> argparse.Namespace:
    names = [source.name for source in datasets.SOURCES]
    parser = argparse.ArgumentParser(prog="bench/peers/run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="M = 16 only, fewer settings and budgets")
    parser.add_argument(
        "--rows", type=int, default=0, help="only the first ROWS of each set, and 1,000 queries; a trial"
    )
    parser.add_argument("--sets", nargs="+", choices=names, default=names)
    libraries = ["vecstore", "hnswlib", "faiss", "usearch"]
    parser.add_argument("--libraries", nargs="+", choices=libraries, help="default: all")
    parser.add_argument("--variants", nargs="+", help="of the other libraries, by their names in the table; default: all")
    parser.add_argument("--passes", type=int, help="timed passes (default 3, in a trial 1)")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument(
        "--known", action="store_true", help="no library that was not measured before; the result names those"
    )
    parser.add_argument(
        "--keep-indexes", action="store_true", help="leave the other libraries' indexes in the work folder"
    )
    parser.add_argument("--build", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rows < 0 or 0 < options.rows < 1000:
        parser.error("--rows needs 1000 or more: a calibrated build takes as many")
    options.work, options.cli = options.build / "work", options.build / "tools/vecstore"
    return options


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    effort = effort_of(options)
    partials, known = Partials(options, effort), versions(options)
    host, today = machine(), datetime.date.today().isoformat()
    report = {
        "date": today,
        "machine": host,
        "versions": known,
        "wheel_instructions": instructions_of_wheels(),
        "method": {"k": K, "rows": options.rows, "build_threads": 2, **dataclasses.asdict(effort)},
        "sets": [],
        "skipped": [],
        "results": [],
    }
    peers_known = {name: version for name, version in known.items() if name != "VecStore"}
    for source in datasets.SOURCES:
        if source.name in options.sets:
            measure_set(source, options, partials, peers_known, report)
    if not report["results"]:
        say("nothing was measured")
        return 1
    machine_name = re.sub(r"[^a-z0-9]+", "-", f"{host['cpu']} {host['processors']}cpu".lower()).strip("-")
    path = options.out / f"peers-{machine_name}-{today}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
