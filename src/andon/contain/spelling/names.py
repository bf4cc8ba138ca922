"""Sets of names that stand for themselves and, as a rule, for all that is below them."""

from __future__ import annotations

from collections.abc import Iterable

from andon.contain.spelling import parents


class Names:
    """``alone``: names that stand for themselves only.

    >>> held = Names(["www.corp.example"], alone=["b.example"])
    >>> held.within("a.www.corp.example"), held.below("corp.example"), held.within("a.b.example")
    ('www.corp.example', True, '')
    """

    __slots__ = ("_above", "_alone", "_names")

    def __init__(self, given: Iterable[str], alone: Iterable[str] = ()) -> None:
        self._names, self._alone = frozenset(given), frozenset(alone)
        self._above = frozenset(
            upper for held in (self._names, self._alone) for one in held for upper in parents(one)[1:]
        )

    def __bool__(self) -> bool:
        return bool(self._names or self._alone)

    def __len__(self) -> int:
        return len(self._names | self._alone)

    def within(self, name: str) -> str:
        """The entry that holds a name: itself or one above it; "" if there is none."""
        if name in self._alone:
            return name
        return next((upper for upper in parents(name) if upper in self._names), "")

    def below(self, name: str) -> bool:
        """Whether an entry is below the name, so that whoever cuts the name and all below it cuts the entry."""
        return name in self._above
