"""Two configurations that everybody can name: the hour of ``andon demo`` and a small one for tests."""

from __future__ import annotations

from .config import InternetConfig

DEMO_PACKETS = 11_000_000


def demo_config(seed: int = 1) -> InternetConfig:
    """An hour at a little over 3,000 packets a second: all families, 5 % foreign packets, half of it noise."""
    return InternetConfig(seed=seed, packets=DEMO_PACKETS, duration=3600.0, noise=0.5, contamination=0.05)


def small_config(seed: int = 1, packets: int = 1_000_000) -> InternetConfig:
    """The same mixture with fewer packets and sources, over an hour."""
    return InternetConfig(seed=seed, packets=packets, duration=3600.0, noise=0.5, contamination=0.05)
