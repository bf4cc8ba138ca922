"""Andon: captures from unused addresses go in, checkable findings come out."""

__version__ = "0.1.0"
