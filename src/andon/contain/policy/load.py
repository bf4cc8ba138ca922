"""A policy from its file. Whatever is wrong is told with file, line and key, and with what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

from andon.contain.policy.classes import UNKNOWN, AssetClass, Classes
from andon.contain.policy.document import LARGEST, PolicyError, parse
from andon.contain.policy.fields import Fields, spoken
from andon.contain.policy.model import (
    DAY,
    HOUR,
    MINUTE,
    NOTHING,
    OBSERVE,
    SECOND,
    UNKNOWN_ATTACKER,
    Limits,
    Policy,
    Protect,
    Rule,
)
from andon.contain.spelling import Unreadable, ascii_name, carriers, mac, spans
from andon.contain.warning import WarningList, WarningListError, lines, read
from andon.records.case import CLASSES, LEVELS
from andon.records.intent import ACTIONS, ALLOW, BLOCK_PAIR, CUTTING, LONGEST, MIRROR, SHORTEST
from andon.records.triage import TIERS
from andon.triage.stages import STAGES

VERSION: Final = 1
BUILT_IN: Final = "built-in policy"
_MOST_RULES: Final = 500
_WIDEST: Final = {4: 8, 6: 16}  # protected prefixes wider than these would protect everything
# (key of `protect`, what it is in the guard's reasons)
GROUPS: Final = (
    ("critical", "critical asset"),
    ("control", "own control path"),
    ("gateways", "gateway"),
    ("resolvers", "resolver"),
    ("time", "time server"),
    ("others", "protected by the policy"),
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


def load_policy(path: Path | None) -> Policy:
    """The policy of a file; None: the built-in one. What a file leaves out (``classes``, ``rules``, parts of
    ``protect``) is as in the built-in one. Raises OSError, and PolicyError naming line and key.

    >>> load_policy(None).protect.limits.per_minute
    10
    """
    built_in = _default()
    if path is None:
        return built_in
    with path.open("rb") as stream:
        data = stream.read(LARGEST + 1)
    return _policy(data, str(path), path.parent, built_in)


def built_in_text() -> str:
    """The built-in policy as it is written: a good start for one's own."""
    return (files("andon.contain.policy") / "default.yaml").read_text("utf-8")


def public_list() -> WarningList:
    """Public resolvers, time servers and content networks that are never cut off."""
    text = (files("andon.contain.policy") / "public.txt").read_text("utf-8")
    return WarningList.of("public services", lines(text))


def _default() -> Policy:
    return _policy(built_in_text().encode(), BUILT_IN, None, None)


def _policy(data: bytes, source: str, base: Path | None, built_in: Policy | None) -> Policy:
    top = Fields(parse(data, source), source, "")
    version = top.count("version", VERSION, 1, 1_000)
    if version != VERSION:
        raise top.wrong("version", f"version {version} is not known here; this Andon reads version {VERSION}")
    classes = _classes(top) if built_in is None or "classes" in top else built_in.classes
    top.node("classes")
    if built_in is None or "rules" in top:
        rules = _rules(top, classes.names)
    else:
        rules = built_in.rules
        top.node("rules")
        if lost := {name for rule in rules for name in rule.assets} - set(classes.names):
            raise top.error(
                f"the built-in rules need classes that are not here: {', '.join(sorted(lost))}; write rules too"
            )
    protect, notes = _protect(top.table("protect"), base, classes.names, built_in)
    top.done()
    return Policy(rules, classes, protect, source, tuple(notes))


def _classes(top: Fields) -> Classes:
    table = top.table("classes")
    roles = table.truth("roles", False)
    otherwise = table.text("otherwise", UNKNOWN, 40)
    made = []
    for one in table.tables("list"):
        name = _word(one, "class")
        made.append(
            AssetClass(
                name,
                one.texts("hosts", _pattern),
                one.texts("prefixes", _prefix),
                one.texts("devices", _some),
                one.texts("assets", _some),
            )
        )
        if not (made[-1].hosts or made[-1].prefixes or made[-1].devices or made[-1].assets):
            raise one.error("a class needs hosts, prefixes, devices or assets")
        one.done()
    if not _NAME.fullmatch(otherwise):
        raise table.wrong("otherwise", "a name of small letters, digits and hyphens is expected")
    table.done()
    return Classes(tuple(made), otherwise, roles)


