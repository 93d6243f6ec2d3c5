#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts what one run of bench/run measured into one file, with the machine, the compiler and the commit named.

usage: collect.py WORK BUILD RESULTS     prints the path of the file written
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys


def output_of(*command):
    """The command's output, '' when it cannot be run: a figure without its compiler's name is still a figure."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine():
    fields = dict(line.split(":", 1) for line in output_of("lscpu").splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    flags = fields.get("Flags", "").split()
    memory_kib = int(re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1))
    system = re.search(r'^PRETTY_NAME="(.*)"', open("/etc/os-release").read(), re.M)
    return {
        "cpu": fields.get("Model name", platform.processor()),
        "family_model": f"{fields.get('CPU family', '?')}/{fields.get('Model', '?')}",
        "processors": os.cpu_count(),
        "isa": [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512vbmi", "asimd", "asimddp") if flag in flags],
        "hypervisor": fields.get("Hypervisor vendor", "none"),
        "memory_bytes": memory_kib * 1024,
        "kernel": platform.release().split("-")[0],
        "system": system.group(1) if system else platform.system(),
        "load_average": os.getloadavg(),
    }


def compiler(build):
    cache = open(os.path.join(build, "CMakeCache.txt")).read()
    path = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache, re.M).group(1)
    return (output_of(path, "--version").splitlines() or [path])[0]


def kernels(path):
    """Nanoseconds a row of every level, and how much faster than the scalar unit of the same run."""
    rows = {}
    for case in json.load(open(path))["benchmarks"]:
        if case.get("aggregate_name") == "median":
            name, size, access, level = case["run_name"].split("/")[:4]
            rows[level] = {"kernel": f"{name}/{size}/{access}", "ns_per_row": case["per_row"] * 1e9}
    for row in rows.values():
        row["times_scalar"] = rows["scalar"]["ns_per_row"] / row["ns_per_row"]
    return rows


def main(work, build, results):
    host = machine()
    today = datetime.date.today().isoformat()
    report = {
        "date": today,
        "machine": host,
        "compiler": compiler(build),
        "commit": output_of("git", "describe", "--always", "--dirty"),
        "pq_scorer": kernels(os.path.join(work, "kernels.json")),
        "device": open(os.path.join(work, "device.txt")).read().splitlines(),
        **json.load(open(os.path.join(work, "floors.json"))),
    }
    name = re.sub(r"[^a-z0-9]+", "-", f"{host['cpu']} {host['processors']}cpu".lower()).strip("-")
    path = os.path.join(results, f"{name}-{today}.json")
    with open(path, "w") as out:
        json.dump(report, out, indent=1)
        out.write("\n")
    print(path)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
