"""Findings, cases and intents in the words of others: one file per format, and ``export`` for all of them.

A format's functions are pure: a ``View`` (``view``) goes in, an object or a line comes out. What may be told at all has
been settled before (``share.policy``).
"""
