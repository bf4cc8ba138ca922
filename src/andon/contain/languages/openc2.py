"""Intents as OpenC2 commands, and commands of others as proposals.

Profiles: ``slpf`` (addresses, prefixes and pairs), ``pf`` (its successor; names too), and ``x-andon``, our own for what
no packet filter can say (mirror, proxy, sinkhole, quarantine, URLs). What a profile cannot say is NotExpressible;
nothing is said approximately. A packet filter's rule has two sides, so a pair of hosts is one command for each
direction and pair of addresses, and a quarantine is the denial of each address as source or destination, which is what
these profiles take an ``ipv4_net`` to mean (SLPF 2.3.1.3).

On the way in, a command is answered as SLPF 2.3 says: 400 for what cannot be read, 501 for what is OpenC2 but not done
here, with the words of the specification in ``status_text``. Nobody's command is ever carried out: the best answer is
102, a proposal waits for people. Commands narrower than an intent (ports, protocols, one direction) are refused rather
than widened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, Final

from andon.contain.contract import NotExpressible
from andon.contain.languages.document import DocumentError, an_object, bounded, shown
from andon.contain.languages.openc2_check import (
    ACTIONS,
    FEATURES,
    OURS,
    PAIRS,
    PF,
    SLPF,
    TARGETS,
    check_command,
    check_message,
    check_profile,
)
from andon.contain.languages.request import DAY, Asker, Imported, net_party
from andon.records.intent import (
    ADDRESS,
    ALLOW,
    BLOCK,
    BLOCK_PAIR,
    DOMAIN,
    HOST,
    LONGEST,
    MIRROR,
    PREFIX,
    PROXY,
    QUARANTINE,
    SINKHOLE,
    URL,
    Intent,
    Party,
)

PROFILES: Final = (SLPF, PF, OURS)
VERSIONS: Final = ("1.0", "2.0")
_MILLISECOND: Final = 1_000_000
_VERBS: Final[Mapping[str, str]] = {
    ALLOW: "allow", BLOCK: "deny", BLOCK_PAIR: "deny", QUARANTINE: "contain", SINKHOLE: "redirect", PROXY: "redirect",
    MIRROR: "copy",
}  # fmt: skip
_DONE: Final[Mapping[str, tuple[str, ...]]] = {  # what is done with commands of others
    "allow": ("ipv4_net", "ipv6_net", "ipv4_connection", "ipv6_connection", "domain_name"),
    "deny": ("ipv4_net", "ipv6_net", "ipv4_connection", "ipv6_connection", "domain_name", "uri"),
    "query": ("features",),
    "delete": ("slpf:rule_number", "pf:rule_number", "x-andon:intent"),
}
RATE: Final = 60  # commands a minute


class Refusal(Exception):
    """A command that is not taken up. ``status`` and the text are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def commands(intent: Intent, profile: str = SLPF, version: str = "1.0") -> list[dict[str, Any]]:
    """The commands of an intent, each with its ``command_id`` and its end. Raises NotExpressible.

    >>> from andon.records.intent import Party
    >>> made = Intent(7, "block", Party("address", "198.51.100.7"), None, 10**12, "C2", "andon", 0)
    >>> commands(made)[0]["target"], commands(made)[0]["args"]["stop_time"]
    ({'ipv4_net': '198.51.100.7/32'}, 1000000)
    """
    if profile not in PROFILES or version not in VERSIONS:
        raise ValueError(f"profiles are {', '.join(PROFILES)}, versions {', '.join(VERSIONS)}")
    if profile == OURS:
        return [_command(intent, 0, _VERBS[intent.action], _target_of(intent.subject), profile, version)]
    if intent.action not in (ALLOW, BLOCK, BLOCK_PAIR, QUARANTINE):
        raise NotExpressible(f"the profile {profile} has no command for {intent.action}")
    verb = "allow" if intent.action == ALLOW else "deny"
    targets = _connections(intent) if intent.target is not None else _nets(intent.subject, profile)
    return [_command(intent, at, verb, target, profile, version) for at, target in enumerate(targets)]


