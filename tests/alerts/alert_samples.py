"""Alerts as the products write them, made by number: the same number, the same alert.

Shapes are those of the products' own documents; names, addresses and hashes are made up (RFC 5737, RFC 2606)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 8, 0, 0, tzinfo=UTC)
RULES = (
    (2013028, "ET POLICY curl User-Agent Outbound", "Attempted Information Leak", 2, []),
    (2024897, "ET USER_AGENTS Go HTTP Client User-Agent", "Misc activity", 3, []),
    (2034647, "ET EXPLOIT Apache log4j RCE Attempt (http ldap) (CVE-2021-44228)", "Attempted Administrator", 1,
     ["T1190"]),
    (2027863, "ET INFO Observed DNS Query to .biz TLD", "Potentially Bad Traffic", 2, []),
    (2210054, "SURICATA STREAM excessive retransmissions", "Generic Protocol Command Decode", 3, []),
)  # fmt: skip


def moment(n: int) -> datetime:
    return START + timedelta(milliseconds=731 * n)


def ns(n: int) -> int:
    return int(START.timestamp()) * 1_000_000_000 + 731_000_000 * n


def outside(n: int) -> str:
    return f"198.51.100.{1 + (n * 7919) % 250}"


def inside(n: int) -> str:
    return f"10.0.{n % 3}.{1 + (n * 31) % 200}"


def eve(n: int) -> dict[str, Any]:
    sid, signature, category, severity, techniques = RULES[n % len(RULES)]
    metadata = {"created_at": ["2021_12_10"], "signature_severity": ["Major"]}
    if techniques:
        metadata |= {"mitre_technique_id": techniques, "cve": ["CVE_2021_44228"]}
    return {
        "timestamp": moment(n).strftime("%Y-%m-%dT%H:%M:%S.%f+0000"),
        "flow_id": 1_000_000_007 * (n + 1), "in_iface": "eth0", "event_type": "alert",
        "src_ip": inside(n), "src_port": 40_000 + n % 20_000, "dest_ip": outside(n), "dest_port": 80,
        "proto": "TCP", "pkt_src": "wire/pcap", "metadata": {"flowbits": ["http.dottedquadhost"]}, "tx_id": 0,
        "alert": {
            "action": "allowed" if n % 7 else "blocked", "gid": 1, "signature_id": sid, "rev": 4,
            "signature": signature, "category": category, "severity": severity, "metadata": metadata,
        },
        "http": {
            "hostname": f"www{n % 50}.example", "url": f"/download?id={n}", "http_user_agent": "curl/8.5.0",
            "http_method": "GET", "protocol": "HTTP/1.1", "status": 200, "length": 512,
        },
        "files": [{"filename": "/download", "gaps": False, "state": "CLOSED", "stored": False, "size": 512}],
        "app_proto": "http", "direction": "to_server",
        "flow": {
            "pkts_toserver": 5, "pkts_toclient": 4, "bytes_toserver": 612, "bytes_toclient": 1043,
            "start": moment(n).strftime("%Y-%m-%dT%H:%M:%S.%f+0000"), "src_ip": inside(n), "dest_ip": outside(n),
            "src_port": 40_000 + n % 20_000, "dest_port": 80,
        },
        "payload_printable": "GET /download HTTP/1.1\r\nHost: www.example\r\nUser-Agent: curl/8.5.0\r\n\r\n" * 4,
        "stream": 1,
    }  # fmt: skip


def wazuh(n: int) -> dict[str, Any]:
    kinds = (
        ("5710", 5, "sshd: Attempt to login using a non-existent user", ["syslog", "sshd", "invalid_login"],
         ["T1110.001", "T1021.004"]),
        ("31101", 5, "Web server 400 error code.", ["web", "accesslog", "attack"], []),
        ("550", 7, "Integrity checksum changed.", ["ossec", "syscheck"], ["T1565.001"]),
        ("92052", 12, "Windows command prompt started by an abnormal process", ["sysmon", "windows"], ["T1059.003"]),
        ("86601", 3, "Suricata: Alert - ET POLICY curl User-Agent Outbound", ["ids", "suricata"], []),
    )  # fmt: skip
    number, level, description, groups, techniques = kinds[n % len(kinds)]
    rule: dict[str, Any] = {
        "level": level, "description": description, "id": number, "firedtimes": n % 40, "mail": False,
        "groups": groups, "pci_dss": ["10.2.4", "10.2.5"], "gdpr": ["IV_35.7.d"],
    }  # fmt: skip
    if techniques:
        rule["mitre"] = {
            "id": techniques,
            "tactic": ["Credential Access"],
            "technique": ["Password Guessing"],
        }
    alert: dict[str, Any] = {
        "timestamp": moment(n).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment(n).microsecond // 1000:03d}+0000",
        "rule": rule,
        "agent": {"id": f"{1 + n % 9:03d}", "name": f"srv{n % 9}", "ip": inside(n)},
        "manager": {"name": "wazuh-manager"},
        "id": f"{int(moment(n).timestamp())}.{n}",
        "decoder": {"name": "sshd", "parent": "sshd"},
        "location": "/var/log/auth.log",
        "full_log": f"Mar  1 08:00:00 srv{n % 9} sshd[{1000 + n}]: Invalid user admin{n} from {outside(n)} port 4711",
        "predecoder": {"program_name": "sshd", "timestamp": "Mar  1 08:00:00", "hostname": f"srv{n % 9}"},
    }  # fmt: skip
    if number == "5710":
        alert["data"] = {"srcip": outside(n), "srcport": "4711", "srcuser": f"admin{n % 20}"}
    elif number == "31101":
        alert["data"] = {"protocol": "GET", "srcip": outside(n), "id": "404", "url": f"/wp-login.php?x={n}"}
    elif number == "550":
        alert["syscheck"] = {
            "path": "/etc/passwd", "mode": "realtime", "size_after": "2048", "sha256_after": "ab" * 32,
            "uname_after": "root", "event": "modified",
        }  # fmt: skip
    elif number == "92052":
        alert["data"] = {
            "win": {
                "system": {"providerName": "Microsoft-Windows-Sysmon", "eventID": "1", "computer": f"srv{n % 9}"},
                "eventdata": {
                    "image": "C:\\\\Windows\\\\System32\\\\cmd.exe", "commandLine": f"cmd.exe /c whoami {n}",
                    "user": "EXAMPLE\\\\alice", "hashes": "MD5=AA11,SHA256=" + "CD" * 32,
                },
            }
        }  # fmt: skip
    else:
        alert["data"] = {
            "src_ip": inside(n), "src_port": "40000", "dest_ip": outside(n), "dest_port": "80", "proto": "TCP",
            "alert": {
                "action": "allowed", "gid": "1", "signature_id": "2013028", "severity": "2",
                "signature": "ET POLICY curl User-Agent Outbound", "category": "Attempted Information Leak",
            },
        }  # fmt: skip
    return alert


def lines(*documents: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in documents)


def aminer(n: int) -> dict[str, Any]:
    return {
        "AnalysisComponent": {
            "AnalysisComponentIdentifier": 3, "AnalysisComponentType": "NewMatchPathValueDetector",
            "AnalysisComponentName": "AMiner: New request method in Apache Access log.",
            "Message": "New value(s) detected", "PersistenceFileName": "accesslog_request", "TrainingMode": False,
            "AffectedLogAtomPaths": ["/model/combined/request/method"], "AffectedLogAtomValues": ["PROPFIND"],
        },
        "LogData": {
            "RawLogData": [f'{outside(n)} - - [01/Mar/2026:08:00:00 +0000] "PROPFIND / HTTP/1.1" 405 {n}'],
            "Timestamps": [ns(n) / 1e9], "DetectionTimestamp": ns(n) / 1e9 + 1, "LogLinesCount": 1,
            "LogResources": ["file:///var/log/apache2/access.log"],
        },
        "AMiner": {"ID": inside(n)},
    }  # fmt: skip


def notice(n: int) -> dict[str, Any]:
    return {
        "ts": ns(n) / 1e9, "note": "SSH::Password_Guessing", "msg": f"{outside(n)} guesses SSH passwords",
        "sub": "Sampled servers", "src": outside(n), "peer_descr": "zeek", "actions": ["Notice::ACTION_LOG"],
        "suppress_for": 3600.0,
    }  # fmt: skip


NOTICE_FIELDS = (
    "ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "fuid", "file_mime_type", "file_desc", "proto",
    "note", "msg", "sub", "src", "dst", "p", "n", "peer_descr", "actions", "email_dest", "suppress_for",
)  # fmt: skip


def notice_text(count: int) -> bytes:
    rows = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tnotice",
            "#fields\t" + "\t".join(NOTICE_FIELDS)]  # fmt: skip
    for n in range(count):
        told = {
            "ts": f"{ns(n) / 1e9:.6f}", "uid": f"C{n}", "id.orig_h": inside(n), "id.orig_p": "50000",
            "id.resp_h": outside(n), "id.resp_p": "443", "proto": "tcp", "note": "SSL::Invalid_Server_Cert",
            "msg": "SSL certificate validation failed with (self signed certificate)", "src": inside(n),
            "dst": outside(n), "p": "443", "actions": "Notice::ACTION_LOG", "suppress_for": "3600.000000",
        }  # fmt: skip
        rows.append("\t".join(told.get(name, "-") for name in NOTICE_FIELDS))
    return ("\n".join(rows) + "\n").encode()


def ocsf(n: int) -> dict[str, Any]:
    return {
        "class_uid": 2004, "class_name": "Detection Finding", "category_uid": 2, "activity_id": 1, "type_uid": 200401,
        "time": ns(n) // 1_000_000, "severity_id": 4, "severity": "High", "disposition_id": 2, "status_id": 1,
        "metadata": {"version": "1.3.0", "product": {"name": "Example EDR", "vendor_name": "Example"},
                     "tenant_uid": "t1"},
        "finding_info": {
            "uid": f"f-{n}", "title": f"Credential dumping on srv{n % 9} by process {n + 70000}",
            "analytic": {"uid": "EDR-1003", "name": "LSASS memory read", "type_id": 1}, "types": ["credential-access"],
            "attacks": [{"technique": {"uid": "T1003.001", "name": "LSASS Memory"}, "version": "14"}],
        },
        "device": {"hostname": f"srv{n % 9}", "ip": inside(n), "type_id": 1},
        "evidences": [
            {
                "actor": {"user": {"name": "alice"}},
                "process": {"cmd_line": f"procdump -ma lsass.exe {n}", "file": {"path": "C:\\tools\\procdump.exe",
                            "hashes": [{"algorithm_id": 3, "value": "AB" * 32}]}},
                "dst_endpoint": {"ip": outside(n), "port": 445},
            }
        ],
        "vulnerabilities": [{"cve": {"uid": "CVE-2021-36934"}}], "count": 3,
    }  # fmt: skip


def kibana(n: int, dotted: bool = False) -> dict[str, Any]:
    technique = {"id": "T1562", "subtechnique": [{"id": "T1562.002"}]}
    rule = {
        "rule_id": "4de76544-f0e5-486a-8f84-eae0b6063cdc", "uuid": f"{n:032x}", "name": "Disable Windows Event Logs",
        "threat": [{"framework": "MITRE ATT&CK", "technique": [technique]}], "category": "Custom Query Rule",
    }  # fmt: skip
    document: dict[str, Any] = {
        "@timestamp": moment(n).isoformat(), "host": {"name": f"srv{n % 9}", "ip": [inside(n), "fe80::1"]},
        "user": {"name": "alice"}, "process": {"executable": "C:\\Windows\\wevtutil.exe",
                                               "command_line": f"wevtutil cl Security {n}"},
        "event": {"kind": "signal", "module": "endpoint", "severity": 73},
    }  # fmt: skip
    if dotted:
        document |= {f"kibana.alert.rule.{key}": value for key, value in rule.items()}
        return document | {"kibana.alert.severity": "high", "kibana.alert.uuid": f"a{n}"}
    return document | {"kibana": {"alert": {"rule": rule, "severity": "high", "uuid": f"a{n}"}}}


def beat(n: int) -> dict[str, Any]:
    return {
        "@timestamp": moment(n).isoformat(), "event": {"kind": "alert", "module": "suricata", "severity": 1,
                                                       "category": ["network", "intrusion_detection"]},
        "rule": {"id": "2034647", "name": "ET EXPLOIT Apache log4j RCE Attempt", "category": "Attempted Admin"},
        "source": {"ip": outside(n), "port": 4000}, "destination": {"ip": inside(n), "port": 8080},
        "network": {"transport": "tcp"}, "host": {"name": "sensor1"}, "observer": {"type": "ids"},
    }  # fmt: skip


def hit(n: int) -> dict[str, Any]:
    return {
        "_index": ".alerts-security.alerts-default",
        "_id": f"i{n}",
        "_score": 1.0,
        "_source": kibana(n, True),
    }


def chainsaw(n: int) -> dict[str, Any]:
    return {
        "group": "Sigma", "kind": "individual", "name": "Suspicious Encoded PowerShell", "level": "high",
        "timestamp": moment(n).isoformat(), "authors": ["A"], "source": "sigma", "status": "test",
        "id": "CA2092A1-C273-4878-9B4B-0D60115BF5EA", "logsource": {"category": "process_creation",
                                                                    "product": "windows"},
        "tags": ["attack.execution", "attack.t1059.001"], "falsepositives": [],
        "document": {"kind": "evtx", "path": "a.evtx", "data": {"Event": {
            "System": {"Computer": f"srv{n % 9}.example", "EventID": 1},
            "EventData": {"CommandLine": f"powershell -enc {n}", "Image": "C:\\p\\powershell.exe", "User": "EX\\bob",
                          "Hashes": "SHA256=" + "EF" * 32}}}},
    }  # fmt: skip


def hayabusa(n: int) -> dict[str, Any]:
    return {
        "Timestamp": moment(n).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " +00:00",
        "RuleTitle": "Suspicious Encoded PowerShell", "Level": "high", "Computer": f"srv{n % 9}.example",
        "Channel": "Sysmon", "EventID": 1, "RecordID": n, "RuleID": "ca2092a1-c273-4878-9b4b-0d60115bf5ea",
        "MitreTactics": ["Exec"], "MitreTags": ["T1059.001"],
        "Details": {"Cmdline": f"powershell -enc {n}", "Proc": "C:\\p\\powershell.exe", "User": "EX\\bob"},
    }  # fmt: skip


def zircolite(count: int) -> list[dict[str, Any]]:
    matches = [
        {"row_id": n, "Computer": f"srv{n % 9}.example", "SystemTime": moment(n).isoformat(), "Channel": "Sysmon",
         "CommandLine": f"powershell -enc {n}", "Image": "C:\\p\\powershell.exe", "User": "EX\\bob"}
        for n in range(count)
    ]  # fmt: skip
    return [
        {"title": "Suspicious Encoded PowerShell", "id": "ca2092a1-c273-4878-9b4b-0d60115bf5ea", "description": "x",
         "sigmafile": "a.yml", "sigma": ["SELECT"], "rule_level": "high", "tags": ["attack.t1059.001"],
         "count": count, "matches": matches}
    ]  # fmt: skip
