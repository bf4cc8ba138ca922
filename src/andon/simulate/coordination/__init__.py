"""Days at a network telescope with planted coordinated activity, decoys, and the truth about both.

>>> from andon.simulate.coordination import Scenario, packets
>>> next(packets(Scenario(seed=1, telescope=("192.0.2.0/24",), days=1 / 24))).num_rows > 0
True
"""

from .capture import CaptureResult, simulate
from .lineages import CAMPAIGNS, PORT_SETS, campaign_table, campaigns, port_set_table, port_sets
from .scenario import RATE, Scenario
from .stream import World, packets
from .truth import EVENTS, event_table, events

__all__ = [
    "CAMPAIGNS",
    "EVENTS",
    "PORT_SETS",
    "RATE",
    "CaptureResult",
    "Scenario",
    "World",
    "campaign_table",
    "campaigns",
    "event_table",
    "events",
    "packets",
    "port_set_table",
    "port_sets",
    "simulate",
]
