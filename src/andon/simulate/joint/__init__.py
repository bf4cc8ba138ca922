"""Bot families at a telescope, at honeypots, in reports and on partners' devices, with the truth about all of it.

No public data holds both sides of one botnet; this does, in the native formats of its sources. It proves that links are
right and calibrated where they are there to be found, not how often they are in the world.
"""

from .build import Made, simulate
from .demo import DEMO_CAPTURE, DEMO_FAMILY, demo_scenario
from .scenario import Scenario

__all__ = ["DEMO_CAPTURE", "DEMO_FAMILY", "Made", "Scenario", "demo_scenario", "simulate"]
