"""Which packets ask."""

from __future__ import annotations

import pytest

from andon.records.packet import ACK, ICMP, IPV4, LATER_FRAGMENT, RST, SYN, TCP, UDP
from andon.sketch.asks import KIND_ICMP, KIND_TCP, KIND_UDP, asks


@pytest.mark.parametrize(
    ("proto", "layers", "flags", "icmp_type", "kind"),
    [
        (6, IPV4 | TCP, SYN, 0, KIND_TCP),
        (6, IPV4 | TCP, 0, 0, KIND_TCP),
        (6, IPV4 | TCP, SYN | ACK, 0, -1),
        (6, IPV4 | TCP, RST, 0, -1),
        (6, TCP, SYN, 0, -1),
        (6, IPV4 | LATER_FRAGMENT, SYN, 0, -1),
        (17, IPV4 | UDP, RST, 0, KIND_UDP),
        (1, IPV4 | ICMP, 0, 8, KIND_ICMP),
        (1, IPV4 | ICMP, 0, 3, -1),
        (1, IPV4 | ICMP, 0, 40, -1),
        (47, IPV4, 0, 0, -1),
    ],
)
def test_what_asks_is_told_from_what_answers(
    proto: int, layers: int, flags: int, icmp_type: int, kind: int
) -> None:
    assert asks(proto, layers, flags, icmp_type) == kind
