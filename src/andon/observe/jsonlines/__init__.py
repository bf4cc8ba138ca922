"""JSON lines as columns: logs of honeypots, sensors and products, read once and fast.

>>> import io
>>> paths = Paths(["src_ip", "connection.protocol"])
>>> log = io.BytesIO(b'{"src_ip": "192.0.2.1", "connection": {"protocol": "smbd", "type": "accept"}}\\n')
>>> for block in blocks(log, paths, Skipped()):
...     print(block.addresses("src_ip").tolist(), block.text("connection.protocol").to_pylist())
[3221225985] ['smbd']
"""

from .block import Block, Skipped, blocks
from .paths import Paths
from .values import NO_TIME, Words

__all__ = ["NO_TIME", "Block", "Paths", "Skipped", "Words", "blocks"]