def _rules(top: Fields, assets: tuple[str, ...]) -> tuple[Rule, ...]:
    made: list[Rule] = []
    for one in top.tables("rules"):
        rule = _rule(one, assets)
        if any(rule.name == other.name for other in made):
            raise one.wrong("name", f"a rule {rule.name!r} stands above already")
        if (before := next((other for other in made if other.always), None)) is not None:
            raise one.error(
                f"this rule is never reached: {before.name!r} in line {before.line} matches every case"
            )
        made.append(rule)
        if len(made) > _MOST_RULES:
            raise one.error(f"more than {_MOST_RULES} rules")
    if not made:
        raise top.wrong(
            "rules", "a policy without a rule does nothing; leave `rules` out to have the built-in ones"
        )
    return tuple(made)


def _rule(one: Fields, assets: tuple[str, ...]) -> Rule:
    name, when, then = one.text("name", "", 80), one.table("when"), one.table("then")
    if not name:
        raise one.wrong("name", "a rule needs a name")
    action = then.choice("action", (NOTHING, *ACTIONS), "")
    cuts = action in CUTTING
    without = then.choice("without_target", (NOTHING, *ACTIONS), MIRROR)
    if action != BLOCK_PAIR and "without_target" in then:
        raise then.wrong("without_target", f"only {BLOCK_PAIR} has a target")
    if without == BLOCK_PAIR:
        raise then.wrong("without_target", f"without a target there is no {BLOCK_PAIR}")
    if not cuts and then.truth("mirror", False):
        raise then.wrong("mirror", f"a mirror stands beside a cut; {action} is none")
    if not cuts and then.truth("everywhere", False):
        raise then.wrong("everywhere", f"destinations are blocked beside a cut; {action} is none")
    rule = Rule(
        name, action,
        levels=when.texts("level", _levels(), known=()),
        assets=when.texts("asset", str, known=assets),
        attackers=when.texts("attacker", str, known=(*CLASSES, UNKNOWN_ATTACKER)),
        tiers=when.texts("tier", str, known=TIERS),
        stages=when.texts("stage", str, known=STAGES),
        certainty=when.share("certainty", 0.0),
        ttl_ns=then.duration("ttl", DAY, SHORTEST, LONGEST),
        approvals=then.count("approvals", 0, 0, 5),
        mirror=then.truth("mirror", False),
        enforcers=then.texts("enforcers", _enforcer),
        success=then.choice("success", ("any", "all"), "any"),
        without_target=without,
        everywhere=then.truth("everywhere", False),
        choices=then.texts("choices", str, known=(OBSERVE, *ACTIONS)),
        because=one.text("because", "", 300),
        line=one.line,
    )  # fmt: skip
    if "level" in when and not rule.levels:
        raise when.wrong("level", "a level is expected; leave the key out to match every level")
    if action == ALLOW and not rule.approvals:
        raise then.wrong("action", f"{ALLOW} protects from every cut, so it needs approvals: 1 or more")
    for part in (one, when, then):
        part.done()
    return rule


def _levels() -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in LEVELS:
            raise ValueError(f"a level is one of {', '.join(LEVELS)}, not {text[:40]!r}")
        return text

    return read