def _command(
    intent: Intent, at: int, verb: str, target: dict[str, Any], profile: str, version: str
) -> dict[str, Any]:
    args: dict[str, Any] = {
        "start_time": intent.created // _MILLISECOND,
        "stop_time": intent.until // _MILLISECOND,
        "response_requested": "complete",
    }
    if profile == PF:
        args[PF] = {"direction": "both"} | ({"description": shown(intent.reason)} if intent.reason else {})
    elif profile == OURS:
        args[OURS] = {
            "action": intent.action, "subject": _party(intent.subject), "reason": shown(intent.reason),
            **({"target": _party(intent.target)} if intent.target is not None else {}),
        }  # fmt: skip
    made: dict[str, Any] = {"action": verb, "target": target, "args": args}
    if version == "1.0":
        made["actuator"] = {profile: {}}
    else:
        made["profile"] = profile
    made["command_id"] = f"andon-{intent.id:016x}-{at}"
    return made


def _party(party: Party) -> dict[str, Any]:
    return {"kind": party.kind, "value": party.value, "addresses": list(party.addresses)}


def _target_of(party: Party) -> dict[str, Any]:
    if party.kind == HOST:
        return {"device": {"hostname": party.value}}
    if party.kind == DOMAIN:
        return {"domain_name": party.value}
    if party.kind == URL:
        return {"uri": party.value}
    return _net(party.value)


def _net(value: str) -> dict[str, Any]:
    net = ip_network(value)
    return {f"ipv{net.version}_net": str(net)}


def _nets(party: Party, profile: str) -> list[dict[str, Any]]:
    if party.kind == DOMAIN and profile == PF:
        return [{"domain_name": party.value}]
    return [_net(value) for value in _values(party, profile)]


def _values(party: Party, profile: str) -> tuple[str, ...]:
    if party.kind in (ADDRESS, PREFIX):
        return (party.value,)
    if party.kind in (DOMAIN, URL):
        raise NotExpressible(f"the profile {profile} has no target for a {party.kind}")
    if not party.addresses:
        raise NotExpressible(f"no address of {party.value} is known")
    return party.addresses


def _connections(intent: Intent) -> list[dict[str, Any]]:
    """Both directions of every pair of addresses of the same version."""
    assert intent.target is not None
    made: list[dict[str, Any]] = []
    for one in _values(intent.subject, SLPF):
        for other in _values(intent.target, SLPF):
            left, right = ip_network(one), ip_network(other)
            if left.version != right.version:
                continue
            kind = f"ipv{left.version}_connection"
            for source, destination in ((left, right), (right, left)):
                made.append({kind: {"src_addr": str(source), "dst_addr": str(destination)}})
    if not made:
        raise NotExpressible(
            f"{intent.subject.value} and {intent.target.value} have no addresses of one version that are known"
        )
    return made


