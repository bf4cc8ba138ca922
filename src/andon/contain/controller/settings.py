"""How patient the controller is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """All in seconds but ``batch``. ``tick``: between two looks at an enforcer; ``reconcile_every``: between two
    comparisons of what is there with what is wanted, if nothing gives a reason for one earlier; ``hangs``: a call that
    takes longer is an alarm, and what waits for it counts as failed; ``retry_*``: an enforcer that does not answer;
    ``refused_*``: an intent that it does not take (both double). ``batch``: intents in one call."""

    tick: float = 0.1
    reconcile_every: float = 5.0
    hangs: float = 10.0
    retry_first: float = 0.2
    retry_cap: float = 5.0
    refused_first: float = 1.0
    refused_cap: float = 60.0
    batch: int = 1000
