"""What happened: connections, alerts and their causes, written down while a simulation goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .catalogue import Rule


class Link(NamedTuple):
    """A connection. Times in ms since the start. ``dropped``: by the firewall, so that nothing inside saw it."""

    ts: int
    duration: int
    src: str
    dst: str
    sport: int
    dport: int
    protocol: str
    service: str
    state: str
    out: int
    back: int
    dropped: bool = False


class Alarm(NamedTuple):
    """An alert. ``machine``: name and address of the host whose agent says it ("" of a network sensor); ``harm``: the
    host it is about was or is being hurt by this cause."""

    ts: int
    rule: Rule
    machine: str
    address: str
    src: str
    sport: int
    dst: str
    dport: int
    protocol: str
    name: str
    user: str
    blocked: bool
    cause: int
    harm: bool


@dataclass(frozen=True)
class Cause:
    number: int
    kind: str
    true: bool
    begin: int
    hosts: tuple[str, ...]  # addresses of ours that it hurts (true) or bothers


@dataclass
class Book:
    """``flows_too``: False while a past is drawn of which only the verdicts matter."""

    flows_too: bool = True
    links: list[Link] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    black: list[str] = field(default_factory=list)  # addresses that a black list knows

    def cause(self, kind: str, true: bool, begin: int, *hosts: str) -> int:
        self.causes.append(Cause(len(self.causes), kind, true, begin, hosts))
        return len(self.causes) - 1

    def link(self, *values: object, **more: object) -> None:
        if self.flows_too:
            self.links.append(Link(*values, **more))  # type: ignore[arg-type]
