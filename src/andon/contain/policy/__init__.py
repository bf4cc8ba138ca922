"""The policy of containment: which case is answered by what, and what is never touched (docs/containment-policy.md)."""

from andon.contain.policy.classes import CRITICAL, UNKNOWN, AssetClass, Classes
from andon.contain.policy.document import PolicyError
from andon.contain.policy.load import built_in_text, load_policy, public_list
from andon.contain.policy.model import Limits, Policy, Protect, Rule, Wish

__all__ = [
    "CRITICAL", "UNKNOWN", "AssetClass", "Classes", "Limits", "Policy", "PolicyError", "Protect", "Rule",
    "Wish", "built_in_text", "load_policy", "public_list",
]  # fmt: skip
