"""Containment: cases -> intents -> traffic that is cut, mirrored or steered; always reversible, bounded and explained.

``policy`` says what is wanted for a case, ``resolve`` whom that means now, ``guard`` what must never be, ``controller``
keeps the intents in ``store.intents`` and their states, ``reconcile`` makes the enforcers hold just what is wanted,
and ``enforcers`` are those that do it.
"""
