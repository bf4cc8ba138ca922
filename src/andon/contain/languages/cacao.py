"""A response as a CACAO 2.0 playbook, and playbooks of others as proposals.

One playbook per intent: people agree (if the intent needs them to), the commands are given, the time passes, the
rules are taken back; where a command fails, what was done is undone. The commands are OpenC2 in base64, as
``openc2-http`` wants them (5.8), each with a rule number of its own (SLPF 2.3.1), so that taking back needs no memory.
They hold for a duration, not until a date, since a playbook is run when somebody runs it.

On the way in, only OpenC2 commands are looked at (``openc2-http``, and ``openc2-json`` of the drafts); shell, SSH, HTTP
and the others are named and never run. What stands behind a condition is left out: it would be asked for without it.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from andon.contain.languages.cacao_check import SPEC, check_playbook, leads_to
from andon.contain.languages.document import DocumentError, bounded, parsed, shown
from andon.contain.languages.openc2 import commands
from andon.contain.languages.openc2 import read as read_command
from andon.contain.languages.openc2_check import OURS, SLPF
from andon.contain.languages.request import MOST_INTENTS, Asker, Imported
from andon.records.finding import SEVERITIES, nanoseconds, timestamp
from andon.records.intent import ALLOW, MIRROR, PROXY, QUARANTINE, Intent
from andon.share.stix import NAMESPACE

_OPENC2: Final = ("openc2-http", "openc2-json", "openc2")
_MOST_COMMAND: Final = 1 << 16  # bytes


def playbook(intent: Intent, profile: str = SLPF, consumer: str = "") -> dict[str, Any]:
    """The playbook of an intent. ``consumer``: URL of the OpenC2 consumer; without it, any firewall is the agent and
    whoever runs the playbook chooses one. Raises NotExpressible where the profile cannot say what is to be done."""
    made = [_lasting(one, intent, profile, at) for at, one in enumerate(commands(intent, profile))]
    back = [_taken_back(one, intent, profile) for one in made]
    activity = "disconnect-system" if intent.action == QUARANTINE else "restrict-access"
    if intent.action in (MIRROR, PROXY, ALLOW):
        activity = "configure-systems"
    agents, agent, people = _agents(intent, consumer)
    path = urlsplit(consumer).path or "/.well-known/openc2"
    ids = {
        name: _step_id(intent, name)
        for name in ("start", "approve", "apply", "revoke", "undo", "end", "failed")
    }
    apply = {
        "type": "action", "name": shown(f"{intent.action} {intent.subject.value}"),
        "description": shown(intent.reason, 1000),
        "commands": [_openc2(one, path, activity) for one in made], "agent": agent,
        "on_success": ids["revoke"], "on_failure": ids["undo"],
    }  # fmt: skip
    take_back = [_openc2(one, path, "restore-capabilities") for one in back]
    steps: dict[str, Any] = {
        ids["start"]: {"type": "start", "on_completion": ids["approve"] if intent.approvals else ids["apply"]},
        ids["apply"]: apply,
        ids["revoke"]: {
            "type": "action", "name": "take it back when its time is over", "commands": take_back, "agent": agent,
            "delay": intent.ttl // 1_000_000, "on_completion": ids["end"],
        },
        ids["undo"]: {
            "type": "action", "name": "undo what was done before the failure", "commands": take_back, "agent": agent,
            "on_completion": ids["failed"],
        },
        ids["end"]: {"type": "end"},
        ids["failed"]: {"type": "end", "name": "failed"},
    }  # fmt: skip
    activities = [activity, "restore-capabilities"]
    if intent.approvals:
        what = f"{intent.approvals} besides {intent.requested_by} agree to it, or the playbook ends here"
        steps[ids["approve"]] = {
            "type": "action", "name": "approval",
            "commands": [{"type": "manual", "command": shown(what), "playbook_activity": "analyze-collected-data"}],
            "agent": people, "on_success": ids["apply"], "on_failure": ids["failed"],
        }  # fmt: skip
        activities.append("analyze-collected-data")
    book: dict[str, Any] = {
        "type": "playbook", "spec_version": SPEC, "id": f"playbook--{_uuid5(intent, 'playbook')}",
        "name": shown(f"Andon: {intent.action} {intent.subject.value}"),
        "description": shown(intent.reason, 1000) or intent.action,
        "playbook_types": ["mitigation"], "playbook_activities": activities,
        "created_by": f"identity--{uuid.uuid5(NAMESPACE, 'identity andon')}",
        "created": _milliseconds(intent.created), "modified": _milliseconds(intent.created),
        "valid_from": _milliseconds(intent.created), "valid_until": _milliseconds(intent.until),
        "related_to": [f"course-of-action--{_uuid5(intent, 'course-of-action')}"],
        "labels": ["andon", intent.action, *([f"level-{intent.level}"] if intent.level else [])],
        "external_references": [{"name": "andon", "external_id": f"{intent.id:016x}"}],
        "workflow_start": ids["start"], "workflow_exception": ids["undo"], "workflow": steps,
        "agent_definitions": agents,
    }  # fmt: skip
    if intent.level in SEVERITIES:
        book["severity"] = 20 * (1 + SEVERITIES.index(intent.level))
    return book


def _agents(intent: Intent, consumer: str) -> tuple[dict[str, Any], str, str]:
    if consumer:
        agent = f"http-api--{_uuid4(intent, 'agent')}"
        what: dict[str, Any] = {"type": "http-api", "name": "OpenC2 consumer", "address": {"url": [consumer]}}
    else:
        agent = f"security-category--{_uuid4(intent, 'agent')}"
        what = {"type": "security-category", "name": "packet filter", "category": ["firewall"]}
    agents: dict[str, Any] = {agent: what}
    people = f"organization--{_uuid4(intent, 'people')}"
    if intent.approvals:
        agents[people] = {"type": "organization", "name": "whoever answers for the network"}
    return agents, agent, people


def _lasting(command: dict[str, Any], intent: Intent, profile: str, at: int) -> dict[str, Any]:
    args = {k: v for k, v in command["args"].items() if k not in ("start_time", "stop_time")}
    args["duration"] = intent.ttl // 1_000_000
    if profile != OURS:
        args[profile] = {**args.get(profile, {}), "insert_rule": rule_number(intent, at)}
    return {**command, "args": args}


def _taken_back(command: Mapping[str, Any], intent: Intent, profile: str) -> dict[str, Any]:
    if profile == OURS:
        target: dict[str, Any] = {f"{OURS}:intent": f"{intent.id:016x}"}
    else:
        target = {f"{profile}:rule_number": command["args"][profile]["insert_rule"]}
    return {
        "action": "delete", "target": target, "args": {"response_requested": "complete"},
        "actuator": {profile: {}}, "command_id": f"{command['command_id']}-end",
    }  # fmt: skip


def rule_number(intent: Intent, at: int) -> int:
    """The number of the rule, below 2**31, the same each time."""
    return int.from_bytes(sha256(f"rule {intent.id:016x} {at}".encode()).digest()[:4], "big") >> 1


def _openc2(command: Mapping[str, Any], path: str, activity: str) -> dict[str, Any]:
    text = json.dumps(command, separators=(",", ":"))
    return {
        "type": "openc2-http", "command": f"POST {path} HTTP/1.1",
        "content_b64": base64.b64encode(text.encode()).decode(),
        "headers": {"Content-Type": ["application/openc2-cmd+json;version=1.0"]}, "playbook_activity": activity,
    }  # fmt: skip


def _uuid5(intent: Intent, kind: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"{kind} {intent.id:016x}")


def _uuid4(intent: Intent, name: str) -> uuid.UUID:
    """Steps have version 4 (10.10); pseudo-random by a hash, so that the same response is the same document."""
    return uuid.UUID(bytes=sha256(f"andon {name} {intent.id:016x}".encode()).digest()[:16], version=4)


def _step_id(intent: Intent, name: str) -> str:
    kind = {"start": "start", "end": "end", "failed": "end"}.get(name, "action")
    return f"{kind}--{_uuid4(intent, name)}"


def _milliseconds(time: int) -> str:
    seconds, rest = divmod(time, 1_000_000_000)
    return f"{timestamp(seconds * 1_000_000_000).removesuffix('Z')}.{rest // 1_000_000:03d}Z"


def read(document: Any, asker: Asker) -> Imported:
    """What a playbook would do, as proposals. Raises DocumentError for what is no playbook, leads back to itself, was
    revoked, or is not valid now."""
    book = check_playbook(bounded(document), strict=False)
    _valid(book, asker.now)
    left_out: list[str] = []
    if "signatures" in book:
        left_out.append("signatures: not checked")
    found = _commands(book, left_out)
    rules = _rules(found)
    intents: list[Any] = []
    revokes: list[int] = []
    for place, command, _ in found:
        if _rule(command) in rules and command.get("action") == "delete":
            continue  # the end of what the playbook itself began
        made = read_command(_plain(command, rules), asker)
        intents += made.intents
        revokes += made.revokes
        left_out += [f"{place}: {why}" for why in made.left_out]
        if len(intents) > MOST_INTENTS:
            raise DocumentError(f"more than {MOST_INTENTS:,} commands")
    return Imported(tuple(intents), tuple(revokes), tuple(left_out))


def _valid(book: Mapping[str, Any], now: int) -> None:
    if book.get("revoked") is True:
        raise DocumentError("the playbook was revoked")
    for name, late in (("valid_from", False), ("valid_until", True)):
        if name in book:
            try:
                time = nanoseconds(book[name])
            except ValueError as error:
                raise DocumentError(f"{name}: {error}") from error
            if (time <= now) is late:
                raise DocumentError(
                    f"the playbook is {'no longer' if late else 'not yet'} valid ({book[name]})"
                )


Found = tuple[str, dict[str, Any], int]  # (id of the step, command, milliseconds that the step waits)


def _commands(book: Mapping[str, Any], left_out: list[str]) -> list[Found]:
    """OpenC2 commands of the steps that are reached without a condition, in order."""
    steps, made, seen = book["workflow"], list[Found](), set[str]()
    waiting = [book["workflow_start"]]
    while waiting:
        key = waiting.pop(0)
        if key in seen:
            continue
        seen.add(key)
        step = steps[key]
        kind = step["type"]
        if kind == "action":
            made += _of_step(key, step, left_out)
        elif kind == "playbook-action":
            left_out.append(f"{key}: another playbook, which is not here")
        elif kind.endswith("condition"):
            left_out.append(f"{key}: what stands behind a condition is not taken over without it")
        ways = ("on_completion", "on_success", "next_steps")
        waiting += [following for way, following in leads_to(step) if way in ways]
    return made


def _of_step(key: str, step: Mapping[str, Any], left_out: list[str]) -> list[Found]:
    made: list[Found] = []
    for command in step["commands"]:
        kind = command["type"]
        if kind == "manual":
            continue
        if kind not in _OPENC2:
            left_out.append(f"{key}: a command of type {shown(kind, 40)} is never run here")
            continue
        try:
            made.append((key, _decoded(command), step.get("delay", 0)))
        except DocumentError as error:
            left_out.append(f"{key}: {error}")
    return made


def _decoded(command: Mapping[str, Any]) -> dict[str, Any]:
    packed = command.get("content_b64") or command.get("command_b64")
    if isinstance(packed, str):
        try:
            text = base64.b64decode(packed, validate=True)
        except ValueError as error:
            raise DocumentError("content_b64 is not base64") from error
    elif isinstance(command.get("command"), str):
        text = command["command"].encode("utf-8", "replace")
    else:
        raise DocumentError("an OpenC2 command without content")
    value = parsed(text, _MOST_COMMAND)
    if not isinstance(value, dict):
        raise DocumentError("an OpenC2 command is an object")
    return value


def _own(command: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """(profile, its arguments)."""
    args = command.get("args")
    for name, value in args.items() if isinstance(args, dict) else ():
        if isinstance(value, dict):
            return name, value
    return "", {}


def _rule(command: Mapping[str, Any]) -> Any:
    """The rule that a command numbers or deletes; None: none."""
    target = command.get("target")
    if command.get("action") == "delete" and isinstance(target, dict) and len(target) == 1:
        number = next(iter(target.values()))
        return number if isinstance(number, int | str) else None
    number = _own(command)[1].get("insert_rule")
    if isinstance(number, int):
        return number
    said = command.get("command_id")
    return (
        said.split("-")[1]
        if isinstance(said, str) and said.startswith("andon-") and said.count("-") >= 2
        else None
    )


def _rules(found: Sequence[Found]) -> dict[Any, int]:
    """Rules that the playbook makes and takes back, with how long it waits before it does (ms)."""
    made = {_rule(command) for _, command, _ in found if command.get("action") != "delete"}
    return {
        rule: delay
        for _, command, delay in found
        if command.get("action") == "delete" and (rule := _rule(command)) is not None and rule in made
    }


def _plain(command: dict[str, Any], rules: Mapping[Any, int]) -> dict[str, Any]:
    """Without a rule number that means nothing outside of the playbook; with the end that the playbook has for it."""
    rule = _rule(command)
    if rule not in rules or not isinstance(command.get("args", {}), dict):
        return command
    args = dict(command.get("args", {}))
    name, own = _own(command)
    if "insert_rule" in own:
        args[name] = {key: value for key, value in own.items() if key != "insert_rule"}
        if not args[name]:
            del args[name]
    if rules[rule] > 0 and "duration" not in args and "stop_time" not in args:
        args["duration"] = rules[rule]
    return {**command, "args": args} if args else {k: v for k, v in command.items() if k != "args"}
