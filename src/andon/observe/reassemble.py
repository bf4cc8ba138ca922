"""IPv6 fragments put together again, as tshark does by default, for the counts.

A first fragment alone shows no transport header there: the whole datagram is looked at in the packet that
completes it. Bounded: at most ``_MOST`` datagrams and ``_BYTES`` bytes wait; the oldest gives way.
"""

from __future__ import annotations

from typing import Final

_MOST: Final = 4096
_BYTES: Final = 16 << 20
_LONGEST: Final = 65_535
_PIECES: Final = 2048


class _Datagram:
    def __init__(self) -> None:
        self.pieces: dict[int, bytes] = {}
        self.size = 0
        self.total = -1
        self.protocol = -1


class Reassembly:
    """Pieces in, whole datagrams out."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, _Datagram] = {}
        self._held = 0
        self.given_up = 0

    def add(
        self, key: bytes, protocol: int, offset: int, more: bool, piece: bytes
    ) -> tuple[int, bytes] | None:
        """Add one piece; (protocol, payload) when it completes its datagram.

        ``key`` is source, destination and identification, ``offset`` in bytes.
        """
        if offset + len(piece) > _LONGEST:
            return None
        datagram = self._waiting.get(key)
        if datagram is None:
            datagram = self._waiting[key] = _Datagram()
        if offset not in datagram.pieces:
            datagram.pieces[offset] = piece
            datagram.size += len(piece)
            self._held += len(piece)
        if offset == 0:
            datagram.protocol = protocol
        if not more:
            datagram.total = offset + len(piece)
        whole = self._whole(datagram)
        if whole is not None or len(datagram.pieces) > _PIECES:
            self._drop(key)
        while len(self._waiting) > _MOST or self._held > _BYTES:
            self._drop(next(iter(self._waiting)))
            self.given_up += 1
        return None if whole is None else (datagram.protocol, whole)

    def _whole(self, datagram: _Datagram) -> bytes | None:
        # Cheap first: only when enough bytes are there can they fit together.
        if datagram.total < 0 or datagram.size < datagram.total or 0 not in datagram.pieces:
            return None
        whole = bytearray()
        for offset in sorted(datagram.pieces):
            if offset > len(whole):
                return None
            whole[offset:] = datagram.pieces[offset]
        return bytes(whole[: datagram.total]) if len(whole) >= datagram.total else None

    def _drop(self, key: bytes) -> None:
        self._held -= self._waiting.pop(key).size
