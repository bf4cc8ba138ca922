"""Discovery on capture files: the engine for fingerprints alone, with the search of one's choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from andon.detect.darknet.fingerprint.engine import FingerprintEngine, by_genes, no_orders
from andon.records.contract import Site
from andon.run.batch import Analysis, Progress, analyze
from andon.run.engines import AnyEngine, in_order, load_engines
from andon.run.inputs import Inputs

METHODS = ("algebra", "ga")


def discover(
    paths: Sequence[str | Path] | Inputs,
    site: Site | None = None,
    method: str = "algebra",
    seed: int = 1,
    progress: Progress | None = None,
    analyse: Callable[..., Analysis] = analyze,
) -> Analysis:
    """Findings and tables of ``darknet.fingerprint`` over packets; known tools are looked for too, for the overlap.

    ``method`` "algebra" searches exactly, "ga" by the published genetic method, whose chance depends on ``seed``.
    ``analyse``: where it runs, as ``run.batch.analyze`` or on a cluster. Raises ValueError for an unknown method or a
    bad telescope prefix; see ``Analysis.files`` for unreadable files.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are: {', '.join(METHODS)}")
    site = site or Site()
    made = (
        FingerprintEngine(site) if method == "algebra" else FingerprintEngine(site, by_genes(seed), no_orders)
    )
    engines: list[AnyEngine] = load_engines(site, [need.split(":")[0] for need in FingerprintEngine.needs])
    engines = [engine for engine in engines if engine.name != FingerprintEngine.name]
    result = analyse(paths, site, in_order([*engines, made]), progress)
    wanted = (FingerprintEngine.name, "run.input")
    result.findings = [finding for finding in result.findings if finding.engine in wanted]
    return result
