"""The kernel's receive ring (TPACKET_V3) as a stream of pcap bytes.

The kernel writes packets into blocks of memory that this process maps, and hands over a block when it is full or
some milliseconds old; so a packet costs no system call. One compiled pass copies a block's packets out as pcap
records (nanoseconds, Ethernet), with the VLAN tags that the kernel took off put back. The reader of captures does
the rest, so live packets and files go through the same code.

Kernel documentation: packet_mmap; layout of ``tpacket_block_desc`` and ``tpacket3_hdr`` in linux/if_packet.h.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numba import njit

SNAP = 256  # bytes of a packet that are kept: all headers, with room for tunnels
_SOL_PACKET, _ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION = 263, 1, 5, 6, 10
_TPACKET_V3, _PROMISCUOUS, _ETH_P_ALL = 2, 1, 3
_BLOCK = 1 << 20
_RETIRE_MS = 60
_USER = 1  # block status: ours
_OUTGOING = 4
_VLAN_VALID, _TPID_VALID = 1 << 4, 1 << 6
_SIOCGIFFLAGS, _SIOCGIFHWADDR, _IFF_UP = 0x8913, 0x8927, 1
_LINK_TYPES = {
    1: 1,
    772: 1,
    65534: 101,
    768: 101,
    776: 101,
    778: 101,
}  # ARPHRD -> LINKTYPE: Ethernet, lo, tunnels
_LARGEST = 16 + SNAP + 4


@njit(cache=True, nogil=True)
def copy_packets(block: Any, out: Any, state: Any) -> Any:
    """Packets of a block as pcap records into ``out``; gives the bytes written.

    ``state``: offset of the next packet in the block, packets left, packets skipped because this host sent them."""
    at, left = np.int64(state[0]), np.int64(state[1])
    n = np.int64(0)
    while left > 0 and n + _LARGEST <= out.shape[0]:
        word = block[at : at + 48].view(np.uint32)
        nsec, snap, wire, status = word[2], word[3], word[4], word[5]
        sec = word[1]
        mac = np.int64(block[at + 24]) | np.int64(block[at + 25]) << 8
        left -= 1
        begin = at + mac
        if block[at + 48 + 10] == _OUTGOING:
            state[2] += 1
        else:
            tagged = status & np.uint32(_VLAN_VALID) != 0 and snap >= 14
            size = min(np.int64(snap), np.int64(SNAP))
            extra = np.int64(4) if tagged else np.int64(0)
            head = out[n : n + 16].view(np.uint32)
            head[0], head[1] = sec, nsec
            head[2], head[3] = np.uint32(size + extra), np.uint32(np.int64(wire) + extra)
            n += 16
            if tagged:
                out[n : n + 12] = block[begin : begin + 12]
                tpid = np.uint32(0x8100)
                if status & np.uint32(_TPID_VALID) != 0:
                    tpid = word[9] & np.uint32(0xFFFF)
                tci = word[8]
                out[n + 12], out[n + 13] = np.uint8(tpid >> np.uint32(8)), np.uint8(tpid & np.uint32(0xFF))
                out[n + 14], out[n + 15] = (
                    np.uint8((tci >> np.uint32(8)) & np.uint32(0xFF)),
                    np.uint8(tci & np.uint32(0xFF)),
                )
                out[n + 16 : n + size + 4] = block[begin + 12 : begin + size]
            else:
                out[n : n + size] = block[begin : begin + size]
            n += size + extra
        at += np.int64(word[0])
    state[0], state[1] = at, left
    return n


class Ring:
    """An open ring on an interface. ``readinto`` waits for packets; after ``close`` it gives 0, the end.

    ``quiet``: ns (of ``clock``) when it last found nothing to give; 0 before. Raises OSError: no such interface, it is
    down, no right to capture (CAP_NET_RAW), or a kind of link whose packets we cannot read."""

    def __init__(
        self,
        interface: str,
        ring_bytes: int = 64 << 20,
        promiscuous: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.interface = interface
        self.closing = threading.Event()
        self.packets = self.drops = 0
        self.quiet = 0
        self._clock = clock
        self._blocks = max(4, ring_bytes // _BLOCK)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            link = _link_type(self._socket, interface)
            self._head = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAP + 4, link)
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
            frames = _BLOCK // 2048 * self._blocks
            request = struct.pack("IIIIIII", _BLOCK, self._blocks, 2048, frames, _RETIRE_MS, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, request)
            self._map = mmap.mmap(self._socket.fileno(), _BLOCK * self._blocks)
            self._socket.bind((interface, _ETH_P_ALL))
            if promiscuous:
                index = socket.if_nametoindex(interface)
                member = struct.pack("iHH8s", index, _PROMISCUOUS, 0, b"")
                self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
        except BaseException:
            self._socket.close()
            raise
        self._memory = np.frombuffer(self._map, np.uint8)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)
        self._block = 0
        self._state = np.zeros(3, np.int64)

    def read(self, n: int) -> bytes:
        """First bytes of the file header (to recognise the stream by)."""
        piece, self._head = self._head[:n], self._head[n:]
        return piece

    def readinto(self, view: Any) -> int:
        """Bytes of whole records written into ``view``; waits for at least one."""
        out = np.frombuffer(view, np.uint8)
        if self._head:
            size = min(len(self._head), len(out))
            out[:size] = np.frombuffer(self._head[:size], np.uint8)
            self._head = self._head[size:]
            return size
        while not self.closing.is_set():
            if not self._state[1] and not self._take_block():
                continue
            start = self._block * _BLOCK
            n = copy_packets(self._memory[start : start + _BLOCK], out, self._state)
            if not self._state[1]:
                self._give_back()
            elif n == 0:
                return 0 if len(out) < _LARGEST else n
            if n:
                return int(n)
        return 0

    def _take_block(self) -> bool:
        start = self._block * _BLOCK
        words = self._memory[start : start + 48].view(np.uint32)
        asked = self._clock()
        if not words[2] & _USER:
            self.quiet = asked
            for _, event in self._poll.poll(200):
                if event & select.POLLERR:
                    error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if error:
                        raise OSError(error, f"interface {self.interface} went away")
            return False
        self._state[0], self._state[1] = int(words[4]), int(words[3])
        if not words[3]:
            self._give_back()
            return False
        return True

    def _give_back(self) -> None:
        start = self._block * _BLOCK
        self._memory[start + 8 : start + 12].view(np.uint32)[0] = 0
        self._block = (self._block + 1) % self._blocks
        self._state[1] = 0

    def statistics(self) -> tuple[int, int]:
        """(packets, drops) of the kernel since the last call; asking resets them."""
        packets, drops, _ = struct.unpack("III", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        self.packets += packets
        self.drops += drops
        return packets, drops

    def close(self) -> None:
        """End the stream; the thread that reads it lets go within a fifth of a second."""
        self.closing.set()

    def release(self) -> None:
        """Give the memory and the socket back, once nobody reads any more."""
        self._memory = np.zeros(0, np.uint8)
        self._poll.unregister(self._socket)
        self._socket.close()
        with suppress(BufferError):  # an array still points into it: then the collector unmaps it
            self._map.close()


def _link_type(link: socket.socket, interface: str) -> int:
    """LINKTYPE of what the interface carries. Raises OSError."""
    name = interface.encode()
    if len(name) > 15:
        raise OSError(errno.ENODEV, "no such interface")
    request = struct.pack("16s24x", name)
    flags = fcntl.ioctl(link.fileno(), _SIOCGIFFLAGS, request)
    if not struct.unpack_from("H", flags, 16)[0] & _IFF_UP:
        raise OSError(errno.ENETDOWN, "it is down")
    answer = fcntl.ioctl(link.fileno(), _SIOCGIFHWADDR, request)
    kind = struct.unpack_from("H", answer, 16)[0]
    if kind not in _LINK_TYPES:
        raise OSError(
            errno.EPROTONOSUPPORT, f"its links are of kind {kind} (ARPHRD), only Ethernet and IP are read"
        )
    return _LINK_TYPES[kind]
