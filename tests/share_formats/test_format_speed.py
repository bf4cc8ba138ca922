"""A fifth of the bar of 10,000 objects a CPU second, which a loaded machine keeps (benchmarks/share/formats.py)."""

from __future__ import annotations

import json
import time

import pytest
from told_records import DOCUMENTS

from andon.share.formats.export import LINES, Told
from andon.share.policy import Gate, Ground, Policy
from spent import spent


@pytest.mark.parametrize("format", [*LINES, "stix", "misp"])
def test_a_format_tells_two_thousand_objects_a_cpu_second(format: str) -> None:
    told = Told(format, Gate(Policy("x"), Ground()))
    objects = sum(
        len(json.loads(told.one(document))["objects"]) if format == "stix" else 1 for document in DOCUMENTS
    )
    made, begun = 0, time.thread_time()
    with spent() as cost:
        while time.thread_time() - begun < 0.1:
            for document in DOCUMENTS:
                told.one(document)
            made += objects
    assert made / cost.seconds > 2_000