def message(command: Mapping[str, Any], request_id: str, sender: str, to: str, now: int) -> dict[str, Any]:
    """A command of language 2.0 in its message (language 2.0, 3.2; transfer over HTTPS 1.1)."""
    headers = {"request_id": request_id, "created": now // _MILLISECOND, "from": sender, "to": [to]}
    return {"headers": headers, "body": {"openc2": {"request": dict(command)}}}


def read(document: Any, asker: Asker) -> Imported:
    """What a command (bare, or in its message) asks for. Never raises for what others wrote: what cannot be taken up
    is a response with 400 or 501. ``response`` is None where none was requested."""
    try:
        bounded(document)
        command, version = _opened(document)
        check_command(command, version)
    except DocumentError as error:
        return Imported(left_out=(str(error),), response=response(400, f"Bad request: {error}"))
    wanted = command.get("args", {}).get("response_requested", "complete")
    try:
        made = _read(command, asker)
    except Refusal as refusal:
        made = Imported(left_out=(str(refusal),), response=response(refusal.status, str(refusal)))
    except DocumentError as error:
        made = Imported(left_out=(str(error),), response=response(400, f"Bad request: {error}"))
    return replace(made, response=None) if wanted == "none" else made


def response(status: int, text: str, **results: Any) -> dict[str, Any]:
    """An OpenC2 response."""
    made: dict[str, Any] = {"status": status, "status_text": shown(text, 500)}
    return made | ({"results": results} if results else {})


def _opened(document: Any) -> tuple[dict[str, Any], str]:
    given = an_object(document, "command")
    if "body" not in given:
        return given, "2.0" if "profile" in given else "1.0"
    content = check_message(given)["body"]["openc2"]
    if "request" not in content:
        raise DocumentError("body.openc2: a request was expected")
    command = an_object(content["request"], "request")
    if "command_id" not in command and "request_id" in given.get("headers", {}):
        command = {**command, "command_id": given["headers"]["request_id"][:36]}
    return command, "1.0" if "actuator" in command else "2.0"


def _read(command: Mapping[str, Any], asker: Asker) -> Imported:
    profile = _profile(command)
    action, (kind, value) = command["action"], next(iter(command["target"].items()))
    if profile == OURS and action != "delete":
        return _proposed(command, asker, [_asked(command, asker)])
    if action not in ACTIONS or action not in _DONE:
        raise Refusal(501, f"Command not supported: {action}")
    if kind not in _DONE[action]:
        what = "Target type not supported" if kind in TARGETS or ":" in kind else "Target not known"
        raise Refusal(501, f"{what}: {action} {kind}")
    if action == "query":
        return Imported(response=_features(value))
    if profile in PAIRS:
        if kind not in PAIRS[profile].get(action, frozenset()):
            raise Refusal(501, f"Target type not supported: {action} {kind} with the profile {profile}")
        check_profile(command, profile)
        _options(command.get("args", {}).get(profile, {}))
    if action == "delete":
        number = _number(value)
        return Imported(
            revokes=(number,), response=response(102, "A person decides whether it is taken back")
        )
    return _proposed(command, asker, [(*_parties(action, kind, value, asker), "")])


def _number(value: Any) -> int:
    """An intent of ours, as its number or as 16 hexadecimal digits."""
    if isinstance(value, str):
        value = int(value, 16) if re.fullmatch(r"[0-9a-f]{16}", value) else 0
    if not isinstance(value, int) or not 0 < value < 1 << 63:
        raise DocumentError("no rule of ours has such a number")
    return value


def _profile(command: Mapping[str, Any]) -> str:
    profile = command.get("profile") or next(iter(command.get("actuator", {})), "")
    if profile and profile not in PROFILES:
        raise Refusal(501, f"Profile not supported: {shown(profile, 40)}")
    specifiers = command.get("actuator", {}).get(profile, {})
    if specifiers:
        raise Refusal(501, f"Option not supported: actuator {', '.join(sorted(specifiers))[:100]}")
    for name in command.get("args", {}):
        if name not in ("start_time", "stop_time", "duration", "response_requested", "comment", profile):
            raise Refusal(501, f"Option not supported: {shown(name, 40)}")
    return str(profile)


def _options(own: Mapping[str, Any]) -> None:
    """What a profile's arguments may say here: only what changes nothing."""
    harmless: Mapping[str, Any] = {"drop_process": "none", "direction": "both", "persistent": False, "logged": False,
                                   "stateful": False}  # fmt: skip
    for name, value in own.items():
        if name != "description" and (name not in harmless or harmless[name] != value):
            raise Refusal(501, f"Option not supported: {name}")


def _parties(action: str, kind: str, value: Any, asker: Asker) -> tuple[str, Party, Party | None]:
    if kind.endswith("_net"):
        return (ALLOW if action == "allow" else BLOCK), net_party(asker, value), None
    if kind in ("domain_name", "uri"):
        return (
            (ALLOW if action == "allow" else BLOCK),
            asker.of(DOMAIN if kind == "domain_name" else URL, value),
            None,
        )
    narrower = sorted({"src_port", "dst_port", "protocol"} & set(value))
    if narrower:
        raise Refusal(
            501, f"Option not supported: {', '.join(narrower)} (all traffic of the two would be cut)"
        )
    if "src_addr" not in value or "dst_addr" not in value:
        raise Refusal(501, "Option not supported: a connection with one side; use ipv4_net or ipv6_net")
    if action == "allow":
        raise Refusal(501, "Rule not updated: pairs are not allowed one by one here")
    return BLOCK_PAIR, net_party(asker, value["src_addr"]), net_party(asker, value["dst_addr"])


def _asked(command: Mapping[str, Any], asker: Asker) -> tuple[str, Party, Party | None, str]:
    """What a command in our own profile asks for."""
    own = an_object(command.get("args", {}).get(OURS), f"args.{OURS}")
    action = own.get("action")
    if _VERBS.get(str(action)) != command["action"]:
        raise DocumentError(
            f"args.{OURS}.action: {shown(str(action), 40)!r} is not a way to {command['action']}"
        )
    subject = _given(own.get("subject"), asker)
    if _target_of(subject) != command["target"]:
        raise DocumentError(f"the target of the command is not the subject of args.{OURS}")
    target = _given(own["target"], asker) if "target" in own else None
    reason = own.get("reason", "")
    return str(action), subject, target, reason if isinstance(reason, str) else ""


def _given(party: Any, asker: Asker) -> Party:
    said = an_object(party, "party")
    kind, value = said.get("kind"), said.get("value")
    if (
        not isinstance(kind, str)
        or not isinstance(value, str)
        or kind not in (HOST, ADDRESS, PREFIX, DOMAIN, URL)
    ):
        raise DocumentError("party: a kind and a value were expected")
    return asker.of(kind, value)


def _proposed(
    command: Mapping[str, Any], asker: Asker, wished: list[tuple[str, Party, Party | None, str]]
) -> Imported:
    ttl, note = _ttl(command.get("args", {}), asker)
    reference = str(command.get("command_id", ""))
    own = command.get("args", {}).get(PF, {}).get("description", "")
    intents = tuple(
        asker.intent(
            action, subject, target, ttl, "openc2", reference,
            reason or (own if isinstance(own, str) else "") or f"OpenC2 command {reference} of {asker.who}",
        )
        for action, subject, target, reason in wished
    )  # fmt: skip
    text = f"A proposal that waits for approval{note}"
    return Imported(
        intents, response=response(102, text, **{OURS: {"intents": [f"{one.id:016x}" for one in intents]}})
    )


def _ttl(args: Mapping[str, Any], asker: Asker) -> tuple[int, str]:
    """How long from now, and what to say of it. Language 1.0, 3.3.1.4: stop_time = start_time + duration."""
    start, stop, duration = (args.get(name) for name in ("start_time", "stop_time", "duration"))
    begun = asker.now if start is None else start * _MILLISECOND
    if begun > asker.now + 60 * 1_000 * _MILLISECOND:
        raise Refusal(501, "Option not supported: start_time in the future")
    if stop is not None and duration is not None:
        begun = (stop - duration) * _MILLISECOND
        if begun > asker.now + 60 * 1_000 * _MILLISECOND:
            raise Refusal(501, "Option not supported: start_time in the future")
    if stop is None and duration is not None:
        stop = begun // _MILLISECOND + duration
    if stop is None:
        return asker.ttl, f"; without an end it would hold for {asker.ttl / DAY:g} days"
    ttl = stop * _MILLISECOND - asker.now
    if ttl > LONGEST:
        return LONGEST, f"; it would hold for {LONGEST // DAY} days, which is the most here"
    return ttl, ""


def _features(asked: list[str]) -> dict[str, Any]:
    """What is supported here (language 1.0, 3.3.2.2 and 4.1)."""
    if not set(asked) <= set(FEATURES):
        raise Refusal(501, "Target not supported: a feature that is not known")
    every: dict[str, Any] = {
        "versions": list(VERSIONS),
        "profiles": list(PROFILES),
        "pairs": {action: list(targets) for action, targets in _DONE.items()},
        "rate_limit": RATE,
    }
    return response(200, "OK", **{name: every[name] for name in FEATURES if name in asked})
