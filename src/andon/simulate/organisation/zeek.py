"""What Zeek, standing between the terminals and a transparent proxy, writes of the same lines: conn, http, ssl and dns.

Lines of a terminal to a host within 15 s of one another share a connection (within a block); plain HTTP is in http.log,
TLS (whether the proxy opens it or not) in ssl.log with its server name, and the first contact of a terminal with a name
within a block in dns.log. Tunnels that the proxy refused are connections without ssl.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from . import flows as inside
from . import sites as where
from .lines import CONNECT, METHODS, NO_TUNNEL, REFUSED, STATUS
from .paths import MIMES, Paths
from .people import AGENTS, People
from .scenario import DAY, Scenario
from .sites import Sites

_ID: Final = [("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"), ("id.resp_p", "port")]
_HEAD: Final = [("ts", "time"), ("uid", "string"), *_ID]
COLUMNS: Final = {
    "conn": [*_HEAD, ("proto", "enum"), ("service", "string"), ("duration", "interval"), ("orig_bytes", "count"),
             ("resp_bytes", "count"), ("conn_state", "string"), ("local_orig", "bool"), ("local_resp", "bool"),
             ("missed_bytes", "count"), ("history", "string"), ("orig_pkts", "count"), ("orig_ip_bytes", "count"),
             ("resp_pkts", "count"), ("resp_ip_bytes", "count"), ("tunnel_parents", "set[string]")],
    "http": [*_HEAD, ("trans_depth", "count"), ("method", "string"), ("host", "string"), ("uri", "string"),
             ("referrer", "string"), ("version", "string"), ("user_agent", "string"), ("request_body_len", "count"),
             ("response_body_len", "count"), ("status_code", "count"), ("status_msg", "string"),
             ("resp_mime_types", "vector[string]")],
    "ssl": [*_HEAD, ("version", "string"), ("cipher", "string"), ("server_name", "string"), ("resumed", "bool"),
            ("established", "bool")],
    "dns": [*_HEAD, ("proto", "enum"), ("trans_id", "count"), ("rtt", "interval"), ("query", "string"),
            ("qclass_name", "string"), ("qtype_name", "string"), ("rcode", "count"), ("rcode_name", "string"),
            ("AA", "bool"), ("TC", "bool"), ("RD", "bool"), ("RA", "bool"), ("answers", "vector[string]"),
            ("TTLs", "vector[interval]"), ("rejected", "bool")],
}  # fmt: skip
_TOGETHER: Final = 15_000  # ms
_HISTORY: Final = ("ShADadFf", "S", "Sr", "ShAd", "ShADaR")
Columns = dict[str, Any]


class Zeek:
    """Writes ``folder/conn.log`` and, with ``every``, the others. ``rows`` counts the flows."""

    def __init__(
        self, scenario: Scenario, who: People, dest: Sites, pool: Paths, folder: Path, every: bool
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.scenario, self.who, self.dest, self.every, self.rows = scenario, who, dest, every, 0
        self._server = pa.array(where.dotted(dest.server))
        self._clear = dest.via >= where.PLAIN
        port = np.where(dest.via < where.PLAIN, 443, np.where(dest.via == where.PLAIN, 80, dest.port))
        self._port = port.astype(np.int32)
        self._path, self._origin = pool.text, dest.origin
        self._mime = pa.array([MIMES[m] for m in pool.mime.tolist()])
        self._day, self._addresses = -1, pa.array([], pa.string())
        self._names = pc.match_substring_regex(dest.names, r"^[0-9.]+$").to_numpy(zero_copy_only=False)
        self.files = {name: (folder / f"{name}.log").open("wb") for name in (COLUMNS if every else ("conn",))}
        for name, file in self.files.items():
            fields, types = zip(*COLUMNS[name], strict=True)
            opened = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n"
            named, typed = "\t".join(fields), "\t".join(types)
            file.write(f"{opened}#path\t{name}\n#fields\t{named}\n#types\t{typed}\n".encode())

    def close(self) -> None:
        for file in self.files.values():
            file.write(b"#close\t-\n")
            file.close()

    def _set_day(self, day: int) -> None:
        if day != self._day:
            both = self.who.addresses(max(day - 1, 0)) + self.who.addresses(day)
            self._day, self._addresses = day, pa.array(both)  # of the day before, and of this one

    def web(self, block: np.ndarray) -> None:
        """A block of the proxy's lines, all of one day."""
        block = block[block["elapsed"] >= 0]
        if not len(block):
            return
        self._set_day(int(block["ts"][0] + block["elapsed"][0]) // DAY)
        order = np.lexsort((block["ts"], block["host"], block["terminal"]))
        rows = block[order]
        gap = np.diff(rows["ts"], prepend=-(1 << 60)) > _TOGETHER
        other = (np.diff(rows["terminal"], prepend=-1) != 0) | (np.diff(rows["host"], prepend=-1) != 0)
        opens = gap | other | (rows["method"] == CONNECT)
        at = np.nonzero(opens)[0]
        group = np.cumsum(opens) - 1
        ends = np.maximum.reduceat(rows["ts"] + rows["elapsed"], at)
        key = (rows["ts"][at] << 21) + np.arange(len(at))
        first = rows[at]
        port = 1024 + (key * 2_654_435_761 >> 7) % 64_000
        tunnel = ~self._clear[first["host"]]
        refused = tunnel & np.isin(first["status"], (*REFUSED, NO_TUNNEL))
        head = self._head(first["ts"], key, first["terminal"], port, self._server.take(pa.array(first["host"])),
                          self._port[first["host"]])  # fmt: skip
        out, back = (
            np.add.reduceat(rows["sent"].astype(np.int64), at),
            np.add.reduceat(rows["size"].astype(np.int64), at),
        )
        service = pa.array(["http", "ssl", "-"]).take(pa.array(np.where(refused, 2, tunnel.astype(int))))
        self._conn(
            head,
            np.zeros(len(at), np.int64),
            service,
            ends - first["ts"],
            out,
            back,
            np.zeros(len(at), np.int64),
        )
        if not self.every:
            return
        seen = tunnel & ~refused
        self._write("ssl", self._some(head, seen), {
            "version": "TLSv13", "cipher": "TLS_AES_128_GCM_SHA256",
            "server_name": pc.if_else(pa.array(self._names[first["host"][seen]]), "-",
                                      self.dest.names.take(pa.array(first["host"][seen]))),
            "resumed": "F", "established": "T",
        })  # fmt: skip
        self._http(rows, head, group, at)
        self._dns(first, key, port)

    def _http(self, rows: np.ndarray, head: Columns, group: np.ndarray, at: np.ndarray) -> None:
        (mine,) = np.nonzero(self._clear[rows["host"]] & (rows["method"] != CONNECT))
        line = rows[mine]
        pick = pa.array(group[mine])
        tail = (
            np.where(line["tail"] > 0, np.char.mod("%x", line["tail"]), "")
            if len(line)
            else np.array([], "U1")
        )
        uri = pc.binary_join_element_wise(
            self._path.take(pa.array(line["path"])), pa.array(tail.astype("U8")), ""
        )
        told = line["ref_host"] >= 0
        referer = pc.binary_join_element_wise(
            self._origin.take(pa.array(line["ref_host"], mask=~told)),
            self._path.take(pa.array(line["ref_path"], mask=~told)), "",
        ).fill_null("-")  # fmt: skip
        code = pa.array([str(status) for _, status in STATUS]).take(pa.array(line["status"]))
        columns = {name: value.take(pick) for name, value in head.items()}
        columns["ts"] = self._seconds(self.scenario.begin + line["ts"])
        empty = np.isin(line["status"], (3, 4, 12))
        self._write("http", columns, {
            "trans_depth": pa.array(mine - at[group[mine]] + 1),
            "method": pa.array(list(METHODS)).take(pa.array(line["method"])),
            "host": self.dest.names.take(pa.array(line["host"])), "uri": uri, "referrer": referer, "version": "1.1",
            "user_agent": pa.array(list(AGENTS)).take(pa.array(line["agent"])),
            "request_body_len": pa.array(np.where(line["method"] == 1, line["sent"], 0)),
            "response_body_len": pa.array(line["size"]), "status_code": pc.if_else(pc.equal(code, "0"), "-", code),
            "status_msg": "-",
            "resp_mime_types": pc.if_else(pa.array(empty), "-", self._mime.take(pa.array(line["path"]))),
        })  # fmt: skip

    def _dns(self, first: np.ndarray, key: np.ndarray, port: np.ndarray) -> None:
        pair = first["terminal"].astype(np.int64) * self.dest.count + first["host"]
        _, at = np.unique(pair, return_index=True)
        at = at[~self._names[first["host"][at]]]
        one, rtt = first[at], 1 + key[at] % 60
        begun = one["ts"] - rtt - 2
        resolver = pa.array(["10.10.0.10", "10.10.0.11"]).take(pa.array((key[at] >> 21) & 1))
        columns = self._head(
            begun, key[at] + (1 << 20), one["terminal"], port[at], resolver, np.full(len(at), 53)
        )
        self._write("dns", columns, {
            "proto": "udp", "trans_id": pa.array(key[at] % 65_536), "rtt": self._seconds(rtt),
            "query": self.dest.names.take(pa.array(one["host"])), "qclass_name": "C_INTERNET", "qtype_name": "A",
            "rcode": "0", "rcode_name": "NOERROR", "AA": "F", "TC": "F", "RD": "T", "RA": "T",
            "answers": self._server.take(pa.array(one["host"])), "TTLs": "300.000000", "rejected": "F",
        })  # fmt: skip

    def inside(self, made: np.ndarray) -> None:
        """Flows (``flows.FLOW``) of one day, in time order."""
        if not len(made):
            return
        self._set_day(int(made["ts"][0]) // DAY)
        kinds, codes = np.unique(made["dst"], return_inverse=True)
        target = pa.array(where.dotted(kinds)).take(pa.array(codes))
        key = (made["ts"] << 21) + (1 << 19) + np.arange(len(made)) % (1 << 19)
        head = self._head(made["ts"], key, made["terminal"], made["sport"], target, made["dport"])
        service = pa.array(list(inside.SERVICES)).take(pa.array(made["service"]))
        local = (made["dst"] >> 24) == 10
        self._conn(head, made["protocol"].astype(np.int64), service, made["duration"], made["out"], made["back"],
                   made["state"].astype(np.int64), local)  # fmt: skip

    def _conn(
        self, head: Columns, protocol: np.ndarray, service: pa.Array, duration: np.ndarray, out: np.ndarray,
        back: np.ndarray, state: np.ndarray, local: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self.rows += len(duration)
        quiet = (state == inside.S0) | (state == inside.REJ)
        packets = (
            np.where(quiet, 1, out // 1200 + 4),
            np.where(state == inside.S0, 0, np.where(quiet, 1, back // 1300 + 3)),
        )
        unset = pa.array(quiet)
        there = np.zeros(len(duration), bool) if local is None else local
        self._write("conn", head, {
            "proto": pa.array(["tcp", "udp"]).take(pa.array(protocol)), "service": service,
            "duration": pc.if_else(unset, "-", pc.cast(self._seconds(duration), pa.string())),
            "orig_bytes": pc.if_else(unset, "-", pc.cast(pa.array(out), pa.string())),
            "resp_bytes": pc.if_else(unset, "-", pc.cast(pa.array(back), pa.string())),
            "conn_state": pa.array(list(inside.STATES)).take(pa.array(state)), "local_orig": "T",
            "local_resp": pa.array(["F", "T"]).take(pa.array(there.astype(np.int8))), "missed_bytes": "0",
            "history": pa.array(list(_HISTORY)).take(pa.array(state)), "orig_pkts": pa.array(packets[0]),
            "orig_ip_bytes": pa.array(out + 40 * packets[0]), "resp_pkts": pa.array(packets[1]),
            "resp_ip_bytes": pa.array(back + 40 * packets[1]), "tunnel_parents": "-",
        })  # fmt: skip

    def _head(
        self,
        ts: np.ndarray,
        key: np.ndarray,
        terminal: np.ndarray,
        port: np.ndarray,
        target: pa.Array,
        to: np.ndarray,
    ) -> Columns:
        client = terminal + np.where(ts >= self._day * DAY, self.who.count, 0)
        uid = pc.binary_join_element_wise("C", pc.cast(pa.array(key), pa.string()), "")
        return {
            "ts": self._seconds(self.scenario.begin + ts), "uid": uid,
            "id.orig_h": self._addresses.take(pa.array(client)),
            "id.orig_p": pa.array(port), "id.resp_h": target, "id.resp_p": pa.array(to),
        }  # fmt: skip

    @staticmethod
    def _some(head: Columns, kept: np.ndarray) -> Columns:
        return {name: value.filter(pa.array(kept)) for name, value in head.items()}

    @staticmethod
    def _seconds(ms: np.ndarray) -> pa.Array:
        """Milliseconds as seconds with six digits behind the point."""
        words = np.zeros((len(ms), 2), np.int64)
        words[:, 0] = np.asarray(ms, np.int64) * 1000
        return pa.Array.from_buffers(pa.decimal128(19, 6), len(ms), [None, pa.py_buffer(words)])

    def _write(self, name: str, head: Columns, rest: Columns) -> None:
        """Rows of ``COLUMNS[name]`` in their order; a text stands for all rows."""
        columns, count = {**head, **rest}, len(head["ts"])
        if not count:
            return
        made = [
            pa.repeat(columns[field], count) if isinstance(columns[field], str) else columns[field]
            for field, _ in COLUMNS[name]
        ]
        table = pa.table(made, names=[field for field, _ in COLUMNS[name]])
        # A block is put together by terminal; Zeek writes by time.
        table = table.take(pc.sort_indices(table.column("ts")))
        table = pa.table([pc.cast(c, pa.string()) if pa.types.is_decimal(c.type) else c for c in table.columns],
                         names=table.column_names)  # fmt: skip
        options = pcsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
        pcsv.write_csv(table, self.files[name], options)
