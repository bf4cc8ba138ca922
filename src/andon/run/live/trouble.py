"""Which failures pass by themselves, and what stands in the way right now."""

from __future__ import annotations

from collections.abc import Mapping

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


def given_up(outbox: Mapping[str, Mapping[str, int]]) -> str:
    """What to say of messages that sinks never took; "" if there are none.

    >>> given_up({"soc": {"dead": 2, "queued": 1}, "noc": {"delivered": 7}})
    '2 messages to soc were given up: `andon findings outbox list`, and `retry` once it is back'
    >>> given_up({"noc": {"delivered": 7}})
    ''
    """
    dead = {sink: states["dead"] for sink, states in outbox.items() if states.get("dead")}
    if not dead:
        return ""
    number = sum(dead.values())
    what = "1 message" if number == 1 else f"{number:,} messages"
    return (
        f"{what} to {', '.join(sorted(dead))} {'was' if number == 1 else 'were'} given up: "
        "`andon findings outbox list`, and `retry` once it is back"
    )


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
