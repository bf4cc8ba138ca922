"""Events of Suricata as contacts and flows (``eve``); field names as in the Suricata user guide, "EVE JSON format".

The shapes of three versions of DNS events are read: one event for each answer (1), answers in a list (2), questions in
a list as well and other names of the types (3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.alerts.eve import PATHS as ALERT_PATHS
from andon.observe.jsonlines import NO_TIME, Block, Paths, Skipped
from andon.observe.jsonlines.kernel import ABSENT
from andon.observe.logs.encode import (
    Places,
    clamped,
    constant,
    contacts,
    either,
    flows,
    lowered,
    one_of,
    texts,
    words,
)
from andon.observe.logs.questions import ASIDE, asked, by_code, undotted
from andon.observe.logs.target import ABSOLUTE_HTTPS, ABSOLUTE_OTHER, CONNECT, DIRECT, first_member, target
from andon.records.contact import DNS, HTTP, TLS, TUNNEL

PATHS: Final = Paths(
    [
        "event_type", "timestamp", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "app_proto",
        "http.hostname", "http.url", "http.http_user_agent", "http.http_content_type", "http.http_refer",
        "http.http_method", "http.status", "http.redirect", "http.length", "tls.sni", "quic.sni",
        "dns.type", "dns.rrname", "dns.rrtype", "dns.rcode", "dns.rdata", "dns.answers", "dns.queries",
        "flow.start", "flow.end", "flow.pkts_toserver", "flow.pkts_toclient", "flow.bytes_toserver",
        "flow.bytes_toclient", "flow.state", "tcp.tcp_flags",
        "netflow.pkts", "netflow.bytes", "netflow.start", "netflow.end", *ALERT_PATHS,
    ]
)  # fmt: skip
Record = tuple[str, pa.RecordBatch]
_RCODES: Final = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
)  # fmt: skip
_TCP: Final = ((0x02, "S"), (0x10, "A"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x20, "U"))


def timed(block: Block, event: str, skipped: Skipped) -> tuple[Block, np.ndarray]:
    """The lines that have a time and addresses, and their times (ns): of flows when they began."""
    times = block.times("timestamp")
    if event in ("flow", "netflow"):
        began = block.times(f"{event}.start")
        times = np.where(began == NO_TIME, times, began)
    good = times != NO_TIME
    if event != "alert":  # a packet that is none of IP sets off rules, too
        good &= block.filled("src_ip") & block.filled("dest_ip")
    if not good.all():
        bad = block.line[~good]
        what = "a time" if event == "alert" else "a time or an address"
        skipped.add(int(bad[0]), f"{event} event without {what}", len(bad))
        block, times = block.of(good), times[good]
    return block, times


def _port(block: Block, path: str) -> np.ndarray:
    return clamped(block.integers(path))


def _client(place: Places, times: np.ndarray) -> dict[str, Any]:
    client = words(place)
    return {"ts": times, "terminal": client, "address": client}


def _http(block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
    server = block.places("dest_ip")
    method = block.places("http.http_method")
    aim = target(
        method, block.places("http.url"), block.places("http.hostname"), server, _port(block, "dest_port")
    )
    nowhere = aim.host[3] == ABSENT
    if nowhere.any():
        bad = block.line[nowhere]
        skipped.add(int(bad[0]), "http event without a host", len(bad))
        return _http(block.of(~nowhere), times[~nowhere], skipped) if not nowhere.all() else None
    direct, tunnel = aim.form == DIRECT, aim.form == CONNECT
    status = clamped(block.integers("http.status"), 9999)
    scheme = np.select([tunnel | (aim.form == ABSOLUTE_OTHER), aim.form == ABSOLUTE_HTTPS], [0, 2], 1)
    return contacts(
        len(block),
        "suricata-http",
        {
            **_client(block.places("src_ip"), times),
            "host": lowered(words(aim.host)),
            "port": aim.port,
            "server": words((*server[:3], np.where(direct, server[3], ABSENT))),
            "via": one_of([HTTP, TUNNEL], tunnel),
            "scheme": one_of(["", "http", "https"], scheme),
            "method": words(method),
            "path": texts(aim.path),
            "status": status,
            "refused": (status == 407) | (tunnel & (status == 403)),
            "bytes_in": block.integers("http.length"),
            "referer": texts(block.places("http.http_refer")),
            "agent": words(block.places("http.http_user_agent")),
            "mime": words(block.places("http.http_content_type")),
            "location": texts(block.places("http.redirect")),
        },
    )


def _named(source: str, path: str) -> Callable[[Block, np.ndarray, Skipped], Record | None]:
    def made(block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
        if source == "suricata-quic":  # one event for each side; the client's has the name
            named = block.filled(path)
            skipped.leave("quic events of Suricata without a name", len(named) - int(named.sum()))
            if not named.any():
                return None
            block, times = block.of(named), times[named]
        server, port = block.places("dest_ip"), _port(block, "dest_port")
        return contacts(
            len(block),
            source,
            {
                **_client(block.places("src_ip"), times),
                "host": lowered(words(either(undotted(block.places(path)), server))),
                "port": port,
                "server": words(server),
                "via": constant(TLS, len(block)),
                "scheme": one_of(["", "https"], port == 443),
            },
        )

    return made


def _dns(block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
    ours, theirs = _port(block, "src_port"), _port(block, "dest_port")
    turned = (ours == 53) & (theirs != 53)  # an answer, logged as it went
    name = either(block.places("dns.rrname"), first_member(block.places("dns.queries"), "rrname"))
    kind = either(first_member(block.places("dns.queries"), "rrtype"), block.places("dns.rrtype"))
    host, types, keep = asked(name, kind, np.where(turned, ours, theirs))
    skipped.leave(ASIDE, len(keep) - int(keep.sum()))
    if not keep.any():
        return None
    block, times, turned, kept = block.of(keep), times[keep], turned[keep], pa.array(keep)
    source, destination = block.places("src_ip"), block.places("dest_ip")
    begins, ends, kinds = (np.where(turned, b, a) for a, b in zip(source[1:], destination[1:], strict=True))
    client = (source[0], begins, ends, kinds)
    rcode = words(block.places("dns.rcode"))
    codes = by_code(rcode, pc.index_in(rcode.dictionary, pa.array(_RCODES)).fill_null(-1))
    answer = either(
        first_member(block.places("dns.answers"), "rdata", addresses=True), _address(block, "dns.rdata")
    )
    return contacts(
        len(block),
        "suricata-dns",
        {
            **_client(client, times),
            "host": host.filter(kept),
            "server": words(answer),
            "via": constant(DNS, len(block)),
            "method": types.filter(kept),
            "status": codes,
        },
    )


def _address(block: Block, path: str) -> Places:
    """Values that are addresses."""
    from andon.observe.logs.target import first_item

    return first_item(block.places(path), addresses=True)


def _ends(block: Block, times: np.ndarray, event: str) -> dict[str, Any]:
    source = words(block.places("src_ip"))
    protocol = lowered(words(block.places("proto")))
    end = block.times(f"{event}.end")
    length = np.where((end == NO_TIME) | (end < times), -1, end - np.where(end == NO_TIME, 0, times))
    service = words(block.places("app_proto"))
    known = pc.if_else(pc.is_in(service.dictionary, pa.array(["failed"])), "", service.dictionary)
    return {
        "ts": times,
        "duration": length,
        "terminal": source,
        "src": source,
        "dst": words(block.places("dest_ip")),
        "src_port": _port(block, "src_port"),
        "dst_port": _port(block, "dest_port"),
        "protocol": protocol,
        "service": pa.DictionaryArray.from_arrays(service.indices, known),
    }


def _flow(block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
    back = block.integers("flow.pkts_toclient")
    return flows(
        len(block),
        "suricata-flow",
        {
            **_ends(block, times, "flow"),
            "state": words(block.places("flow.state")),
            "answered": pa.array(back > 0, mask=back < 0),
            "bytes_out": block.integers("flow.bytes_toserver"),
            "bytes_in": block.integers("flow.bytes_toclient"),
            "packets_out": block.integers("flow.pkts_toserver"),
            "packets_in": back,
        },
    )


def _netflow(block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
    flags = words(block.places("tcp.tcp_flags"))
    said = pa.array([_letters(text) for text in flags.dictionary.to_pylist()], pa.string())
    return flows(
        len(block),
        "suricata-netflow",
        {
            **_ends(block, times, "netflow"),
            "state": pa.DictionaryArray.from_arrays(flags.indices, said),
            "bytes_out": block.integers("netflow.bytes"),
            "packets_out": block.integers("netflow.pkts"),
        },
    )


def _letters(flags: str) -> str:
    """``"1b"`` (hex) as ``"SAFP"``."""
    try:
        bits = int(flags, 16) if len(flags) <= 4 else 0
    except ValueError:
        bits = 0
    return "".join(letter for bit, letter in _TCP if bits & bit)


RECORDS: Final[Mapping[str, Callable[[Block, np.ndarray, Skipped], Record | None]]] = MappingProxyType(
    {
        "http": _http,
        "tls": _named("suricata-tls", "tls.sni"),
        "quic": _named("suricata-quic", "quic.sni"),
        "dns": _dns,
        "flow": _flow,
        "netflow": _netflow,
    }
)
