"""The live runner: sources into a journal, the journal into engines, findings into the casebook, rows into history.

The journal is what makes it safe: nothing is shown to an engine before it is on the disk, and everything the
engines know is a function of the journal. See docs/architecture.md, "The live runner".
"""
