"""What kind of attacker a case shows: prankster or hacktivist, financially motivated, targeted. See docs/attacker.md.

Set-valued: the classes that stay possible, with a ledger of what speaks for which; "not enough evidence" is an
answer."""

from .judging import judge
from .knowledge import Knowledge
from .seen import observations, of_object

__all__ = ["Knowledge", "judge", "observations", "of_object"]
