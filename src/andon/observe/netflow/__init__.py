"""Flow exports: NetFlow version 5 and 9 (RFC 3954) and IPFIX (RFC 7011) as flows (``records.flow``).

>>> from andon.observe.netflow.decoder import Decoder
>>> decoder = Decoder()
>>> decoder.add(b"\\0\\5\\0\\0", exporter="192.0.2.1")
>>> dict(decoder.skipped.reasons)
{'export packet cut short': 1}

``elements``: which information elements are read; ``templates``: what exporters say about their records; ``decoder``:
export packets to records in rows; ``flows``: those to columns; ``files``: export packets in files and captures.
"""
