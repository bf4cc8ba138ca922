"""Exact figures by a second read that can be spread over workers.

Bounded summaries cannot give exact counts, so no engine states one: its findings name relations, and the runner reads
the packets again. That read is three steps, and only the one in the middle sees packets:

``wanted(findings)``
    which relations are to be counted in which windows, in one order, as a small text with a digest;
``count_packets(wanted, open_rows, inputs)``
    what was counted in some rows: ``Counted``, which merges to the same bytes however the rows were divided and in
    whatever order the parts come (``merge``), and which travels as bytes with a version and a checksum;
``filled(findings, wanted, counted, inputs, telescope)``
    the findings with their checks written out and counted.

A runner in one process and a worker of a cluster call the same functions (``run.recount`` is the former).

>>> from andon.run.exactly import Wanted, wanted
>>> wanted([]) == Wanted.from_json(wanted([]).to_json())
True
"""

from __future__ import annotations

from andon.run.exactly.counted import Counted, Tally, merge
from andon.run.exactly.counting import Input, Rows, count, count_packets
from andon.run.exactly.filling import filled
from andon.run.exactly.wanted import Relation, Wanted, wanted

__all__ = [
    "Counted",
    "Input",
    "Relation",
    "Rows",
    "Tally",
    "Wanted",
    "count",
    "count_packets",
    "filled",
    "merge",
    "wanted",
]
