"""Names of the ATT&CK techniques that findings of ours bear, as MITRE writes them (ATT&CK for Enterprise).

Formats ask for a name beside the number; what is not in this table is named by its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAMES: Final[Mapping[str, str]] = {
    "T1021": "Remote Services", "T1021.002": "SMB/Windows Admin Shares", "T1021.004": "SSH",
    "T1046": "Network Service Discovery",
    "T1048": "Exfiltration Over Alternative Protocol", "T1059": "Command and Scripting Interpreter",
    "T1059.001": "PowerShell", "T1059.004": "Unix Shell", "T1071": "Application Layer Protocol",
    "T1071.001": "Web Protocols", "T1071.004": "DNS", "T1078": "Valid Accounts", "T1090": "Proxy",
    "T1090.002": "External Proxy",
    "T1090.003": "Multi-hop Proxy", "T1105": "Ingress Tool Transfer", "T1110": "Brute Force",
    "T1110.001": "Password Guessing", "T1110.003": "Password Spraying", "T1110.004": "Credential Stuffing",
    "T1133": "External Remote Services", "T1140": "Deobfuscate/Decode Files or Information",
    "T1189": "Drive-by Compromise", "T1190": "Exploit Public-Facing Application", "T1204": "User Execution",
    "T1204.001": "Malicious Link", "T1485": "Data Destruction", "T1486": "Data Encrypted for Impact",
    "T1489": "Service Stop", "T1490": "Inhibit System Recovery", "T1491": "Defacement",
    "T1491.002": "External Defacement", "T1496": "Resource Hijacking", "T1498": "Network Denial of Service",
    "T1498.001": "Direct Network Flood", "T1498.002": "Reflection Amplification",
    "T1499": "Endpoint Denial of Service", "T1499.002": "Service Exhaustion Flood", "T1505.003": "Web Shell",
    "T1566": "Phishing", "T1566.001": "Spearphishing Attachment", "T1566.002": "Spearphishing Link",
    "T1567": "Exfiltration Over Web Service", "T1571": "Non-Standard Port", "T1573": "Encrypted Channel",
    "T1584.005": "Botnet", "T1595": "Active Scanning", "T1595.001": "Scanning IP Blocks",
    "T1595.002": "Vulnerability Scanning",
}  # fmt: skip


def name_of(technique: str) -> str:
    """
    >>> name_of("T1595.001"), name_of("T9999")
    ('Scanning IP Blocks', 'T9999')
    """
    return NAMES.get(technique, technique)
