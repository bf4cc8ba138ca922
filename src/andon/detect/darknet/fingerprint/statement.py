"""A family in plain words: the title and the statement of its finding."""

from __future__ import annotations

from collections.abc import Sequence

from andon.detect.darknet.fingerprint.judged import Day, Judged, chance_sources, number
from andon.detect.darknet.fingerprint.measure import Measured
from andon.detect.darknet.fingerprint.stacks import is_default, stack_of
from andon.records.expression.fields import FIELDS

_SPOOFED = (
    "The senders are most likely made up: their addresses are drawn at random (among them ones that cannot send on the "
    "Internet), or each sent one packet to the same target. Blocking them would hit bystanders."
)


def title(judged: Judged) -> str:
    """One line: the relation, how many carry it, and what it is."""
    count = number(judged.sources, "source")
    if judged.spoofed:
        flood = "flood from " if judged.targets else ""
        return f"{judged.relation}: {flood}{count}, most likely made up"
    if judged.kind == "stack-default":
        what = "a default of operating systems" if is_default(judged.relation) else "a value of one field"
        return f"{judged.relation}: {count} ({what})"
    if judged.kind == "scan-order":
        return f"{judged.relation}: {count} scan in this order"
    if judged.known_as:
        return f"{judged.relation}: {count}, known as {judged.known_as}"
    return f"{judged.relation}: {count} share this relation"


def statement(day: Day, judged: Judged, more: int) -> str:
    """``more``: sources that carry another fingerprint in other packets."""
    parts = _default(judged) if judged.kind == "stack-default" else _relation(day, judged, more)
    if judged.known.spans > 1:
        parts.append(f"Seen in {judged.known.spans} spans so far.")
    if day.one_source_in > 1:
        parts.append(f"There were more sources than memory holds: one in {day.one_source_in} was looked at.")
    parts += [f"Left out: {text}." for text in day.left_out]
    return " ".join(parts)


def _default(judged: Judged) -> list[str]:
    m = judged.measured
    text = (
        f"{number(judged.sources, 'source')} sent about {m.total:,} TCP SYN packets with {judged.relation}."
    )
    systems = stack_of(judged.relation)
    known = (
        f"Who sends it by itself: {systems}." if systems else "It is the default of no system that we know."
    )
    return [
        text,
        known,
        "Systems fill this field by themselves, so the value alone does not tell a scanner from others.",
        *([_SPOOFED] if judged.spoofed else []),
    ]


def _relation(day: Day, judged: Judged, more: int) -> list[str]:
    m, family = judged.measured, judged.measured.family
    text = f"{number(judged.sources, 'source')} sent about {m.total:,} TCP SYN packets that satisfy {judged.relation}"
    if family.scope == "session":
        text += ", each with a key of its own that stays the same over its packets"
    parts = [text + "."]
    for name, value, _ in judged.constants:
        parts.append(f"All of them have {name} == {constant(value)}.")
    if judged.kind == "scanner-fingerprint":
        parts += _by_chance(day, m)
    if judged.spoofed:
        parts.append(_SPOOFED)
    if m.ports:
        parts.append(f"Ports: {_port_words(m)}.")
    for name, mask in m.proven.items():
        if name in FIELDS and mask != FIELDS[name].mask:
            parts.append(
                f"Of {name}, {mask.bit_count()} of {FIELDS[name].bits} bits varied here; "
                "for the others it is not proven."
            )
    if judged.known_as:
        share = f"{judged.tools[0].share:.0%}"
        parts.append(
            f"It is no news: the known tool {judged.known_as} is named for {share} of these sources."
        )
    elif judged.tools:
        parts.append(f"{judged.tools[0].sources:,} of them are also named as {judged.tools[0].name}.")
    if more:
        parts.append(f"{number(more, 'source')} of them carry another fingerprint in other packets.")
    return parts


def _by_chance(day: Day, m: Measured) -> list[str]:
    parts = []
    others = max(0, day.syn - m.total)
    if m.family.scope == "global" and others:
        parts.append(f"Chance would give {few(m.chance(others))} among the other {others:,} SYN packets.")
    if len(m.slow):
        parts.append(
            f"{len(m.slow):,} of them sent too few packets to be proven one by one; of so many, chance gives "
            f"{few(m.slow_by_chance)}."
        )
    if len(m.unproven) > 10 + 10 * m.looked_at * 2.0**-m.family.bits:
        parts.append(
            f"Another {number(len(m.unproven), 'source')} sent one or a few such packets, too few to be counted, but "
            f"far more than chance explains ({few(m.looked_at * 2.0**-m.family.bits)})."
        )
    return parts


def few(count: float) -> str:
    """A count expected by chance, in words."""
    return f"{count:,.3g}" if 0.01 <= count < 1000 else f"{count:,.0f}" if count >= 1000 else "less than 0.01"


def calibration(day: Day, judged: Judged, needed: float) -> str:
    """How the confidence was come by."""
    if judged.kind == "stack-default":
        return "many unrelated programs share such a value"
    every = len(day.packets.sample.src) * day.one_source_in
    expected = chance_sources(day, judged.measured)
    return (
        f"evidence per source of at least {needed:.0f} bits, or a number that chance does not reach, so {expected:.2g} "
        f"of the {every:,} sources by chance; at most 0.99, because several programs may share a relation"
    )


def constant(value: int) -> str:
    """As the expression language prints it."""
    return hex(value) if value > 9 else str(value)


def _port_words(m: Measured) -> str:
    total = max(1.0, float(m.total))
    ports: Sequence[tuple[int, float]] = list(m.ports.items())
    words = [f"{port} ({min(1.0, count / total):.0%})" for port, count in ports[:3]]
    if len(ports) > 3:
        words.append("others")
    return ", ".join(words)
