# SPDX-License-Identifier: Apache-2.0
"""Which indexes of which libraries are measured, how long, and with which settings they are searched."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from datasets import DataSet

EF_CONSTRUCTION = 200
EF_LADDER = (10, 14, 20, 28, 40, 56, 80, 112, 160, 224, 320, 448)
NPROBE_LADDER = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
K_FACTORS = (4, 16)  # 2, 8 and 32 as well made a run an hour longer
# A ladder ends when its recall passes this, or when it no longer rises (codes cap it).
RECALL_ENOUGH = 0.996
RECALL_STEP = 0.0005


@dataclass(frozen=True)
class Effort:
    """How long a measurement takes, and how well it stands."""

    quick: bool = False  # fewer settings and budgets
    passes: int = 3
    pass_seconds: float = 0.25  # of a library that searches in its driver
    cached_queries: int = 5000  # of a pass of the command; keeps its timed part well above a clock's noise
    disk_queries: int = 1000  # of a pass where pages are read from disk


@dataclass(frozen=True)
class Index:
    """One index of a library other than VecStore. `ladders`: lists of settings, each in the order of rising recall."""

    engine: str  # hnswlib, faiss, usearch
    variant: str  # as tables name it
    kind: str  # as the driver names it
    build: dict
    ladders: tuple[tuple[dict, ...], ...] = field(compare=False)

    def key(self) -> str:
        return "-".join([self.engine, self.kind, *(f"{name}{value}" for name, value in self.build.items())]).lower()


def hnsw_variants(data: DataSet) -> list[tuple[str, str, str]]:
    """(library, variant, kind). The bytes of a set of bytes are also searched as such where a library can."""
    space = "ip" if data.metric == "cosine" else "l2"
    variants = [("hnswlib", "hnswlib", space)]
    if data.dtype == "u8":
        variants.append(("hnswlib", "hnswlib u8", "l2_u8"))
    return variants + [
        ("faiss", "faiss HNSWFlat", "hnsw_flat"),
        ("faiss", "faiss HNSWSQ8", "hnsw_sq8"),
        ("usearch", "usearch f16", "f16"),
        ("usearch", "usearch i8", "i8"),
    ]


def ivf_index(data: DataSet, quick: bool) -> Index:
    """Codes of a size that VecStore's default comes near to: a byte for eight dimensions, for four up to 256."""
    lists = 2 ** round(math.log2(4 * math.sqrt(data.rows)))
    code_bytes = data.dim // (8 if data.dim > 256 and data.dim % 8 == 0 else 4)
    probes = NPROBE_LADDER[:: 2 if quick else 1]
    ladders = tuple(tuple({"nprobe": probe, "k_factor": factor} for probe in probes) for factor in K_FACTORS)
    build = {"lists": lists, "code_bytes": code_bytes}
    return Index("faiss", "faiss IVFPQ fast scan + refine", "ivfpq_fast_scan", build, ladders)


def degrees(library: str, quick: bool) -> tuple[int, ...]:
    """M. usearch takes several times as long to build and search, so it is not asked for every one."""
    if quick:
        return (16,)
    return (16, 32) if library == "usearch" else (16, 24, 32)


def indexes(data: DataSet, quick: bool) -> list[Index]:
    ladder = (tuple({"ef": ef} for ef in EF_LADDER),)
    found = [
        Index(library, variant, kind, {"M": m, "ef_construction": EF_CONSTRUCTION}, ladder)
        for library, variant, kind in hnsw_variants(data)
        for m in degrees(library, quick)
    ]
    return [*found, ivf_index(data, quick)]


def ladder_ends(recalls: list[float]) -> bool:
    """Whether a further step can tell nothing that is asked for."""
    if recalls[-1] >= RECALL_ENOUGH:
        return True
    return len(recalls) >= 3 and recalls[-1] - recalls[-3] < RECALL_STEP
