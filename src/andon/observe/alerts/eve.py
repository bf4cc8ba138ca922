"""Alert events of Suricata's EVE log (``logs.eve`` reads the others), as the Suricata user guide names their fields.

``src`` and ``dst`` are the ends of the packet that set the rule off; where the rule has a ``target``, the other end is
the source and the target the destination. Severity 1 is high, 2 medium, 3 low, and above informational.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.alerts.columns import Inside, alerts, chosen, either, rewritten
from andon.observe.alerts.documents import column, held, raw_of
from andon.observe.alerts.shape import settled
from andon.observe.jsonlines import Block, Skipped
from andon.observe.logs import encode
from andon.observe.logs.target import first_member
from andon.records.alert import HIGH, INFORMATIONAL, LOW, MEDIUM, UNKNOWN

PATHS: Final = (
    "alert.gid", "alert.signature_id", "alert.signature", "alert.category", "alert.severity", "alert.action",
    "alert.metadata.mitre_technique_id", "alert.metadata.cve", "alert.source.ip", "alert.target.ip",
    "alert.source.port", "alert.target.port", "alert.reference", "tenant_id", "fileinfo.filename", "fileinfo.sha256",
    "fileinfo.md5", "fileinfo.sha1", "files", "dns.query",
)  # fmt: skip
NO_RULE: Final = "alert event without a signature"


def severity_of(word: str) -> int:
    """OCSF's severity of Suricata's priority.

    >>> severity_of("1"), severity_of("3"), severity_of("255")
    (4, 2, 1)
    """
    if not word.isascii() or not word.isdecimal() or len(word) > 3 or int(word) == 0:
        return UNKNOWN
    return {1: HIGH, 2: MEDIUM, 3: LOW}.get(int(word), INFORMATIONAL)


def records(
    block: Block, times: np.ndarray, skipped: Skipped, inside: Inside
) -> tuple[str, pa.RecordBatch] | None:
    """Alerts of a block whose lines have a time and addresses."""
    good = block.filled("alert.signature_id") | block.filled("alert.signature")
    if not good.all():
        bad = block.line[~good]
        skipped.add(int(bad[0]), NO_RULE, len(bad))
        if not good.any():
            return None
        block, times = block.of(good), times[good]
    rows = len(block)

    def word(*paths: str, every: bool = False) -> Any:
        places = None
        for path in paths:
            if block.kinds(path).any():
                there = block.places(path)
                places = there if places is None else encode.either(places, there)
        return encode.constant("", rows) if places is None else column(places, every)

    columns: dict[str, Any] = {
        "ts": times,
        "rule": _numbered(word("alert.gid"), word("alert.signature_id")),
        "title": word("alert.signature"),
        "category": word("alert.category"),
        "severity": word("alert.severity"),
        "action": word("alert.action"),
        "src": word("src_ip"),
        "dst": word("dest_ip"),
        "src_port": encode.clamped(block.integers("src_port")),
        "dst_port": encode.clamped(block.integers("dest_port")),
        "protocol": word("proto"),
        "name": _asked(block, word),
        "attack": word("alert.metadata.mitre_technique_id", every=True),
        "cve": either(word("alert.metadata.cve", every=True), word("alert.reference", every=True)),
        "digest": word("fileinfo.sha256", "fileinfo.sha1", "fileinfo.md5"),
        "path": word("fileinfo.filename").cast(pa.string()),
        "site": word("tenant_id"),
        "raw": raw_of(block),
    }
    _aimed(block, columns, word)
    if block.kinds("files").any():
        first = first_member(block.places("files"), "filename")
        columns["path"] = either(word("fileinfo.filename"), encode.words(first)).cast(pa.string())
        columns["digest"] = either(
            columns["digest"], encode.words(first_member(block.places("files"), "sha256"))
        )
    settled(columns, severity_of, fixed=True)
    columns["product"] = encode.constant("suricata", rows)
    return alerts(rows, "eve", columns, inside, block.line - 1)


def _numbered(group: Any, number: Any) -> Any:
    """The number of a rule; of other groups than 1 with its group."""
    other = rewritten(group, lambda word: "" if word in ("", "1") else word + ":")
    if other.dictionary.to_pylist() == [""]:
        return number
    import pyarrow.compute as pc

    whole = pc.binary_join_element_wise(other.cast(pa.string()), number.cast(pa.string()), "")
    return whole.dictionary_encode()


def _asked(block: Block, word: Any) -> Any:
    """The host or URL that it was about."""
    host, url = word("http.hostname"), word("http.url")
    named = either(host, word("tls.sni", "quic.sni", "dns.rrname"))
    for path in ("dns.query", "dns.queries"):
        if block.kinds(path).any():
            named = either(named, encode.words(first_member(block.places(path), "rrname")))
    if not block.kinds("http.url").any():
        return named
    import pyarrow.compute as pc

    address = held({"ts": block.line, "url": url}, "url").cast(pa.string())
    absolute = pc.match_substring(address, "://")
    joined = pc.if_else(absolute, address, pc.binary_join_element_wise(named.cast(pa.string()), address, ""))
    return pc.if_else(pc.equal(address, ""), named.cast(pa.string()), joined).dictionary_encode()


def _aimed(block: Block, columns: dict[str, Any], word: Any) -> None:
    """Source and destination as the rule's target says."""
    said = block.filled("alert.target.ip") & block.filled("alert.source.ip")
    if said.any():
        columns["src"] = chosen(said, word("alert.source.ip"), columns["src"])
        columns["dst"] = chosen(said, word("alert.target.ip"), columns["dst"])
        for name, side in (("src_port", "source"), ("dst_port", "target")):
            ports = encode.clamped(block.integers(f"alert.{side}.port"))
            columns[name] = np.where(said, ports, columns[name])
