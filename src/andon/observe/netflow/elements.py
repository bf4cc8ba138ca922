"""Information elements that are read, by their numbers at IANA; NetFlow 9 numbers its fields alike up to 127.

Every element wanted has a column in the walk over records (``walk``). Elements of a biflow's other direction carry the
private number 29305 (RFC 5103) and have columns of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REVERSE: Final = 29_305  # private enterprise number of reverse elements

BYTES, PACKETS, PROTOCOL, FLAGS, SRC_PORT, SRC4, DST_PORT, DST4 = 1, 2, 4, 6, 7, 8, 11, 12
END_UPTIME, START_UPTIME, OUT_BYTES, OUT_PACKETS, SRC6, DST6 = 21, 22, 23, 24, 27, 28
SAMPLING, SAMPLER = 34, 48
BYTES_TOTAL, PACKETS_TOTAL = 85, 86
START_S, END_S, START_MS, END_MS, START_US, END_US, START_NS, END_NS = range(150, 158)
START_DELTA_US, END_DELTA_US, BOOT_MS, DURATION_MS, DURATION_US = range(158, 163)
INITIATOR_BYTES, RESPONDER_BYTES, EVENT, BIFLOW = 231, 232, 233, 239
INITIATOR_PACKETS, RESPONDER_PACKETS = 298, 299
SELECTOR, SAMPLE_INTERVAL, SAMPLE_SPACE, SAMPLE_SIZE, SAMPLE_POPULATION = 302, 305, 306, 309, 310
SEEN_MS: Final = 323
RANDOM_INTERVAL: Final = 50

_FORWARD: Final = (
    BYTES, PACKETS, PROTOCOL, FLAGS, SRC_PORT, SRC4, DST_PORT, DST4, END_UPTIME, START_UPTIME, OUT_BYTES, OUT_PACKETS,
    SRC6, DST6, SAMPLING, SAMPLER, BYTES_TOTAL, PACKETS_TOTAL, START_S, END_S, START_MS, END_MS, START_US, END_US,
    START_NS, END_NS, START_DELTA_US, END_DELTA_US, BOOT_MS, DURATION_MS, DURATION_US, INITIATOR_BYTES, RESPONDER_BYTES,
    EVENT, BIFLOW, INITIATOR_PACKETS, RESPONDER_PACKETS, SELECTOR, SAMPLE_INTERVAL, SAMPLE_SPACE, SEEN_MS,
)  # fmt: skip
_BACK: Final = (BYTES, PACKETS, FLAGS, BYTES_TOTAL, PACKETS_TOTAL)
# (enterprise, element) -> column
COLUMNS: Final[Mapping[tuple[int, int], int]] = MappingProxyType(
    {key: n for n, key in enumerate([*((0, e) for e in _FORWARD), *((REVERSE, e) for e in _BACK)])}
)

# A record of NetFlow 5 as if a template had said it: (enterprise, element, bytes).
V5: Final = tuple(
    (0, element, size)
    for element, size in (
        (SRC4, 4), (DST4, 4), (15, 4), (10, 2), (14, 2), (PACKETS, 4), (BYTES, 4), (START_UPTIME, 4),
        (END_UPTIME, 4), (SRC_PORT, 2), (DST_PORT, 2), (0, 1), (FLAGS, 1), (PROTOCOL, 1), (5, 1),
        (16, 2), (17, 2), (9, 1), (13, 1), (0, 2),
    )
)  # fmt: skip
