"""Survey scanners by the operator's lists and by the table of purposes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from andon.sketch.surveys import Listed, surveys


def test_lists_with_nested_prefixes_find_what_they_hold() -> None:
    table = pa.table({"cidr": ["10.0.0.0/8", "10.1.2.0/24", "192.0.2.1", "2001:db8::/32", "x"]})
    listed = Listed({"a": table})
    asked = np.array([0x0A010203, 0x0AFFFFFF, 0x0B000000, 0xC0000201, 0xC0000202, 0])
    assert listed.find(asked).tolist() == [True, True, False, True, False, False]
    assert listed.unreadable == 1


def test_surveys_are_read_from_the_table_of_purposes() -> None:
    table = pa.table({"src": pa.array([1, 2, 3], pa.uint32()), "purpose": ["survey", "attack", "survey"]})
    assert surveys(table).tolist() == [1, 3] and surveys(None).tolist() == []
