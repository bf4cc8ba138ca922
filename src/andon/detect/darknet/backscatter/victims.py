"""Which episodes are victims of randomly spoofed floods, and which only look like it.

Four things also send answers to several addresses: a live host in a capture that is no telescope, a scanner that
probes with SYN-ACK or RST or from a service port, a host that talks to a few addresses only, and reflectors that are
being used against a block of the telescope. Each has a rule below and is counted under its name, never dropped in
silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.backscatter import classes
from andon.detect.darknet.backscatter.episodes import MOST_COUNTED, Episodes
from andon.detect.darknet.backscatter.kernel import SOURCE_SHIFT

FLAVOUR_COUNT = len(classes.FLAVOURS)
_REPEATS = 20  # answers that one forged packet may cause: SYN-ACK repeats, with a wide margin
_BLOCK = 256  # addresses of a block that reflectors may be used against
_MANY = 50  # that many sources answering into one small block at once are reflectors


@dataclass(frozen=True)
class Answers:
    """Answers by source: ``source`` ascending, ``flavours`` (n, 10) packets, and the rows they came from."""

    source: np.ndarray
    flavours: np.ndarray
    row_source: np.ndarray
    row_flavour: np.ndarray
    row_what: np.ndarray  # source port, or ICMP type << 8 | code
    row_packets: np.ndarray

    def of(self, source: np.ndarray) -> np.ndarray:
        """Packets by flavour for these sources, (n, 10); zeros for a source that is not there."""
        if not len(self.source):
            return np.zeros((len(source), FLAVOUR_COUNT), np.int64)
        at = np.minimum(np.searchsorted(self.source, source), len(self.source) - 1)
        found = self.source[at] == source
        return np.asarray(np.where(found[:, None], self.flavours[at], 0))

    def ports(self, sources: np.ndarray, flavours: tuple[int, ...]) -> list[tuple[int, int]]:
        """(port or ICMP type << 8 | code, packets) over these sources, most packets first."""
        if len(sources) == 1:  # the rows of one source stand together
            low, high = (
                int(np.searchsorted(self.row_source, sources[0], side=side)) for side in ("left", "right")
            )
            rows = np.arange(low, high)
        else:
            rows = np.flatnonzero(np.isin(self.row_source, sources))
        rows = rows[np.isin(self.row_flavour[rows], flavours)]
        what, place = np.unique(self.row_what[rows], return_inverse=True)
        packets = np.bincount(place, self.row_packets[rows], minlength=len(what)).astype(np.int64)
        order = np.lexsort((what, -packets))
        return [(int(what[n]), int(packets[n])) for n in order]


def answers_by_source(keys: np.ndarray, packets: np.ndarray) -> Answers:
    """From the ``answers`` table, sorted by key."""
    row_source = (keys >> np.uint64(SOURCE_SHIFT)).astype(np.uint32)
    row_flavour = ((keys >> np.uint64(16)) & np.uint64(15)).astype(np.int64)
    row_what = (keys & np.uint64(0xFFFF)).astype(np.int64)
    source, place = np.unique(row_source, return_inverse=True)
    flat = np.bincount(place * FLAVOUR_COUNT + row_flavour, packets, minlength=len(source) * FLAVOUR_COUNT)
    flavours = flat.astype(np.int64).reshape(len(source), FLAVOUR_COUNT)
    return Answers(source, flavours, row_source, row_flavour, row_what, packets.astype(np.int64))


def expected_distinct(packets: np.ndarray, addresses: int) -> np.ndarray:
    """Distinct addresses that ``packets`` hit when spread evenly over ``addresses``."""
    if addresses <= 0:
        return np.asarray(packets, np.float64)
    return np.asarray(
        -addresses * np.expm1(packets * np.log1p(-1.0 / addresses)) if addresses > 1 else packets * 0 + 1.0
    )


def doubts(episodes: Episodes, answers: Answers, asked: np.ndarray, dark: int) -> dict[str, np.ndarray]:
    """For each reason the episodes (bool) that are set aside for it.

    ``asked``: bool per episode, whether requests went to its source in this capture."""
    flavours = answers.of(episodes.source)
    total = np.maximum(flavours[:, classes.SYN_ACK : classes.TALK].sum(axis=1), 1)
    talk = flavours[:, classes.TALK]
    udp = flavours[:, classes.UDP_ANSWER]
    tcp = flavours[:, classes.SYN_ACK] + flavours[:, classes.RST] + flavours[:, classes.RST_ACK]
    one_port = (episodes.port_low == episodes.port_high) & (tcp + udp > 0)
    # An attacker's tool may forge one source port for all packets, but not one of a service.
    to_service = one_port & (episodes.port_low < 1024)
    # A UDP answer is only believed if forged packets came from many ports.
    few_ports = episodes.ports < 0.5 * np.minimum(episodes.addresses, MOST_COUNTED / 2)
    spread = expected_distinct(episodes.packets / _REPEATS, dark)
    return {
        "live host: it was sent requests in the same capture": asked,
        "live host: it also sends packets of established connections": talk > total / 2,
        "probe: every answer goes to one service port": to_service,
        "probe: UDP from a service port to few ports": (udp > total / 2) & few_ports,
        "few destinations: too few dark addresses for the number of packets": (
            episodes.addresses < 0.5 * np.minimum(spread, MOST_COUNTED / 2)
        ),
        "reflectors used against one block of the telescope": _into_one_block(episodes, dark),
    }


def _into_one_block(episodes: Episodes, dark: int) -> np.ndarray:
    if dark <= 4 * _BLOCK:
        return np.zeros(len(episodes), np.bool_)
    block = episodes.dst_low // _BLOCK
    inside = block == episodes.dst_high // _BLOCK
    values, place, count = np.unique(block, return_inverse=True, return_counts=True)
    busy = np.bincount(place, inside, minlength=len(values)) >= _MANY
    return np.asarray(inside & busy[place] & (count[place] > 0))
