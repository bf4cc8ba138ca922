"""What a CACAO 2.0 playbook must look like (Committee Specification 01, 27 November 2023): required properties, ids,
times, and a workflow whose steps lead somewhere and never back.

The specification allows loops only through ``while-condition`` steps (4.9); a step that is reached again by its own
successors never ends, whatever made it. The schemas of OASIS are not shipped; these are the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from andon.contain.languages.document import DocumentError, a_number, a_text, an_object

SPEC: Final = "cacao-2.0"
STEPS: Final = (
    "start", "end", "action", "playbook-action", "parallel", "if-condition", "while-condition", "switch-condition",
)  # fmt: skip
_REQUIRED: Final = (
    "type", "spec_version", "id", "name", "created_by", "created", "modified", "workflow_start", "workflow",
)  # fmt: skip
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "action": ("commands", "agent"), "playbook-action": ("playbook_id",), "parallel": ("next_steps",),
    "if-condition": ("condition", "on_true"), "while-condition": ("condition", "on_true"),
    "switch-condition": ("switch", "cases"),
}  # fmt: skip
_AGENT_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "http-api": ("address",), "linux": ("address",), "net-address": ("address",), "ssh": ("address",),
    "security-category": ("category",),
}  # fmt: skip
_COMMAND_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {"openc2-http": ("command", "content_b64")}
_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
_ID: Final = re.compile(rf"([a-z][a-z0-9-]+[a-z0-9])--{_UUID}")
_MILLISECOND: Final = re.compile(
    r"[0-9]{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)\.[0-9]{3}Z"
)
_TIME: Final = re.compile(_MILLISECOND.pattern.replace(r"\.[0-9]{3}", r"(\.[0-9]+)?"))
_VARIABLE: Final = re.compile(r"__[a-zA-Z_][a-zA-Z0-9_-]{0,199}__")
MOST_STEPS: Final = 1_000
MOST_COMMANDS: Final = 1_000


def check_playbook(given: Any, strict: bool = True) -> dict[str, Any]:
    """The playbook, if it is one. Raises DocumentError that names the place. Not ``strict``: playbooks as others write
    them, with times of other than three digits, without activities, with agents of their own types; what counts for
    the workflow is asked for all the same."""
    book = an_object(given, "playbook")
    for name in _REQUIRED:
        if name not in book:
            raise DocumentError(f"playbook: {name} is missing")
    if book["type"] != "playbook" or book["spec_version"] != SPEC:
        raise DocumentError(f"playbook: type is playbook and spec_version {SPEC}")
    identifier(book["id"], "id", "playbook")
    identifier(book["created_by"], "created_by", "identity")
    a_text(book["name"], "name")
    for name in ("created", "modified"):
        if not (_MILLISECOND if strict else _TIME).fullmatch(a_text(book[name], name, 40)):
            digits = " with three digits of a second" if strict else ""
            raise DocumentError(f"{name}: a time in UTC{digits} was expected")
    if book["modified"] < book["created"]:
        raise DocumentError("modified is before created")
    for name in ("valid_from", "valid_until"):
        if name in book and not _TIME.fullmatch(a_text(book[name], name, 40)):
            raise DocumentError(f"{name}: a time in UTC was expected")
    if "valid_from" in book and "valid_until" in book and book["valid_until"] <= book["valid_from"]:
        raise DocumentError("valid_until is not after valid_from")
    if "revoked" in book and not isinstance(book["revoked"], bool):
        raise DocumentError("revoked is true or false")
    for name in ("priority", "severity", "impact"):
        if name in book:
            a_number(book[name], name, 0, 100)
    for name in ("playbook_types", "playbook_activities", "labels"):
        _texts(book.get(name, ["x"]), name)
    if strict and "playbook_types" in book and not book.get("playbook_activities"):
        raise DocumentError("playbook_types needs playbook_activities")
    _references(book.get("external_references", []))
    for name in an_object(book.get("playbook_variables", {}), "playbook_variables"):
        if not _VARIABLE.fullmatch(name):
            raise DocumentError(f"playbook_variables: {name[:60]!r} is no name of a variable")
    agents = _agents(book, "agent_definitions", strict) | _agents(book, "target_definitions", strict)
    _workflow(book, agents)
    return book


def _texts(given: Any, where: str) -> None:
    if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        raise DocumentError(f"{where}: an array of texts, at least one, was expected")


def _references(given: Any) -> None:
    if not isinstance(given, list):
        raise DocumentError("external_references: an array was expected")
    for one in given:
        said = an_object(one, "external_references")
        if not isinstance(said.get("name"), str) or not {
            "description", "source", "url", "external_id", "reference_id",
        } & set(said):  # fmt: skip
            raise DocumentError("external_references: a name and what it refers to were expected")


def _agents(book: Mapping[str, Any], name: str, strict: bool) -> set[str]:
    made = an_object(book.get(name, {}), name)
    for key, one in made.items():
        kind = identifier(key, name)
        agent = an_object(one, f"{name}.{key[:60]}")
        if not strict:
            continue
        if agent.get("type") != kind or not isinstance(agent.get("name"), str):
            raise DocumentError(f"{name}: {key[:60]!r} needs its own type and a name")
        for needed in _AGENT_NEEDS.get(kind, ()):
            if needed not in agent:
                raise DocumentError(f"{name}: {key[:60]!r} needs {needed}")
    return set(made)


def identifier(given: Any, where: str, kind: str = "") -> str:
    """The type of an id. Raises DocumentError."""
    match = _ID.fullmatch(a_text(given, where, 200))
    if match is None or (kind and match[1] != kind):
        raise DocumentError(f"{where}: {given[:60]!r} is no id{f' of type {kind}' if kind else ''}")
    return match[1]


def _workflow(book: Mapping[str, Any], agents: set[str]) -> None:
    steps = an_object(book["workflow"], "workflow")
    if len(steps) > MOST_STEPS:
        raise DocumentError(f"workflow: more than {MOST_STEPS:,} steps")
    kinds: dict[str, str] = {}
    for key, one in steps.items():
        kinds[key] = identifier(key, "workflow")
        step = an_object(one, key)
        if kinds[key] not in STEPS or step.get("type") != kinds[key]:
            raise DocumentError(f"workflow: {key[:60]!r} is no step of its own type")
        _step(key, step, agents)
    if kinds.get(a_text(book["workflow_start"], "workflow_start", 200)) != "start":
        raise DocumentError("workflow_start names no start step of the workflow")
    if "end" not in kinds.values() or not {"action", "playbook-action"} & set(kinds.values()):
        raise DocumentError("workflow: at least a start, an action and an end step were expected")
    if (
        "workflow_exception" in book
        and a_text(book["workflow_exception"], "workflow_exception", 200) not in steps
    ):
        raise DocumentError("workflow_exception names no step of the workflow")
    for key, step in steps.items():
        for _, following in leads_to(step):
            if a_text(following, f"{key}: what follows", 200) not in steps:
                raise DocumentError(f"{key}: leads to {str(following)[:60]!r}, which is not in the workflow")
    _no_way_back(steps)


def _step(key: str, step: Mapping[str, Any], agents: set[str]) -> None:
    kind = str(step["type"])
    for needed in _NEEDS.get(kind, ()):
        if needed not in step:
            raise DocumentError(f"{key}: {needed} is missing")
    after = {name for name in ("on_completion", "on_success", "on_failure") if name in step}
    if kind == "end" and after:
        raise DocumentError(f"{key}: an end leads nowhere")
    if kind == "start" and after != {"on_completion"}:
        raise DocumentError(f"{key}: a start has on_completion and nothing else")
    if "on_completion" in after and len(after) > 1:
        raise DocumentError(f"{key}: on_completion goes without on_success and on_failure")
    if kind != "end" and not {"on_completion", "on_success"} & after:
        raise DocumentError(f"{key}: on_completion or on_success is missing")
    for name in ("delay", "timeout"):
        if name in step:
            a_number(step[name], f"{key}.{name}")
    if kind == "action":
        commands = step["commands"]
        if not isinstance(commands, list) or not 0 < len(commands) <= MOST_COMMANDS:
            raise DocumentError(f"{key}: commands is an array of 1 to {MOST_COMMANDS:,}")
        for one in commands:
            command = an_object(one, f"{key}.commands")
            for needed in ("type", *_COMMAND_NEEDS.get(str(command.get("type")), ())):
                a_text(command.get(needed), f"{key}.commands.{needed}", 1 << 20)
        if a_text(step["agent"], f"{key}.agent", 200) not in agents:
            raise DocumentError(f"{key}: its agent is not in agent_definitions")
        targets = step.get("targets", [])
        if not isinstance(targets, list):
            raise DocumentError(f"{key}: targets is an array")
        for target in targets:
            if a_text(target, f"{key}.targets", 200) not in agents:
                raise DocumentError(f"{key}: a target is not in target_definitions")
    if kind == "parallel" and (not isinstance(step["next_steps"], list) or len(step["next_steps"]) < 2):
        raise DocumentError(f"{key}: next_steps has two or more")
    if kind == "switch-condition":
        an_object(step["cases"], f"{key}.cases")


def leads_to(step: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name of the property, id) of every step that can come next."""
    for name in ("on_completion", "on_success", "on_failure", "on_true", "on_false"):
        if name in step:
            yield name, step[name]
    given = step.get("next_steps", [])
    for one in given if isinstance(given, list) else [given]:
        yield "next_steps", one
    cases = step.get("cases", {})
    for one in cases.values() if isinstance(cases, dict) else [cases]:
        yield "cases", one


def _no_way_back(steps: Mapping[str, Any]) -> None:
    """Without recursion: a hostile workflow is as long as it likes."""
    done: set[str] = set()
    for first in steps:
        if first in done:
            continue
        path = {first}
        stack = [(first, leads_to(steps[first]))]
        while stack:
            here, following = stack[-1]
            following_one = next(following, None)
            if following_one is None:
                stack.pop()
                path.discard(here)
                done.add(here)
            elif following_one[1] in path:
                raise DocumentError(f"{following_one[1]}: the workflow leads back to it and never ends")
            elif following_one[1] not in done:
                path.add(following_one[1])
                stack.append((following_one[1], leads_to(steps[following_one[1]])))
