"""The beginning of a file, looked at to tell what it is."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 16_384


def first_lines(head: bytes, count: int) -> list[bytes]:
    """The first whole lines that are neither empty nor comments; the last may lack its line feed only if it is the only
    one. Long lines are cut.

    >>> first_lines(b"#x\\n\\na b\\r\\nc d\\ne", 9)
    [b'a b', b'c d']
    """
    cut = head[: 4 * _LONGEST * max(count, 1)].split(b"\n")
    whole = cut[:-1] if len(cut) > 1 else cut
    return [line.rstrip(b"\r")[:_LONGEST] for line in whole if line.strip() and not line.startswith(b"#")][
        :count
    ]
