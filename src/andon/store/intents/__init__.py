"""The append-only log of intents: what was decided and done, chained by hashes, and what that makes of each intent."""

from andon.store.intents.head import Head
from andon.store.intents.log import IntentLog
from andon.store.intents.repairing import Repaired, repair
from andon.store.intents.segment import Damage
from andon.store.intents.state import HELD, NOBODY, NOTE, RELEASED, SITE, Conflict, Entry, Hold, State
from andon.store.intents.uptime import boot_id, uptime
from andon.store.intents.verifying import Verification

__all__ = [
    "HELD", "NOBODY", "NOTE", "RELEASED", "SITE", "Conflict", "Damage", "Entry", "Head", "Hold", "IntentLog",
    "Repaired", "State", "Verification", "boot_id", "repair", "uptime",
]  # fmt: skip
