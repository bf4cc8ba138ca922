"""Rows of the packet-writing kernel as columns of the packet record, in time order, in one pass."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit

from andon.records import packet

from ..internet import frames
from ..internet import session as s
from ..internet.options import OptionTable, PayloadTable

_LAYER: Final = np.array([packet.TCP, packet.UDP, packet.ICMP, packet.ICMP], np.uint8) | packet.IPV4
_PROTOCOL: Final = np.array([6, 17, 1, 1], np.uint8)
_WIDTH: Final = {"8": np.uint8, "16": np.uint16, "32": np.uint32, "64": np.uint64}
# The columns that the kernel writes, grouped by width so that it has few arguments.
_LONG: Final = ("ts", "tcp_options")
_WORD: Final = ("src", "dst", "tcp_seq", "tcp_ack", "cap_len")
_HALF: Final = ("src_port", "dst_port", "ip_id", "tcp_window", "ip_len", "frag", "tcp_mss")
_BYTE: Final = ("proto", "tcp_flags", "ttl", "layers", "tos", "icmp_type", "icmp_code", "tcp_hlen")


@njit(cache=True, nogil=True)
def _gather(rows, order, opt_len, opt_mss, opt_layout, udp_len, protocol, layer, long, word, half, byte):  # type: ignore[no-untyped-def]
    for i in range(len(order)):
        r = rows[order[i]]
        kind = r.kind
        long[0, i] = np.uint64(r.ts)
        word[0, i] = r.src
        word[1, i] = r.dst
        half[2, i] = r.ip_id
        half[5, i] = r.frag
        byte[0, i] = protocol[kind]
        byte[2, i] = r.ttl
        byte[3, i] = layer[kind]
        byte[4, i] = r.tos
        tcp = kind == s.TCP
        ported = kind <= s.UDP
        olen = opt_len[r.options] if tcp else np.uint8(0)
        long[1, i] = opt_layout[r.options] if tcp else np.uint64(0)
        half[6, i] = opt_mss[r.options] if tcp else np.uint16(0)
        byte[7, i] = np.uint8(20 + olen) if tcp else np.uint8(0)
        word[2, i] = r.seq if tcp else np.uint32(0)
        word[3, i] = r.ack if tcp else np.uint32(0)
        half[3, i] = r.window if tcp else np.uint16(0)
        byte[1, i] = r.flags if tcp else np.uint8(0)
        half[0, i] = r.sport if ported else np.uint16(0)
        half[1, i] = r.dport if ported else np.uint16(0)
        byte[5, i] = np.uint8(0) if ported else r.icmp_type
        byte[6, i] = np.uint8(0) if ported else r.icmp_code
        if tcp:
            total: Any = 40 + np.int64(olen)
        elif kind == s.UDP:
            total = 28 + np.int64(udp_len[r.dport])
        elif kind == s.ECHO:
            total = 28 + frames.ECHO_DATA
        else:
            total = 28 + frames.ERROR_QUOTE
        half[4, i] = np.uint16(total)
        word[4, i] = np.uint32(14 + total)


class Columns:
    """Makes batches of ``andon.records.packet.SCHEMA``; equal to ``internet.capture.record_batch``, but faster."""

    def __init__(self, options: OptionTable, payloads: PayloadTable) -> None:
        self._options = options
        number = payloads.of_port
        self._udp = np.where(number > 0, payloads.length[number], frames.PLAIN_UDP).astype(np.uint16)
        self._constant: dict[tuple[str, int], pa.Array] = {}

    def batch(self, rows: np.ndarray, order: np.ndarray) -> pa.RecordBatch:
        """``rows[order]`` as a batch that owns its memory."""
        n, o = len(order), self._options
        made = [
            np.empty((len(names), n), _WIDTH[width])
            for names, width in ((_LONG, "64"), (_WORD, "32"), (_HALF, "16"), (_BYTE, "8"))
        ]
        _gather(rows, order, o.length, o.mss, o.layout, self._udp, _PROTOCOL, _LAYER, *made)
        found = {
            name: block[i]
            for names, block in zip((_LONG, _WORD, _HALF, _BYTE), made, strict=True)
            for i, name in enumerate(names)
        }
        arrays: list[pa.Array] = []
        for field in packet.SCHEMA:
            if field.name == "wire_len":
                arrays.append(arrays[-1])  # as captured, whole
            elif field.name in found:
                arrays.append(
                    pa.Array.from_buffers(field.type, n, [None, pa.py_buffer(found[field.name].data)])
                )
            else:
                arrays.append(self._same(field, n))
        return pa.RecordBatch.from_arrays(arrays, schema=packet.SCHEMA)

    def _same(self, field: pa.Field, n: int) -> pa.Array:
        """A column of one value: no VLAN, no IPv6 address."""
        key = (field.name, n)
        if key not in self._constant:
            value = packet.NO_VLAN if field.name == "vlan_id" else 0
            width = field.type.bit_width // 8
            data = np.full(n, value, np.uint16) if width == 2 else np.zeros(n * width, np.uint8)
            self._constant = {k: v for k, v in self._constant.items() if k[0] != field.name}
            self._constant[key] = pa.Array.from_buffers(field.type, n, [None, pa.py_buffer(data.data)])
        return self._constant[key]
