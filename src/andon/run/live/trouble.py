"""Which failures pass by themselves, and what stands in the way right now."""

from __future__ import annotations

from andon.store.casebook import CasebookError
from andon.store.errors import StoreFull, StoreLocked, StoreReadOnly


def passes(error: BaseException) -> bool:
    """Is the same call worth another try: a full disk, a database that is locked or whose server is away?

    >>> passes(StoreFull("no room")), passes(ValueError("nonsense"))
    (True, False)
    """
    if isinstance(error, CasebookError):
        return error.passing
    return isinstance(error, StoreFull | StoreReadOnly | StoreLocked)


class Troubles:
    """What keeps each part from working, by part; threads may share it.

    >>> troubles = Troubles()
    >>> troubles.say("journal", "no room")
    >>> troubles.say("history", "")
    >>> troubles.texts()
    ('no room',)
    """

    def __init__(self) -> None:
        self._by_part: dict[str, str] = {}

    def say(self, part: str, text: str) -> None:
        """``text`` "": all is well with it again."""
        if text:
            self._by_part[part] = text
        else:
            self._by_part.pop(part, None)

    def texts(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(self._by_part.copy().values()))
