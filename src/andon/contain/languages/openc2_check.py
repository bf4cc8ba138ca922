"""What an OpenC2 command, response and message must look like: the facts of the specifications as one checker.

Language 1.0 (CS02, 24 November 2019; ``actuator``) and 2.0 (CSD01, 16 November 2022; ``profile``), section 3.3;
Stateless Packet Filtering 1.0 (CS01, 11 July 2019), 2.1 and 2.3; Packet Filtering 1.0 (CSD02, 8 August 2024), 2.1. The
schemas of OASIS are not shipped; these are the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any, Final

from andon.contain.languages.document import DocumentError, a_number, a_text, an_object

_NETS: Final = ("ipv4_net", "ipv6_net", "ipv4_connection", "ipv6_connection")
ACTIONS: Final = frozenset(
    (
        "scan", "locate", "query", "deny", "contain", "allow", "start", "stop", "restart", "cancel", "set", "update",
        "redirect", "create", "delete", "detonate", "restore", "copy", "investigate", "remediate",
    )
)  # fmt: skip
TARGETS: Final = frozenset(
    (
        "artifact", "command", "device", "domain_name", "email_addr", "features", "file", "idn_domain_name",
        "idn_email_addr", "iri", "mac_addr", "process", "properties", "uri", *_NETS,
    )
)  # fmt: skip
RESPONSES: Final = ("none", "ack", "status", "complete")
STATUS: Final = frozenset((102, 200, 201, 400, 401, 403, 404, 500, 501, 503))
FEATURES: Final = ("versions", "profiles", "pairs", "rate_limit")
PROTOCOLS: Final = ("icmp", "tcp", "udp", "sctp")
SLPF, PF, OURS = "slpf", "pf", "x-andon"


def _pairs(profile: str, targets: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    return {
        "allow": frozenset(targets), "deny": frozenset(targets), "query": frozenset(("features",)),
        "delete": frozenset((f"{profile}:rule_number",)), "update": frozenset(("file",)),
    }  # fmt: skip


# profile -> action -> targets
PAIRS: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    SLPF: _pairs(SLPF, _NETS),
    PF: _pairs(PF, (*_NETS, "domain_name", "pf:advanced_connection")),
}
ARGS: Final[Mapping[str, frozenset[str]]] = {
    SLPF: frozenset(("drop_process", "persistent", "direction", "insert_rule")),
    PF: frozenset(
        (
            "drop_process",
            "persistent",
            "direction",
            "insert_rule",
            "logged",
            "description",
            "stateful",
            "priority",
        )
    ),
}
_DIRECTIONS: Final = {SLPF: ("ingress", "egress"), PF: ("both", "ingress", "egress")}
_COMMAND_ID: Final = re.compile(r"\S{0,36}")
_EXTENSION: Final = re.compile(r"(?:x-)?[A-Za-z][A-Za-z0-9_-]{0,31}(?::[A-Za-z][A-Za-z0-9_]{0,63})?")
_NSID: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,15}")


def check_command(given: Any, version: str = "1.0") -> dict[str, Any]:
    """The command, if it is one. Raises DocumentError."""
    command = an_object(given, "command")
    names = {"action", "target", "args", "actuator", "command_id"}
    if version != "1.0":
        names = {"action", "target", "args", "profile", "command_id"}
    _only(command, names, "command")
    if a_text(command.get("action"), "action", 64) not in ACTIONS:
        raise DocumentError(f"action: {str(command.get('action'))[:40]!r} is none of OpenC2's")
    _target(command.get("target"))
    if "args" in command:
        _args(command["args"])
    if "actuator" in command:
        actuator = an_object(command["actuator"], "actuator")
        if len(actuator) != 1 or not _NSID.fullmatch(next(iter(actuator))):
            raise DocumentError("actuator: one profile was expected")
        an_object(next(iter(actuator.values())), "actuator")
    if "profile" in command and not _NSID.fullmatch(a_text(command["profile"], "profile", 64)):
        raise DocumentError("profile: a name of at most 16 characters was expected")
    if "command_id" in command and not _COMMAND_ID.fullmatch(a_text(command["command_id"], "command_id", 36)):
        raise DocumentError("command_id: no blanks, and at most 36 characters")
    return command


def check_profile(command: Mapping[str, Any], profile: str) -> None:
    """That a command is one of a profile's pairs, with its arguments. Raises DocumentError."""
    target = next(iter(command["target"]))
    if target not in PAIRS[profile].get(command["action"], frozenset()):
        raise DocumentError(f"{command['action']} {target} is no command of {profile}")
    own = command.get("args", {}).get(profile, {})
    _only(own, ARGS[profile], f"args.{profile}")
    if "drop_process" in own and own["drop_process"] not in ("none", "reject", "false_ack"):
        raise DocumentError("drop_process is none, reject or false_ack")
    if "direction" in own and own["direction"] not in _DIRECTIONS[profile]:
        raise DocumentError(f"direction is one of {', '.join(_DIRECTIONS[profile])}")
    for name in ("persistent", "logged", "stateful"):
        if name in own and not isinstance(own[name], bool):
            raise DocumentError(f"{name} is true or false")
    for name in ("insert_rule", "priority"):
        if name in own:
            a_number(own[name], name)
    if "insert_rule" in own and command.get("args", {}).get("response_requested") != "complete":
        raise DocumentError("insert_rule goes with response_requested: complete")


