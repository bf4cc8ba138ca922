"""A day of alerts of other products in an organisation, with known truth: a handful of attacks among what is nothing.

Built on ``simulate.organisation`` (its people, its terminals' traffic). ``stage`` has the rules of this world: who
reaches whom, when an exploit works, what an intruder does next; ``attacks`` and ``nuisances`` begin things; rules
of Suricata and Wazuh (``catalogue``) tell of them; ``observed`` spoils what sensors and lists know. Whether an
alert is true is decided by what happened to the host, never by what shows. See docs/verification.md."""

from andon.simulate.alerts.scenario import Scenario
from andon.simulate.alerts.write import INSIDE, TRUTH, Happened, Made, play, simulate, write

__all__ = ["INSIDE", "TRUTH", "Happened", "Made", "Scenario", "play", "simulate", "write"]