def _protect(
    table: Fields, base: Path | None, classes: tuple[str, ...], built_in: Policy | None
) -> tuple[Protect, list[str]]:
    default = built_in.protect if built_in is not None else Protect()
    entries = []
    for key, label in GROUPS:
        said = table.texts(key, _entry)
        if said:
            entries.append((label, said))
    ports = []
    uplinks = table.table("ports")
    for switch in uplinks.keys():  # noqa: SIM118 - it is no dictionary: this marks the names as known
        if not switch.isprintable() or not 0 < len(switch) <= 64:
            raise uplinks.error("the name of an enforcer is expected")
        ports += [(switch, number) for number in uplinks.texts(switch, _port)]
    warning = [public_list()] if table.truth("public", True) else []
    for text in table.texts("warning_lists", str):
        path = Path(text) if base is None else base / text
        try:
            warning += read([path]).lists
        except WarningListError as error:
            raise table.wrong("warning_lists", str(error)) from error
    known = [name for name in default.classes if name in classes]
    spared = [name for name in default.never_quarantine if name in classes]
    made = Protect(
        tuple(entries),
        table.texts("classes", str, known, classes),
        table.texts("macs", mac),
        tuple(dict.fromkeys(ports)),
        table.texts("networks", _prefix),
        table.texts("nat64", _nat64),
        tuple(warning),
        table.texts("never_quarantine", str, spared, classes),
        table.texts("flows", _product),
        _limits(table.table("limits"), default.limits),
    )
    table.done()
    notes = [
        f"warning list {one.title!r}: {one.left_out:,} entries cannot be used ({'; '.join(one.examples)})"
        for one in warning
        if one.left_out
    ]
    return made, notes


def _limits(table: Fields, default: Limits) -> Limits:
    longest = table.duration("longest", default.longest, MINUTE, LONGEST)
    automatic = table.duration("longest_automatic", min(default.longest_automatic, longest), MINUTE, LONGEST)
    if automatic > longest:
        raise table.wrong("longest_automatic", f"longer than `longest`, which is {spoken(longest)}")
    made = Limits(
        per_minute=table.count("automatic_per_minute", default.per_minute, 0, 1_000),
        share=table.share("share", default.share, 0.5),
        share_floor=table.count("share_floor", default.share_floor, 0, 1_000),
        blast=table.share("blast_radius", default.blast, 1.0),
        blast_floor=table.count("blast_floor", default.blast_floor, 0, 1_000),
        widest_4=table.count("widest_ipv4", default.widest_4, 16, 32),
        widest_6=table.count("widest_ipv6", default.widest_6, 48, 128),
        evidence=table.count("evidence", default.evidence, 1, 5),
        evidence_people=table.count("evidence_people", default.evidence_people, 0, 5),
        longest=longest,
        longest_automatic=automatic,
        shortest=table.duration("shortest", default.shortest, SHORTEST, HOUR),
        fresh=table.duration("fresh", default.fresh, 10 * SECOND, DAY),
        addresses=table.count("addresses", default.addresses, 1, 1_024),
        outside=table.truth("outside_automatic", default.outside),
    )
    table.done()
    return made


def _word(one: Fields, key: str) -> str:
    made = one.text(key, "", 40)
    if not _NAME.fullmatch(made):
        raise one.wrong(key, "a name of small letters, digits and hyphens is expected")
    return made


def _some(text: str) -> str:
    if not text.strip() or len(text) > 120:
        raise ValueError("a text of 1 to 120 characters is expected")
    return text.strip()


def _product(text: str) -> str:
    made = " ".join(text.casefold().split())
    if not _NAME.fullmatch(made):
        raise ValueError(f"a product is expected (zeek, netflow), not {text[:40]!r}")
    return made


def _pattern(text: str) -> str:
    made = _some(text)
    if not made.strip("*?."):
        raise ValueError(f"the pattern {text!r} matches every host")
    return made


def _enforcer(text: str) -> str:
    if not text or len(text) > 64 or not text.isprintable() or "/" in text:
        raise ValueError("an enforcer's name has at most 64 characters and no slash")
    return text


def _prefix(text: str) -> str:
    _checked(text)
    return text


def _nat64(text: str) -> str:
    carriers((text,))
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 0xFFFFFF00:
        raise ValueError(f"a port's number is expected, not {text[:40]!r}")
    return int(text)


def _entry(text: str) -> str:
    """An address, prefix or name to protect, in a spelling of ours."""
    try:
        return ascii_name(text)
    except Unreadable:
        _checked(text)
        return text


def _checked(text: str) -> None:
    first = spans(text)[0]
    wide = (32 if first.version == 4 else 128) - (first.size.bit_length() - 1)
    if wide < _WIDEST[first.version]:
        raise PolicyError(
            f"{text} is wider than /{_WIDEST[first.version]}: it would hold for nearly everything"
        )
