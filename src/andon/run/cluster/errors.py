"""What can go wrong with a job on a cluster."""

from __future__ import annotations


class ClusterError(RuntimeError):
    """A job cannot go on; the text says why and what to do."""


class Missing(ClusterError):
    """A library of an optional extra is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed: pip install 'andon[{extra}]'")
