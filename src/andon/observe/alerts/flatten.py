"""Documents of JSON that are not one to a line: pretty-printed, in one long list, or inside an answer of a search.

A compiled scanner follows strings and brackets and writes each wanted document on a line of its own, for the scanner
of lines (``observe.jsonlines``). ``level``: how many brackets are open around a document: 0 for documents one after
another, 1 for a list of them, 3 for the hits of a search (``{"hits": {"hits": [...]}}``). What stands around is
passed over. A document longer than ``LONGEST`` is dropped as it goes by, so that memory does not depend on the input;
a line feed within a string breaks its document, and reading goes on behind it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

LONGEST: Final = 1 << 20  # bytes of a document
DEEPEST: Final = 60  # brackets
TOO_LONG: Final = "document longer than 1 MiB"
TOO_DEEP: Final = "nested too deep"
BROKEN: Final = "not valid JSON"
# Places in the state: brackets open; in a string; behind a backslash; what becomes of the bytes; brackets as bits;
# documents so far; those that were broken, and too deep.
_DEPTH, _STRING, _ESCAPED, _MODE, _STACK, _DONE, _BAD, _DEEP = range(8)
_OUTSIDE, _COPY, _DROP = 0, 1, 2


@njit(cache=True, nogil=True)
def _walk(data: np.ndarray, level: int, state: np.ndarray, out: np.ndarray) -> int:
    """Documents of the next bytes, each ended by a line feed, into ``out``; bytes written. The last may go on in the
    next call. A document that is given up leaves a NUL, and its line feed."""
    depth, string, escaped, mode = state[0], state[1] == 1, state[2] == 1, state[3]
    stack = np.uint64(state[4])
    size = 0
    for at in range(data.shape[0]):
        c = data[at]
        if string:
            if c in (0x0A, 0x0D, 0):
                string = escaped = False  # no string of JSON holds one: begin anew
                if mode != _OUTSIDE:
                    if mode == _COPY:
                        out[size], out[size + 1] = 0, 0x0A
                        size += 2
                    state[6] += 1
                mode, depth = _OUTSIDE, level
                stack = np.uint64(0)
                continue
            if mode == _COPY:
                out[size] = c
                size += 1
            if escaped:
                escaped = False
            elif c == 0x5C:
                escaped = True
            elif c == 0x22:
                string = False
            continue
        if c == 0x22:
            string = True
        elif c in (0x7B, 0x5B):
            in_list = level == 0 or stack & np.uint64(1) == 0
            if mode == _OUTSIDE and depth == level and c == 0x7B and in_list:
                mode = _COPY
            depth += 1
            stack = (stack << np.uint64(1)) | np.uint64(c == 0x7B)
            if depth > DEEPEST and mode == _COPY:
                mode = _DROP
                out[size], out[size + 1] = 0, 0x0A
                size += 2
                state[7] += 1
        elif c in (0x7D, 0x5D):
            if depth > 0:
                depth -= 1
                stack = stack >> np.uint64(1)
            if mode != _OUTSIDE and depth <= level:
                if mode == _COPY:
                    out[size], out[size + 1] = c, 0x0A
                    size += 2
                mode = _OUTSIDE
                state[5] += 1
                continue
        if mode == _COPY:
            out[size] = 0x20 if c in (0x0A, 0x0D) else c
            size += 1
    state[0], state[1], state[2], state[3], state[4] = depth, string, escaped, mode, np.int64(stack)
    return size


class Flattener:
    """``state``: what an earlier one gave with ``state()``.

    >>> from andon.observe.jsonlines import Skipped
    >>> Flattener(1).feed(b'[ {"a":\\n 1},', Skipped())
    b'{"a":  1}\\n'
    """

    def __init__(self, level: int, longest: int = LONGEST, state: Mapping[str, Any] | None = None) -> None:
        self.level, self._longest = level, longest
        self._state = np.zeros(8, np.int64)
        self._held = b""
        if state is not None:
            self._state[:] = state["walk"]
            self._held = b64decode(state["held"])

    def state(self) -> dict[str, Any]:
        return {"walk": self._state.tolist(), "held": b64encode(self._held).decode()}

    def feed(self, data: bytes, skipped: Skipped) -> bytes:
        """Whole documents, a line each."""
        out = np.empty(2 * len(data) + 16, np.uint8)
        size = _walk(np.frombuffer(data, np.uint8), self.level, self._state, out)
        made = self._held + out[:size].tobytes()
        end = made.rfind(b"\n") + 1
        made, self._held = made[:end], made[end:]
        number = int(self._state[_DONE])
        for place, reason in ((_BAD, BROKEN), (_DEEP, TOO_DEEP)):
            if self._state[place]:
                skipped.add(number + 1, reason, int(self._state[place]))
                self._state[place] = 0
        if b"\0" in made:
            made = b"".join(line for line in made.splitlines(keepends=True) if b"\0" not in line)
        if len(self._held) > self._longest:
            self._held = b""
            self._state[_MODE] = _DROP
            skipped.add(number + 1, TOO_LONG)
        return made

    def end(self, skipped: Skipped) -> None:
        """Nothing more will come."""
        if self._held:
            skipped.add(int(self._state[_DONE]) + 1, "document cut short")
            self._held = b""
