"""Lines of Zeek's http, dns, ssl and conn logs as contacts and flows, of its notice log as alerts.

Text and JSON logs have the same fields, and once their values are places in a buffer (``observe.jsonlines.Block``) they
are read alike. quic.log is not read: Zeek writes the handshake that it saw into ssl.log as well, and a contact counts
once. Of dns.log, questions for names of addresses (PTR) and of the local network (.local, single labels) are passed
over: they are no contact with a destination.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.alerts.columns import Inside
from andon.observe.jsonlines import NO_TIME, Block, Paths, Skipped
from andon.observe.jsonlines.kernel import ABSENT
from andon.observe.logs.encode import (
    clamped,
    constant,
    contacts,
    either,
    flows,
    lowered,
    nanoseconds,
    one_of,
    texts,
    words,
)
from andon.observe.logs.questions import ASIDE, asked, by_code, undotted
from andon.observe.logs.target import ABSOLUTE_HTTPS, ABSOLUTE_OTHER, CONNECT, DIRECT, first_item, target
from andon.records.contact import DNS, HTTP, TLS, TUNNEL

Record = tuple[str, pa.RecordBatch]

_ENDS: Final = ("id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "http": (
            "ts", *_ENDS, "trans_depth", "method", "host", "uri", "referrer", "user_agent", "request_body_len",
            "response_body_len", "status_code", "username", "resp_mime_types",
        ),
        "dns": ("ts", *_ENDS, "trans_id", "rtt", "query", "qtype", "qtype_name", "rcode", "answers"),
        "ssl": ("ts", *_ENDS, "cipher", "server_name", "established"),
        "conn": (
            "ts", *_ENDS, "proto", "service", "duration", "orig_bytes", "resp_bytes", "conn_state", "history",
            "orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes",
        ),
        "notice": ("ts", "uid", *_ENDS, "proto", "note", "msg", "sub", "src", "dst", "p", "dropped", "actions"),
    }
)  # fmt: skip
# Fields that a log has, by its name, where neither its #path nor _path tells which it is; the surest first.
MARKS: Final = (
    ("notice", "note"),
    ("quic", "client_initial_dcid"),
    ("http", "trans_depth"),
    ("conn", "conn_state"),
    ("dns", "trans_id"),
    ("x509", "certificate.version"),
    ("ssl", "cipher"),
    ("ssl", "established"),
    ("files", "fuid"),
)
_PTR: Final = 12
_HISTORY_OF_ANSWER: Final = "[a-z]"  # small letters are the responder's


def log_of(fields: Collection[str], path: str = "") -> str:
    """Name of the log that has these fields: what it says, else what the fields tell; "" for none that is known.

    >>> log_of(("ts", "uid", "trans_depth"), "http_eth0"), log_of((), "weird")
    ('http', 'weird')
    """
    if path in FIELDS:
        return path
    known = set(fields)
    return next((log for log, field in MARKS if field in known), path)


def paths_of(log: str) -> Paths:
    """Where the fields are, in text logs and in JSON."""
    return Paths([name.replace(".", "\\.") for name in FIELDS[log]])


class Reader:
    """Blocks of one log to records. ``names``: how the four ends of a connection are spelled, if not as in Zeek."""

    def __init__(
        self,
        names: Callable[[str], str] | None = None,
        has: Collection[str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self._inside = Inside(inside)
        self._name = names or (lambda field: field.replace(".", "\\."))
        self.has = has  # fields that the log has; None where lines leave out what is unset
        self.separator = ","

    def read(self, log: str, block: Block, skipped: Skipped) -> Iterator[Record]:
        times = block.times(self._name("ts"))
        good = times != NO_TIME
        if log != "notice":  # which may be about no connection
            good &= block.filled(self._name("id.orig_h"))
        if not good.all():
            for reason, rows in (
                ("no time", times == NO_TIME),
                ("no address of the client", times != NO_TIME),
            ):
                bad = block.line[rows & ~good]
                if len(bad):
                    skipped.add(int(bad[0]), f"{log} log of Zeek: {reason}", len(bad))
            block, times = block.of(good), times[good]
        if len(block):
            made = getattr(self, f"_{log}")(block, times, skipped)
            if made is not None:
                yield made

    def _places(self, block: Block, field: str) -> Any:
        return block.places(self._name(field))

    def _optional(self, block: Block, field: str, as_words: bool = True) -> pa.Array | None:
        if self.has is not None and field not in self.has:
            return None
        return (words if as_words else texts)(self._places(block, field))

    def _port(self, block: Block, field: str) -> np.ndarray:
        return clamped(block.integers(self._name(field)))

    def _client(self, block: Block, times: np.ndarray) -> dict[str, Any]:
        client = words(self._places(block, "id.orig_h"))
        return {"ts": times, "terminal": client, "address": client}

    def _http(self, block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
        server = self._places(block, "id.resp_h")
        aim = target(
            self._places(block, "method"), self._places(block, "uri"), self._places(block, "host"), server,
            self._port(block, "id.resp_p"),
        )  # fmt: skip
        nowhere = aim.host[3] == ABSENT
        if nowhere.any():
            bad = block.line[nowhere]
            skipped.add(int(bad[0]), "http log of Zeek: no host", len(bad))
            keep = ~nowhere
            return self._http(block.of(keep), times[keep], skipped) if keep.any() else None
        direct, tunnel = aim.form == DIRECT, aim.form == CONNECT
        status = clamped(block.integers("status_code"), 9999)
        proxied = np.where(direct, ABSENT, 1).astype(np.uint8)
        user = self._places(block, "username")  # of a proxy it is the terminal's; of a site it is not
        scheme = np.select([tunnel | (aim.form == ABSOLUTE_OTHER), aim.form == ABSOLUTE_HTTPS], [0, 2], 1)
        return contacts(
            len(block),
            "zeek-http",
            {
                **self._client(block, times),
                "user": words((*user[:3], user[3] * proxied)),
                "host": lowered(words(aim.host)),
                "port": aim.port,
                "server": words((*server[:3], np.where(direct, server[3], ABSENT))),
                "via": one_of([HTTP, TUNNEL], tunnel),
                "scheme": one_of(["", "http", "https"], scheme),
                "method": words(self._places(block, "method")),
                "path": texts(aim.path),
                "status": status,
                "refused": (status == 407) | (tunnel & (status == 403)),
                "bytes_in": block.integers("response_body_len"),
                "bytes_out": block.integers("request_body_len"),
                "referer": self._optional(block, "referrer", as_words=False),
                "agent": self._optional(block, "user_agent"),
                "mime": self._mime(block),
            },
        )

    def _mime(self, block: Block) -> pa.Array | None:
        if self.has is not None and "resp_mime_types" not in self.has:
            return None
        return words(first_item(self._places(block, "resp_mime_types"), self.separator))

    def _dns(self, block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
        port = self._port(block, "id.resp_p")
        host, kind, keep = asked(self._places(block, "query"), self._places(block, "qtype_name"), port)
        keep &= block.integers("qtype") != _PTR
        skipped.leave(ASIDE, len(keep) - int(keep.sum()))
        if not keep.any():
            return None
        block, times, kept = block.of(keep), times[keep], pa.array(keep)
        return contacts(
            len(block),
            "zeek-dns",
            {
                **self._client(block, times),
                "host": host.filter(kept),
                "server": words(first_item(self._places(block, "answers"), self.separator, addresses=True)),
                "via": constant(DNS, len(block)),
                "method": kind.filter(kept),
                "status": clamped(block.integers("rcode")),
                "duration": nanoseconds(block.numbers("rtt")),
            },
        )

    def _ssl(self, block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
        server = self._places(block, "id.resp_h")
        host = either(undotted(self._places(block, "server_name")), server)
        port = self._port(block, "id.resp_p")
        return contacts(
            len(block),
            "zeek-ssl",
            {
                **self._client(block, times),
                "host": lowered(words(host)),
                "port": port,
                "server": words(server),
                "via": constant(TLS, len(block)),
                "scheme": one_of(["", "https"], port == 443),
            },
        )

    def _conn(self, block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
        client = words(self._places(block, "id.orig_h"))
        protocol = words(self._places(block, "proto"))
        portless = by_code(protocol, pc.is_in(protocol.dictionary, pa.array(["icmp", "unknown_transport"])))
        back = block.integers("resp_pkts")
        return flows(
            len(block),
            "zeek-conn",
            {
                "ts": times,
                "duration": nanoseconds(block.numbers("duration")),
                "terminal": client,
                "src": client,
                "dst": words(self._places(block, "id.resp_h")),
                "src_port": np.where(portless, -1, self._port(block, "id.orig_p")),
                "dst_port": np.where(portless, -1, self._port(block, "id.resp_p")),
                "protocol": protocol,
                "service": words(self._places(block, "service")),
                "state": words(self._places(block, "conn_state")),
                "answered": self._answered(block, back),
                "bytes_out": block.integers("orig_bytes"),
                "bytes_in": block.integers("resp_bytes"),
                "packets_out": block.integers("orig_pkts"),
                "packets_in": back,
            },
        )

    def _notice(self, block: Block, times: np.ndarray, skipped: Skipped) -> Record | None:
        from andon.observe.alerts.notice import records

        return records(block, times, skipped, self._name, self._inside)

    def _answered(self, block: Block, back: np.ndarray) -> pa.Array:
        """Packets came back; where they are not counted, the history or the state tells."""
        known = back >= 0
        if known.all():
            return pa.array(back > 0)
        history, state = words(self._places(block, "history")), words(self._places(block, "conn_state"))
        small = by_code(history, pc.match_substring_regex(history.dictionary, _HISTORY_OF_ANSWER))
        counted = np.where(known, back > 0, small)
        known = known | block.filled("history")
        answered = by_code(state, pc.invert(pc.is_in(state.dictionary, pa.array(["S0", "SH", "OTH", ""]))))
        tells = by_code(state, pc.invert(pc.is_in(state.dictionary, pa.array(["OTH", ""]))))
        return pa.array(np.where(known, counted, answered), mask=~(known | tells))
