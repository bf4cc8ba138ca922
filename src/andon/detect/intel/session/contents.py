"""Many strings looked for at once in a text: the automaton of Aho and Corasick (Efficient String Matching, CACM
1975).

Only the table of the trie is made beforehand; failure links are followed while scanning. Cost is that of the text,
whatever the number of strings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

_ROOT: Final = 0


class Contents:
    """Strings to be found.

    >>> Contents(["he", "she", "hers"]).found("ushers") == {0, 1, 2}
    True
    """

    def __init__(self, strings: Iterable[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._fail = [_ROOT]
        self._here: list[tuple[int, ...]] = [()]
        for number, string in enumerate(strings):
            if not string:
                raise ValueError("an empty string is everywhere")
            at = _ROOT
            for char in string:
                step = self._next[at].get(char)
                if step is None:
                    step = len(self._next)
                    self._next[at][char] = step
                    self._next.append({})
                    self._fail.append(_ROOT)
                    self._here.append(())
                at = step
            self._here[at] = (*self._here[at], number)
        queue = deque(self._next[_ROOT].values())
        while queue:
            at = queue.popleft()
            for char, step in self._next[at].items():
                fail = self._fail[at]
                while fail and char not in self._next[fail]:
                    fail = self._fail[fail]
                self._fail[step] = self._next[fail].get(char, _ROOT)
                self._here[step] += self._here[self._fail[step]]
                queue.append(step)

    def found(self, text: str) -> set[int]:
        """Numbers of the strings that occur in the text."""
        moves, fails, here = self._next, self._fail, self._here
        at, hits = _ROOT, set[int]()
        for char in text:
            step = moves[at].get(char)
            while step is None and at:
                at = fails[at]
                step = moves[at].get(char)
            at = step or _ROOT
            if here[at]:
                hits.update(here[at])
        return hits
