"""What one expression selects in one capture: packets, sources, and the filter for tcpdump."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address
from typing import Any

import numpy as np

from andon.detect.darknet.tools.catalogue import load
from andon.observe import read
from andon.records.columns import column
from andon.records.expression import ExpressionError, canonical, compile_program, evaluate, parse, to_bpf
from andon.records.packet import SCHEMA


def match(path: str, fingerprint: str) -> dict[str, Any]:
    """Counts of the packets for which ``fingerprint`` (an expression or the name of a known tool) holds.

    Raises ValueError for a text that is neither, or for a relation with a session key; OSError, ValueError for a
    file that cannot be read."""
    known = _known()
    if fingerprint in {tool.name for tool in load().tools} - set(known):
        raise ValueError(
            f"{fingerprint} is recognised by what the packets of a source share: use andon analyze"
        )
    try:
        expression = parse(known.get(fingerprint, fingerprint))
    except ExpressionError as error:
        raise ValueError(
            f"{error}; give an expression, or one of the tools {', '.join(sorted(known))}"
        ) from error
    program = compile_program(expression)
    if program.key_bits:
        raise ValueError("a relation with a session key has to be judged by source: use andon analyze")
    names = tuple(name for name in SCHEMA.names if name in {*program.columns, "src", "layers", "vlan_tags"})
    sources: Counter[int] = Counter()
    rows = 0
    vlan = False
    for batch in read(path, columns=names):
        columns = {name: column(batch, name) for name in names}
        hit = evaluate(program, columns)
        values, counts = np.unique(columns["src"][hit], return_counts=True)
        sources.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        rows += batch.num_rows
        vlan = vlan or bool(columns["vlan_tags"].any())
    try:
        tcpdump = to_bpf(expression, vlan=vlan)
    except ValueError:
        tcpdump = ""
    return {
        "relation": str(canonical(expression)),
        "rows": rows,
        "packets": sum(sources.values()),
        "sources": len(sources),
        "tcpdump": tcpdump,
        "top_sources": [
            {"source": str(IPv4Address(address)), "packets": packets}
            for address, packets in sources.most_common(1000)
        ],
    }


def _known() -> dict[str, str]:
    """Tool name -> relation of its first global signature, with its guard; tools with a session key have none."""
    return {
        signature.tool: f"({signature.guard}) and ({signature.relation})"
        for signature in reversed(load().globals)
    }
