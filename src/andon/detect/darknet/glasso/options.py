"""The settings of ``[engine."darknet.glasso"]``: by default what was published, and a way out of each of its faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from andon.records.contract import Site
from andon.records.packet import PROTO_TCP, PROTO_UDP

NAME: Final = "darknet.glasso"
SPAN_SECONDS: Final = 600
PUBLISHED_RHO: Final = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PROTOCOLS: Final = {"tcp": PROTO_TCP, "udp": PROTO_UDP}
CHOICES: Final = ("hash", "random", "busiest")
SETTINGS: Final = (
    "hosts", "most_hosts", "seed", "samples", "rho", "theta", "history", "warm_up", "forget_alerts", "density",
    "protocols", "packets", "survey", "ignore", "levels", "pairs", "findings",
)  # fmt: skip
_LEAST_HISTORY: Final = 12  # see history.LEAST


@dataclass(frozen=True)
class Options:
    """See ``docs/glasso.md`` for what each is for. Raises ValueError, naming the setting."""

    hosts: str = "hash"
    most_hosts: int = 1000
    seed: int = 1
    samples: int = 12
    rho: tuple[float, ...] = PUBLISHED_RHO
    theta: float = 0.98
    history: int = 432
    warm_up: int = 432
    forget_alerts: bool = True
    density: str = "half"
    protocols: tuple[str, ...] = ("tcp",)
    packets: str = "all"
    survey: str = "keep"
    ignore: tuple[int, ...] = ()
    levels: tuple[int, ...] = (1, 2, 3, 4)
    pairs: int = 300_000
    findings: int = 20

    def __post_init__(self) -> None:
        _one_of("hosts", self.hosts, CHOICES)
        _one_of("density", self.density, ("half", "usual"))
        _one_of("packets", self.packets, ("all", "scan"))
        _one_of("survey", self.survey, ("keep", "drop"))
        _between("most_hosts", self.most_hosts, 2, 2_000)
        _between("samples", self.samples, 2, 60)
        if SPAN_SECONDS % self.samples:
            raise ValueError(
                f"setting {NAME}.samples must divide {SPAN_SECONDS} seconds, {self.samples} does not"
            )
        if not 1 <= len(self.rho) <= 20 or any(not 0 < value <= 10 for value in self.rho):
            raise ValueError(f"setting {NAME}.rho is a list of 1 to 20 numbers above 0, not {list(self.rho)}")
        if len(set(self.rho)) < len(self.rho):
            raise ValueError(f"setting {NAME}.rho names a value twice: {list(self.rho)}")
        if not 0 < self.theta < 1:
            raise ValueError(f"setting {NAME}.theta is between 0 and 1, not {self.theta}")
        _between("history", self.history, _LEAST_HISTORY, 100_000)
        _between("warm_up", self.warm_up, _LEAST_HISTORY, self.history)
        if not self.protocols or set(self.protocols) - set(PROTOCOLS):
            raise ValueError(f"setting {NAME}.protocols is a list of tcp, udp, not {list(self.protocols)}")
        if any(not 0 <= port <= 65535 for port in self.ignore):
            raise ValueError(f"setting {NAME}.ignore is a list of ports, not {list(self.ignore)}")
        if not self.levels or set(self.levels) - {1, 2, 3, 4}:
            raise ValueError(f"setting {NAME}.levels is a list of 1, 2, 3, 4, not {list(self.levels)}")
        _between("pairs", self.pairs, 1_000, 1_000_000)
        _between("findings", self.findings, 1, 1_000)

    @property
    def sample_ns(self) -> int:
        return SPAN_SECONDS // self.samples * 1_000_000_000


def options_of(site: Site) -> Options:
    """The site's settings over the defaults. Raises ValueError for one that makes no sense."""
    given: dict[str, Any] = {}
    for name in SETTINGS:
        value = site.settings.get(f"{NAME}.{name}")
        if value is not None:
            given[name] = _typed(name, value, getattr(Options, name))
    return Options(**given)


def _typed(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        items = list(value) if isinstance(value, list | tuple) else [value]
        kind = type(default[0]) if default else int
        return tuple(_typed(name, item, kind()) for item in items)
    if isinstance(default, bool) or isinstance(value, bool):
        if not (isinstance(default, bool) and isinstance(value, bool)):
            raise ValueError(f"setting {NAME}.{name} is {type(default).__name__}, not {value!r}")
        return value
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    if not isinstance(value, type(default)):
        raise ValueError(f"setting {NAME}.{name} is {type(default).__name__}, not {value!r}")
    return value


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"setting {NAME}.{name} is one of {', '.join(known)}, not {value!r}")


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"setting {NAME}.{name} is between {low:,} and {high:,}, not {value:,}")
