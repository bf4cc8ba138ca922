"""What attackers are learnt from: profiles of groups and families with a class, names with a class, techniques.

Two sources give it: ATT&CK with MISP galaxies (``sources``), and files of labelled profiles, one JSON object each
with ``id``, ``name``, ``cls``, ``techniques``, ``software`` or ``users``, ``artefacts``, ``created``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from andon.records.case import CLASSES
from andon.triage.attacker.vocabulary import KINDS, is_shared, technique

GROUP, FAMILY, CAMPAIGN = "group", "family", "campaign"
LEAST: Final = 3  # techniques of a profile that is learnt from
_WIDE: Final = 4  # users of a family; one that more use does not make them one owner


@dataclass(frozen=True)
class Profile:
    """What is told of one group or family. ``cls``: one of CLASSES, "shared" or ""; ``users``: numbers of the groups
    that use a family; ``software``: numbers or names of what a group uses; ``created``: ISO date or ""."""

    number: str
    name: str
    kind: str
    cls: str
    techniques: tuple[str, ...]
    software: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    artefacts: tuple[tuple[str, str], ...] = ()  # (kind of Observation, value)
    aliases: tuple[str, ...] = ()
    created: str = ""
    by_users: bool = False  # the class of a family is that of its users


@dataclass
class Corpus:
    """``names``: (name, class) of actors, and of families that are known by name alone."""

    profiles: list[Profile] = field(default_factory=list)
    techniques: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    actors: list[tuple[str, str]] = field(default_factory=list)
    families: list[tuple[str, str]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)

    def learnt_from(self) -> list[Profile]:
        """Profiles with a class that techniques may tell, and enough of them; tools of everybody left out."""
        return [
            each for each in self.profiles
            if each.cls in ("financial", "targeted") and len(each.techniques) >= LEAST and each.kind != CAMPAIGN
            and not (each.kind == FAMILY and is_shared(each.name))
        ]  # fmt: skip


def profile(item: Mapping[str, Any]) -> Profile | None:
    """One labelled object of a file; None where it has no number or name, or not one technique."""
    number, name = str(item.get("id") or item.get("name") or "")[:64], str(item.get("name") or "")[:200]
    given = item.get("techniques")
    numbers = tuple(sorted({technique(each) for each in given if isinstance(each, str)} - {""})) \
        if isinstance(given, list) else ()  # fmt: skip
    if not number or not numbers:
        return None
    said = str(item.get("kind") or "")
    family = said == FAMILY or (
        not said and ("users" in item or "platforms" in item or number.startswith("S"))
    )
    cls = str(item.get("cls") or "").casefold()
    artefacts = item.get("artefacts")
    found = []
    if isinstance(artefacts, Mapping):
        for key in sorted(artefacts, key=str):
            values = artefacts[key] if isinstance(artefacts[key], list) else []
            kind = KINDS.get(str(key).casefold(), "")
            found += [(kind, value[:500]) for value in values if kind and isinstance(value, str)]
    return Profile(
        number=number,
        name=name or number,
        kind=FAMILY if family else CAMPAIGN if said == CAMPAIGN or number.startswith("C0") else GROUP,
        cls=cls if cls in (*CLASSES, "shared") else "",
        techniques=numbers,
        software=_texts(item.get("software")),
        users=_texts(item.get("users")),
        artefacts=tuple(found[:500]),
        aliases=_texts(item.get("aliases")),
        created=str(item.get("created") or item.get("first") or "")[:10],
        by_users=item.get("basis") == "users",
    )


def _texts(value: Any) -> tuple[str, ...]:
    return (
        tuple(each[:200] for each in value[:1000] if isinstance(each, str)) if isinstance(value, list) else ()
    )


def owners(profiles: Iterable[Profile]) -> dict[str, str]:
    """number -> owner. Families that share a user, and the user itself, have one owner, so that a test on one of them
    learns from none of the others. A family of more than ``_WIDE`` users joins nobody.

    >>> from dataclasses import replace
    >>> a = Profile("S1", "A", FAMILY, "", (), users=("G1",)); b = replace(a, number="S2", users=("G1", "G2"))
    >>> sorted(set(owners([a, b]).values()))
    ['G1']
    """
    above: dict[str, str] = {}

    def top(name: str) -> str:
        above.setdefault(name, name)
        while above[name] != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    listed = list(profiles)
    for each in listed:
        if each.users and len(each.users) <= _WIDE:
            for other in each.users[1:]:
                low, high = sorted((top(each.users[0]), top(other)))
                above[high] = low
    return {
        each.number: top(min(each.users)) if each.users else top(each.number) for each in listed
    }  # fmt: skip
