"""The DAEDALUS hub: members tell each other what their telescopes saw of each other's addresses. ``docs/hub.md``."""
