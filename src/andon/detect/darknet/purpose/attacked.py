"""Ports that are mostly attacked: weak evidence, kept as data.

A port is here if public reports name it as one that worms and bots try by exploit or default password, and if it
is of little worth to a survey compared with 80, 443 or 22, which everybody scans and which are therefore not here.
UDP services that reflect and amplify are not here either: attackers and surveys look for them alike.
"""

from __future__ import annotations

from typing import Final

import numpy as np

TCP: Final = {
    23: "telnet (Mirai and variants, default passwords)",
    2323: "telnet, second port (Mirai)",
    26: "telnet, alternative (Satori variants)",
    9527: "camera console (Mirai variants)",
    23231: "telnet, alternative (Mirai variants)",
    60023: "telnet, alternative (Mirai variants)",
    5358: "telnet, alternative (Hajime)",
    6789: "telnet, alternative (Mirai variants)",
    7547: "TR-064/TR-069 command injection (2016)",
    5555: "Android debug bridge, TR-069",
    37215: "Huawei HG532, CVE-2017-17215",
    52869: "Realtek UPnP, CVE-2014-8361",
    49152: "UPnP, camera firmware",
    7574: "Mozi's list",
    8291: "MikroTik Winbox, CVE-2018-14847",
    8728: "MikroTik API",
    445: "SMB, MS17-010 (WannaCry and followers)",
    135: "DCOM RPC",
    139: "NetBIOS session",
    1433: "Microsoft SQL Server, password guessing",
    3306: "MySQL, password guessing",
    6379: "Redis without password",
    2375: "Docker without password",
    3389: "remote desktop, password guessing, CVE-2019-0708",
    5900: "VNC, password guessing",
    5038: "Asterisk manager",
    2222: "SSH, alternative",
}


def table() -> np.ndarray:
    """uint8 array of 65,536: 1 for each TCP port here.

    >>> int(table()[23]), int(table()[80])
    (1, 0)
    """
    marks = np.zeros(1 << 16, np.uint8)
    marks[list(TCP)] = 1
    return marks
