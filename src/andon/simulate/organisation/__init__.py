"""An organisation behind a proxy, with known truth: users with habits, software that calls home, and those who attack.

``Scenario`` says what to simulate, ``simulate`` writes it. See docs/organisation.md for what is in it and at which
rates. Everything is drawn from the seed, in parts that do not disturb one another (``Scenario.rng``); times inside are
milliseconds since the start. Pages are drawn for whole days, then turned into lines in blocks (``build.blocks``), so
memory is bounded by a day's pages and a block's lines.
"""

from andon.simulate.organisation.scenario import FORMATS, Scenario
from andon.simulate.organisation.write import LOGS, Made, simulate

__all__ = ["FORMATS", "LOGS", "Made", "Scenario", "simulate"]
