"""Every format by its name: what a sink or ``andon share export`` asks for.

``Told`` puts the policy (``share.policy``) before the format: a document goes through the gate, becomes a view, and the
view what the format makes of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from andon import __version__
from andon.share.formats import cef, ecs, iris, leef, misp, ocsf, rfc5424, rules, stix, thehive
from andon.share.formats.view import CASE, View, view
from andon.share.policy import Gate, Policy, Withheld

LINES: Final = ("ocsf", "ecs", "cef", "leef", "rfc5424", "thehive", "iris", "json")  # one event after another
WHOLE: Final = ("stix", "misp", *rules.LANGUAGES)  # one document, or a set of files, of all
FORMATS: Final = (*LINES, *WHOLE)


@dataclass
class Exported:
    """``text``: of one file; ``files``: of a set (name to text), then ``text`` is "". ``objects``: how many were made.
    ``withheld``: reason to count; ``left``: (id, what, why) of what the format cannot say."""

    text: str = ""
    files: dict[str, str] = field(default_factory=dict)
    objects: int = 0
    told: int = 0
    withheld: dict[str, int] = field(default_factory=dict)
    left: list[tuple[str, str, str]] = field(default_factory=list)


class Told:
    """A format behind a gate. Raises ValueError for a format that there is not.

    >>> from andon.share.policy import Ground
    >>> told = Told("cef", Gate(Policy("siem"), Ground()))
    >>> made = told.one({"schema": "andon.finding/1", "kind": "census", "id": "a1", "severity": "low", "title": "t"})
    >>> made.startswith("CEF:0|Andon|Andon|") and "externalId=a1-1" in made
    True
    """

    def __init__(self, format: str, gate: Gate | None = None, customer: int = 1, index: str = "") -> None:
        if format not in FORMATS:
            raise ValueError(f"unknown format {format!r}; there are: {', '.join(FORMATS)}")
        self.format = format
        self.gate = gate or Gate(Policy("export"))
        self._customer, self._index = customer, index
        ground = self.gate.ground
        self._stix = stix.Writer(ground.organisation, ground.caution)
        self._misp = misp.Writer(ground.organisation, ground.caution)

    def view(self, body: Any, kind: str = "", created: str = "", title: str = "") -> tuple[View, str]:
        """(view, TLP) of a document as it may leave. Raises Withheld."""
        body = body if isinstance(body, Mapping) else {}
        admitted, level = self.gate.admit(body, kind)
        return view(admitted, kind, created, title, self.gate.inside), level

    def one(self, body: Any, kind: str = "", created: str = "", title: str = "") -> str:
        """The text of one document, without a line break (``ecs`` with an index: two lines). Raises Withheld, and
        ValueError for what has no id where the format needs one."""
        return self.text(*self.view(body, kind, created, title))

    def text(self, told: View, level: str) -> str:
        """The text of one view."""
        form = self.format
        if form == "cef":
            return cef.cef(told, __version__)
        if form == "leef":
            return leef.leef(told, __version__)
        if form == "rfc5424":
            return rfc5424.message(told).decode()
        if form == "ecs" and self._index:
            return ecs.bulk(told, self._index, level).rstrip("\n")
        if form == "misp":
            return self._misp.text(told, level)
        return stix.dumps(self.object(told, level))

    def object(self, told: View, level: str) -> Mapping[str, Any]:
        """The object of one view, in formats that are JSON."""
        form = self.format
        if form == "ocsf":
            return ocsf.event(told, level)
        if form == "ecs":
            return ecs.document(told, level)
        if form == "thehive":
            if told.what == CASE:
                return thehive.case(told, level)
            return thehive.alert(told, level, self.gate.ground.caution)
        if form == "iris":
            return iris.alert(told, level, self._customer, self.gate.ground.caution)
        if form == "json":
            return told.body
        if form == "stix":
            return stix.bundle(self._stix.objects(told, level))
        if form == "misp":
            return self._misp.event(told, level)
        raise ValueError(f"{form} is a set of rules and not a document")

    def all(
        self, bodies: Iterable[Any], known: Mapping[str, Any] | None = None, asked: Collection[str] = ()
    ) -> Exported:
        """All documents. Of rules: ``known``, the manifest of the last bundle; ``asked``: see ``rules.bundle``."""
        made = Exported()
        admitted = self._admitted(bodies, made)
        if self.format in rules.LANGUAGES:
            views = (told for told, _ in admitted)
            found = rules.bundle(views, self.format, self.gate.ground.caution, known, asked)
            made.files, made.objects, made.left = found.files, found.count, found.left
        elif self.format == "misp":
            events = [self._misp.event(told, level) for told, level in admitted if self._has_id(told, made)]
            made.files, made.objects = misp.feed(events), len(events)
        elif self.format == "stix":
            objects = [
                one for told, level in admitted if self._has_id(told, made)
                for one in self._stix.objects(told, level)
            ]  # fmt: skip
            whole = stix.bundle(objects)
            made.objects = len(whole["objects"])
            made.text = stix.dumps(whole) + "\n" if objects else ""
        else:
            lines = [self.text(told, level) for told, level in admitted]
            made.text, made.objects = "".join(f"{line}\n" for line in lines), len(lines)
        return made

    def _admitted(self, bodies: Iterable[Any], made: Exported) -> Iterator[tuple[View, str]]:
        for body in bodies:
            try:
                told = self.view(body)
            except Withheld as error:
                made.withheld[str(error)] = made.withheld.get(str(error), 0) + 1
                continue
            made.told += 1
            yield told

    def _has_id(self, told: View, made: Exported) -> bool:
        if not told.id:
            made.left.append(("", told.title, "it has no id"))
        return bool(told.id)
