"""Documents meant to do harm: large, deep, ambiguous, of the wrong types. Each ends in an error that says why, or in
proposals; nothing else comes out and nothing runs for ever."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from language_world import JSON, address, asker, intent, machine

from andon.contain.languages import cacao, openc2, stix
from andon.contain.languages.document import DocumentError, bounded, parsed
from andon.contain.languages.request import Imported
from spent import spent

VALID: list[tuple[Callable[..., Imported], Any]] = [
    (openc2.read, openc2.commands(intent("quarantine", machine("pc1", "10.0.0.5")), "x-andon")[0]),
    (
        openc2.read,
        openc2.commands(intent("block-pair", address("10.0.0.5"), address("203.0.113.9")), "pf", "2.0")[0],
    ),
    (openc2.read, openc2.message({"action": "query", "target": {"features": []}}, "r", "a", "b", 1)),
    (cacao.read, cacao.playbook(intent("block", address("198.51.100.7")))),
    (stix.read, stix.bundle([intent("block", address("198.51.100.7"))])),
]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"[" * 100_000, "deeper"),
        ('{"a":' * 50 + "1" + "}" * 50, "deeper"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        ("[" + "1," * 300_000 + "1]", "values"),
        (b'"' + b"a" * (5 << 20) + b'"', "larger"),
        ('{"a": "\ud800"}', "JSON"),
    ],
)
def test_a_document_is_small_shallow_and_unambiguous(given: str | bytes, said: str) -> None:
    with spent() as cost, pytest.raises(DocumentError, match=said):
        parsed(given)
    assert cost.seconds < 5


def test_brackets_in_texts_are_no_depth() -> None:
    assert parsed('{"a": "' + "[" * 1000 + '\\"{{{"}')["a"].startswith("[[")


def test_values_made_elsewhere_have_the_same_bounds() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(DocumentError, match="deeper"):
        bounded(deep)
    with pytest.raises(DocumentError, match="name"):
        bounded({1: 2})
    round_and_round: list[Any] = []
    round_and_round.append(round_and_round)
    with pytest.raises(DocumentError):
        bounded(round_and_round)


@settings(max_examples=150)
@given(JSON)
def test_any_json_is_a_refusal_or_a_proposal(value: Any) -> None:
    for read in (openc2.read, cacao.read, stix.read):
        try:
            made = read(value, asker())
        except DocumentError:
            continue
        assert all(wish.approvals >= 1 for wish in made.intents)


@settings(max_examples=300)
@given(st.integers(0, len(VALID) - 1), st.randoms(use_true_random=False), JSON)
def test_any_part_can_be_anything(which: int, random: Any, value: Any) -> None:
    read, document = VALID[which]
    document = copy.deepcopy(document)
    places: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        one = stack.pop()
        for key, inner in one.items() if isinstance(one, dict) else enumerate(one):
            places.append((one, key))
            if isinstance(inner, dict | list):
                stack.append(inner)
    holder, key = random.choice(places)
    if isinstance(holder, dict) and random.random() < 0.3:
        del holder[key]
    else:
        holder[key] = value
    try:
        made = read(document, asker())
    except DocumentError as error:
        assert str(error) and len(str(error)) < 5000
        return
    for wish in made.intents:
        assert wish.approvals >= 1 and wish.requested_by.endswith(":partner")
        assert json.dumps(wish.to_dict())


def test_a_thousand_actions_are_the_most() -> None:
    objects = []
    for number in range(1, 1200):
        objects += stix.objects(intent("block", address("198.51.100.7"), number=number))
    with pytest.raises(DocumentError, match="more than"):
        stix.read(objects, asker())
