"""A seeded Internet as one or more network telescopes see it, with ground truth.

>>> from pathlib import Path
>>> result = simulate(InternetConfig(seed=1, packets=100_000), Path("out"))  # doctest: +SKIP
"""

from .capture import SimulationResult, packets, simulate, truth, write_to
from .config import DEFAULT_TELESCOPE, InternetConfig, parse_family
from .demo import demo_config, small_config
from .family import Always, Bursts, Change, Churn, Family, Growth, InStep, Repeat

__all__ = [
    "DEFAULT_TELESCOPE",
    "Always",
    "Bursts",
    "Change",
    "Churn",
    "Family",
    "Growth",
    "InStep",
    "InternetConfig",
    "Repeat",
    "SimulationResult",
    "demo_config",
    "packets",
    "parse_family",
    "simulate",
    "small_config",
    "truth",
    "write_to",
]
