"""Learning what kinds of attackers do: ``train(corpus)`` gives a model of kind "attacker". See docs/attacker.md."""

from .build import train
from .corpus import Corpus, Profile, profile

__all__ = ["Corpus", "Profile", "profile", "train"]
