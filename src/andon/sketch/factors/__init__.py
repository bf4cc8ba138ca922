"""What detectors that factorise darknet traffic share: counts of who asked what when, in bounded mergeable rows
(``cells``); the same, read for one span (``traffic``); how usual a port is (``usual``); how surprising it is in a
group (``surprise``); alerts as a table and as findings (``alerts``); settings (``settings``); and the engine around all
that (``engine``).
"""