def _target(given: Any) -> None:
    target = an_object(given, "target")
    if len(target) != 1:
        raise DocumentError("target: exactly one was expected")
    kind, value = next(iter(target.items()))
    if kind not in TARGETS and not (":" in kind and _EXTENSION.fullmatch(kind)):
        raise DocumentError(f"target: {kind[:40]!r} is none of OpenC2's")
    if kind in ("ipv4_net", "ipv6_net"):
        _net(value, int(kind[3]), kind)
    elif kind in ("ipv4_connection", "ipv6_connection"):
        connection = an_object(value, kind)
        _only(connection, {"src_addr", "src_port", "dst_addr", "dst_port", "protocol"}, kind)
        if not connection:
            raise DocumentError(f"{kind}: at least one property was expected")
        for name in ("src_addr", "dst_addr"):
            if name in connection:
                _net(connection[name], int(kind[3]), f"{kind}.{name}")
        for name in ("src_port", "dst_port"):
            if name in connection:
                a_number(connection[name], f"{kind}.{name}", 0, 65535)
        if "protocol" in connection and connection["protocol"] not in PROTOCOLS:
            raise DocumentError(f"{kind}.protocol is one of {', '.join(PROTOCOLS)}")
    elif kind in ("domain_name", "uri", "iri", "idn_domain_name", "mac_addr", "command"):
        a_text(value, kind, 2048)
    elif kind == "features":
        if not isinstance(value, list) or len(value) > 10 or not all(isinstance(one, str) for one in value):
            raise DocumentError("features: an array of at most ten texts was expected")
        if len(set(value)) < len(value):
            raise DocumentError("features: each once")
    elif kind.endswith(":rule_number"):
        a_number(value, kind)
    elif kind in ("device", "file", "process", "artifact") and not an_object(value, kind):
        raise DocumentError(f"{kind}: at least one property was expected")


def _net(value: Any, version: int, where: str) -> None:
    text = a_text(value, where, 64)
    try:
        net = ip_network(text, strict=False)
    except ValueError as error:
        raise DocumentError(f"{where}: no IPv{version} address or prefix") from error
    if net.version != version:
        raise DocumentError(f"{where}: no IPv{version} address or prefix")


def _args(given: Any) -> None:
    args = an_object(given, "args")
    if not args:
        raise DocumentError("args: at least one was expected")
    times = [name for name in ("start_time", "stop_time", "duration") if name in args]
    if len(times) == 3:
        raise DocumentError("args: start_time, stop_time and duration are two at most; the third follows")
    for time in times:
        a_number(args[time], f"args.{time}")
    if "response_requested" in args and args["response_requested"] not in RESPONSES:
        raise DocumentError(f"args.response_requested is one of {', '.join(RESPONSES)}")
    for name, value in args.items():
        if name not in ("start_time", "stop_time", "duration", "response_requested", "comment"):
            if not _NSID.fullmatch(name):
                raise DocumentError(f"args: {name[:40]!r} is none of OpenC2's")
            an_object(value, f"args.{name}")


def check_response(given: Any) -> dict[str, Any]:
    """The response, if it is one. Raises DocumentError."""
    response = an_object(given, "response")
    _only(response, {"status", "status_text", "results"}, "response")
    if a_number(response.get("status"), "status") not in STATUS:
        raise DocumentError(f"status: {str(response.get('status'))[:20]!r} is none of OpenC2's")
    if "status_text" in response:
        a_text(response["status_text"], "status_text")
    if "results" in response and not an_object(response["results"], "results"):
        raise DocumentError("results: at least one was expected")
    return response


def check_message(given: Any) -> dict[str, Any]:
    """The message of language 2.0 (3.2), if it is one. Raises DocumentError."""
    message = an_object(given, "message")
    _only(message, {"headers", "body", "signature"}, "message")
    headers = an_object(message.get("headers", {}), "headers")
    _only(headers, {"request_id", "created", "from", "to"}, "headers")
    for name in ("request_id", "from"):
        if name in headers:
            a_text(headers[name], f"headers.{name}", 256)
    if "created" in headers:
        a_number(headers["created"], "headers.created")
    if "to" in headers and not isinstance(headers["to"], list | str):
        raise DocumentError("headers.to: an array of texts was expected")
    content = an_object(an_object(message.get("body"), "body").get("openc2"), "body.openc2")
    if len(content) != 1 or next(iter(content)) not in ("request", "response", "notification"):
        raise DocumentError("body.openc2: one of request, response, notification was expected")
    return message


def _only(given: Mapping[str, Any], names: Any, where: str) -> None:
    for name in given:
        if name not in names:
            raise DocumentError(f"{where}: {name[:40]!r} has no place there")
