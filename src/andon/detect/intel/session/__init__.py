"""Sessions of honeypots, understood: what a visitor showed, whose program it is, and how far it came.

Texts are read once each (``reading``): commands become patterns (``shell``) and behaviours, requests become exploits
of known vulnerabilities (``exploits``, ``signatures.tsv``), payloads become requests or digests. ``digest`` makes
rows of a batch, ``summary`` keeps them in bounds. At the end of a span ``tables`` gives each session a role
(``roles``), a family with its evidence (``families``), steps, ATT&CK techniques and tactics (``techniques``,
``tactics``) and a cluster (``clusters``).

What is published: ``sessions`` and ``behaviours`` (``records.joint``), ``clusters``, ``steps`` (how many sessions
show each attack step; exact, whatever the bounds) and ``controllers``. Commands are data: nothing is run, fetched or
looked up, and binaries stay out (``records.binaries``). How good all this is: docs/sessions.md.

``intel.session.megabytes`` (256): room for a span; beyond it a sample of sources is kept and the rest counted. Rules
of an IDS can be added as the list ``exploit-rules`` (``exploits.imported``).
"""

from andon.detect.intel.session.engine import SessionEngine, engine

__all__ = ["SessionEngine", "engine"]
