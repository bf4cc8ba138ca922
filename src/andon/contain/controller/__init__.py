"""What keeps the site as the log of intents says it is to be."""

from andon.contain.controller.controller import Controller
from andon.contain.controller.judging import Judges
from andon.contain.controller.settings import Settings

__all__ = ["Controller", "Judges", "Settings"]
