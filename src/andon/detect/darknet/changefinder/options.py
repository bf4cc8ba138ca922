"""The settings of ``[engine."darknet.changefinder"]``; ``docs/glasso.md`` explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from andon.records.contract import Site

NAME: Final = "darknet.changefinder"
SETTINGS: Final = (
    "per", "span", "threshold", "forgetting", "ignored", "early", "scale", "packets", "protocols", "ports",
    "least_packets", "least_sources", "pairs", "findings",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Raises ValueError, naming the setting, for a value that makes no sense."""

    per: str = "port"  # "total": the telescope as a whole and no port, as published
    span: str = "10min"  # "1d" as published
    threshold: float = 3.0
    forgetting: float = 0.005
    ignored: int = 15
    early: str = (
        "mean"  # plain means until 1 / forgetting points have come; "published": forgetting from the first
    )
    scale: str = "raw"  # "log": log(1 + count)
    packets: str = "scan"  # "all": also packets with ACK or RST, as published
    protocols: tuple[str, ...] = ("tcp", "udp")
    ports: int = 1_000  # followed at most
    least_packets: int = 20  # in a span, for a port to be followed
    least_sources: int = 5
    pairs: int = 500_000  # of source and port, in memory for a span
    findings: int = 20

    def __post_init__(self) -> None:
        for name, known in (
            ("per", ("port", "total")),
            ("span", ("10min", "1d")),
            ("early", ("published", "mean")),
            ("scale", ("raw", "log")),
            ("packets", ("scan", "all")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"setting {NAME}.{name} is one of {', '.join(known)}, not {getattr(self, name)!r}"
                )
        for name, low, high in (
            ("threshold", 0.0, 1e6),
            ("forgetting", 1e-6, 0.5),
            ("ignored", 0, 10_000),
            ("ports", 1, 20_000),
            ("least_packets", 1, 1_000_000_000),
            ("least_sources", 1, 1_000_000_000),
            ("pairs", 1_000, 2_000_000),
            ("findings", 1, 1_000),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"setting {NAME}.{name} is between {low:,} and {high:,}, not {getattr(self, name)}"
                )
        if not self.protocols or set(self.protocols) - {"tcp", "udp"}:
            raise ValueError(f"setting {NAME}.protocols is a list of tcp, udp, not {list(self.protocols)}")


def options_of(site: Site) -> Options:
    """The site's settings over the defaults. Raises ValueError for one of the wrong type or out of range."""
    given: dict[str, Any] = {}
    for name in SETTINGS:
        value = site.settings.get(f"{NAME}.{name}")
        if value is None:
            continue
        default = getattr(Options, name)
        if isinstance(default, tuple):
            value = (value,) if isinstance(value, str) else tuple(value)
        elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not type(default):
            raise ValueError(f"setting {NAME}.{name} is {type(default).__name__}, not {value!r}")
        given[name] = value
    return Options(**given)
