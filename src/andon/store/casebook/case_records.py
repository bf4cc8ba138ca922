"""What is asked of the casebook about alerts, episodes, cases and models, and what it answers. Times are ns, UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from andon.records.case import LEVELS, OPEN, STATES
from andon.records.triage import TIERS
from andon.store.casebook.records import CasebookError

CANDIDATE, PROMOTED, REFUSED, RETIRED = "candidate", "promoted", "refused", "retired"
MODEL_STATES: Final = (CANDIDATE, PROMOTED, REFUSED, RETIRED)


class Conflict(CasebookError):
    """Somebody else changed it since it was read: read it again and decide again. ``held``: the version there."""

    def __init__(self, text: str, held: int) -> None:
        super().__init__(text)
        self.held = held


class Missing(CasebookError):
    """There is nothing of this id."""


class NotAllowed(CasebookError):
    """What was asked makes no sense for this one: closing what is closed, splitting everything off."""


@dataclass(frozen=True)
class AlertFilter:
    """Which alerts; empty means any. ``site``: None is any, "" the nameless one. ``severity``: that of OCSF or worse.
    ``entity``: host, address, source, destination or user. ``since`` <= time < ``until``. ``episode``: its id."""

    site: str | None = None
    host: str = ""
    address: str = ""
    product: str = ""
    rule: str = ""
    severity: int = 0
    source: str = ""
    destination: str = ""
    user: str = ""
    entity: str = ""
    episode: str = ""
    since: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.severity <= 6:
            raise ValueError(f"severity {self.severity} is none of OCSF's 0 to 6")


@dataclass(frozen=True)
class EpisodeFilter:
    """Which episodes; empty means any. ``since`` <= last alert < ``until``. ``suppressed``: None is either."""

    site: str | None = None
    host: str = ""
    product: str = ""
    rule: str = ""
    tier: str = ""
    severity: int = 0
    suppressed: bool | None = None
    since: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        if self.tier and self.tier not in TIERS:
            raise ValueError(f"tier {self.tier!r} is none of {', '.join(TIERS)}")


@dataclass(frozen=True)
class CaseFilter:
    """Which cases; "" (None for site and assignee) means any. ``level``: that or worse. ``assignee`` "": nobody's.
    ``host``: value of the first entity; ``entity``: of any. ``since`` <= last seen < ``until``. ``text``: in title or
    statement, whatever the case of its ASCII letters."""

    state: str = OPEN
    tier: str = ""
    level: str = ""
    assignee: str | None = None
    site: str | None = None
    host: str = ""
    entity: str = ""
    since: int | None = None
    until: int | None = None
    text: str = ""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("state", self.state, STATES),
            ("tier", self.tier, TIERS),
            ("level", self.level, LEVELS),
        ):
            if value and value not in known:
                raise ValueError(f"{name} {value!r} is none of {', '.join(known)}")


@dataclass(frozen=True)
class Event:
    """One line of a case's timeline: who did what to it."""

    id: int
    case: str
    version: int  # of the case afterwards
    time: int
    actor: str
    action: str
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "case": self.case,
            "version": self.version,
            "time": self.time,
            "actor": self.actor,
            "action": self.action,
            "detail": dict(self.detail),
        }


@dataclass(frozen=True)
class Preview:
    """What a suppression would have hidden: episodes and their alerts, ``inspected`` of them in a case, the times of
    the first and the last alert. ``verdicts``: label -> how often analysts gave it to such an episode or its case."""

    episodes: int
    alerts: int
    inspected: int
    first: int | None
    last: int | None
    verdicts: Mapping[str, int]


@dataclass(frozen=True)
class ModelRow:
    """A model that was trained: ``digest`` names its file. ``comparison``: with what it was to replace."""

    kind: str
    digest: str
    state: str
    created: int
    card: Mapping[str, Any]
    comparison: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    promoted_at: int | None = None
    promoted_by: str = ""


@dataclass(frozen=True)
class ModelEvent:
    """What became of a model, when and on whose word: "add", "promote", "refuse", "retire", "roll-back"."""

    id: int
    time: int
    kind: str
    digest: str
    action: str
    actor: str
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
