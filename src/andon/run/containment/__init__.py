"""Containment put together from a configuration: policy, resolver, terrain, log, enforcers, controller."""

from andon.run.containment.build import Built, Prepared, built, enforcers_of, policy_of, prepared

__all__ = ["Built", "Prepared", "built", "enforcers_of", "policy_of", "prepared"]
