"""Readers of what others know of attackers: ATT&CK's STIX bundles, clusters of MISP galaxies, labelled profiles."""

from .attack import Actor, Attack
from .attack import read as read_attack
from .documents import KnowledgeError, objects
from .galaxy import Galaxy, Named
from .galaxy import read as read_galaxy

__all__ = ["Actor", "Attack", "Galaxy", "KnowledgeError", "Named", "objects", "read_attack", "read_galaxy"]
