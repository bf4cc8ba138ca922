"""``python -m andon`` is ``andon``."""

from andon.cli import main

main()
