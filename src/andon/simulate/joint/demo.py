"""A small scenario that never changes: two days, in which one family can be followed from packets to a device."""

from __future__ import annotations

from typing import Final

from .scenario import Scenario

DEMO_CAPTURE: Final = 0.25  # days of packets that go with it
DEMO_FAMILY: Final = (
    "Saro"  # Telnet and an exploit for a router, with a relation in its headers, and in a report
)


def demo_scenario() -> Scenario:
    """Two days, three families, 160 devices that keep their addresses for weeks, ten honeypot hosts.

    >>> demo_scenario().days
    2.0
    """
    return Scenario(
        seed=42,
        days=2.0,
        devices=160,
        families=3,
        honeypots=10,
        lease=20.0,
        nat=0.0,
        contamination=0.03,
        clock_offset=20.0,
        detection=0.98,
    )
