"""Where each honeypot that writes JSON lines keeps what a session is made of.

One row a honeypot; paths are those of ``jsonlines.Paths``. Names and field sets were read off real files of T-Pot 24
(January 2025) and, where marked, off the mappings of its Logstash configuration. A value that begins with ``=`` stands
for itself and is not a path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class FieldMap:
    """``marks``: members by which a line is known to be of this honeypot (all of them have to be there); ``rivals``: it
    is not if one of these is. ``src`` may be ``ADDRESS:PORT``. ``closes``: (path, value) that ends a session; ``opens``
    likewise. ``credentials``: paths of lists (or single values) of user names and passwords, or of a list of objects
    that have ``username`` and ``password`` (one path). ``access``: a line of an access log that holds the request.
    ``one_each``: every line is a session of its own."""

    honeypot: str
    marks: tuple[str, ...]
    time: tuple[str, ...]  # the first that is there
    src: str
    src_port: str = ""
    dst: str = ""
    dst_port: str = ""
    session: str = ""
    sensor: str = ""
    protocol: str = ""
    client: tuple[str, ...] = ()
    hassh: str = ""
    end: str = ""
    duration: str = ""  # seconds
    opens: tuple[str, str] = ("", "")
    closes: tuple[str, str] = ("", "")
    credentials: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    method: str = ""
    uri: str = ""
    body: str = ""
    access: str = ""
    payload: tuple[tuple[str, str], ...] = ()  # (column of PAYLOAD, path)
    one_each: bool = False
    rivals: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All members that are read."""
        single = (
            self.src, self.src_port, self.dst, self.dst_port, self.session, self.sensor, self.protocol, self.hassh,
            self.end, self.duration, self.opens[0], self.closes[0], self.method, self.uri, self.body, self.access,
        )  # fmt: skip
        many = (
            *self.time,
            *self.client,
            *self.credentials,
            *self.command,
            *(path for _, path in self.payload),
        )
        wanted = (path for path in (*single, *many) if path and not path.startswith("="))
        return tuple(dict.fromkeys(wanted))


MAPS: Final = (
    FieldMap(
        "dionaea", ("connection.protocol", "connection.transport", "src_ip"), ("timestamp",), "src_ip", "src_port",
        "dst_ip", "dst_port", protocol="connection.protocol", one_each=True,
        credentials=("credentials.username", "credentials.password"), command=("ftp.command.command",),
    ),
    FieldMap(
        "heralding", ("session_id", "num_auth_attempts", "source_ip"), ("timestamp",), "source_ip", "source_port",
        "destination_ip", "destination_port", session="session_id", protocol="protocol", duration="duration",
        credentials=("auth_attempts",), one_each=True,
    ),
    FieldMap(
        "honeytrap", ("attack_connection.remote_ip", "operation_mode"), ("start_time", "@timestamp"),
        "attack_connection.remote_ip", "attack_connection.remote_port", "attack_connection.local_ip",
        "attack_connection.local_port", protocol="attack_connection.protocol", end="end_time", one_each=True,
        payload=(("length", "attack_connection.payload.length"), ("md5", "attack_connection.payload.md5_hash"),
                 ("sha512", "attack_connection.payload.sha512_hash"), ("hex", "attack_connection.payload.data_hex")),
    ),
    FieldMap(
        "conpot", ("sensorid", "data_type", "event_type"), ("timestamp",), "src_ip", "src_port", "dst_ip", "dst_port",
        session="id", sensor="sensorid", protocol="data_type", command=("request",),
        closes=("event_type", "CONNECTION_LOST"),
    ),
    FieldMap(
        "tanner", ("peer.ip", "method", "path", "response_msg"), ("timestamp",), "peer.ip", "peer.port",
        dst="headers.host", dst_port="=80", session="uuid", protocol="=http", client=("headers.user-agent",),
        method="method", uri="path", body="post_data", one_each=True,
    ),
    FieldMap(
        "tanner", ("peer.ip", "method", "path", "uuid"), ("timestamp",), "peer.ip", "peer.port", dst="headers.host",
        dst_port="=80", session="uuid", protocol="=http", client=("headers.user-agent",), method="method", uri="path",
        body="post_data", one_each=True,
    ),
    FieldMap(
        "h0neytr4p", ("request_uri", "request_method", "trapped"), ("timestamp",), "src_ip", dst="hostname",
        dst_port="dest_port", protocol="protocol", client=("user-agent",), method="request_method", uri="request_uri",
        body="request_body", one_each=True,
    ),
    FieldMap(
        "elasticpot", ("eventid", "url", "request", "dst_port"), ("timestamp",), "src_ip", "src_port", "dst_ip",
        "dst_port", sensor="sensor", protocol="=http", client=("user_agent",), method="request", uri="url",
        body="payload", one_each=True,
    ),
    FieldMap(
        "redishoneypot", ("action", "addr", "level"), ("time",), "addr", dst_port="=6379", protocol="=redis",
        command=("action",), opens=("action", "NewConnect"), closes=("action", "Closed"),
    ),
    FieldMap(
        "sentrypeer", ("event_timestamp", "sip_method", "source_ip"), ("event_timestamp",), "source_ip",
        dst="destination_ip", dst_port="=5060", sensor="created_by_node_id", protocol="=sip",
        client=("sip_user_agent",), method="sip_method", uri="called_number", body="sip_message",
    ),
    FieldMap(
        "mailoney", ("timestamp", "src_ip", "src_port", "data"), ("timestamp",), "src_ip", "src_port", dst_port="=25",
        protocol="=smtp", command=("data",), rivals=("eventid", "connection.protocol", "session"),
    ),
    FieldMap(
        "honeyaml", ("path", "method", "status_code", "target"), ("timestamp",), "src_ip", dst="host",
        dst_port="dest_port", protocol="=http", client=("user_agent",), method="method", uri="path", one_each=True,
    ),
    FieldMap(
        "honeyaml", ("path", "method", "status_code", "level"), ("timestamp",), "src_ip", dst="host",
        dst_port="dest_port", protocol="=http", client=("user_agent",), method="method", uri="path", one_each=True,
    ),
    FieldMap(
        "fatt", ("sourceIp", "destinationIp", "sourcePort"), ("timestamp",), "sourceIp", "sourcePort", "destinationIp",
        "destinationPort", protocol="protocol", client=("ssh.client", "http.userAgent", "tls.serverName"),
        hassh="ssh.hassh", one_each=True,
    ),
    FieldMap(
        "ciscoasa", ("timestamp", "src_ip", "payload_printable"), ("timestamp",), "src_ip", dst_port="=8443",
        protocol="=https", access="payload_printable",
    ),
    # Text logs as ``text`` turns them into members.
    FieldMap(
        "honeytrap", ("requested", "src", "dst_port"), ("timestamp",), "src", "src_port", "dst", "dst_port",
        protocol="requested", one_each=True,
    ),
    FieldMap(
        "heralding", ("session_id", "num_auth_attempts", "source_ip", "duration"), ("timestamp",), "source_ip",
        "source_port", "destination_ip", "destination_port", session="session_id", protocol="protocol",
        duration="duration", one_each=True,
    ),
    FieldMap(
        "heralding", ("auth_id", "session_id", "source_ip"), ("timestamp",), "source_ip", "source_port",
        "destination_ip", "destination_port", session="session_id", protocol="protocol",
        credentials=("username", "password"),
    ),
    FieldMap(
        "endlessh", ("endlessh", "host", "port"), ("timestamp",), "host", "port", dst_port="=22", protocol="=ssh",
        opens=("endlessh", "ACCEPT"), closes=("endlessh", "CLOSE"),
    ),
    FieldMap(  # read by ``devices``, which joins its files
        "iot-devices", ("time", "device", "src_ip", "src_port", "token"), ("time",), "src_ip", "src_port",
        dst_port="=23", sensor="device", protocol="=telnet", one_each=True,
    ),
    # As T-Pot's Logstash configuration names them; not seen in files.
    FieldMap(
        "adbhoney", ("eventid", "src_ip", "session"), ("timestamp",), "src_ip", "src_port", "dst_ip", "dst_port",
        session="session", sensor="sensor", protocol="=adb", command=("input",),
        opens=("eventid", "adbhoney.session.connect"), closes=("eventid", "adbhoney.session.closed"),
        payload=(("sha256", "shasum"),),
    ),
    FieldMap(
        "glutton", ("ts", "src_ip", "dest_port"), ("ts",), "src_ip", "src_port", "dest_ip", "dest_port",
        sensor="sensorID", protocol="handler", one_each=True, payload=(("hex", "payload_hex"),),
    ),
    FieldMap(
        "glutton", ("ts", "srcHost", "dstPort"), ("ts",), "srcHost", "srcPort", "dstHost", "dstPort",
        sensor="sensorID", protocol="handler", one_each=True, payload=(("hex", "payload"),),
    ),
    FieldMap(
        "ddospot", ("src_ip", "req_size", "resp_size"), ("time",), "src_ip", "src_port", dst_port="dst_port",
        sensor="sensor", protocol="protocol", one_each=True,
    ),
    FieldMap(
        "log4pot", ("client", "server_port", "request"), ("timestamp",), "client", "port", dst_port="server_port",
        protocol="=http", session="correlation_id", client=("headers.User-Agent",), uri="request", one_each=True,
    ),
    FieldMap(
        "hellpot", ("REMOTE_ADDR", "URL"), ("time",), "REMOTE_ADDR", dst_port="=80", protocol="=http",
        client=("USERAGENT",), uri="URL", one_each=True,
    ),
    FieldMap(
        "dicompot", ("IP", "Port", "Command"), ("time",), "IP", "Port", dst_port="=11112", protocol="=dicom",
        command=("Command",), session="ID",
    ),
    FieldMap(
        "ipphoney", ("eventid", "src_ip", "dst_port", "query"), ("timestamp",), "src_ip", "src_port", "dst_ip",
        "dst_port", protocol="=ipp", client=("user_agent",), uri="url", one_each=True,
    ),
    FieldMap(
        "citrixhoneypot", ("src_ip", "message", "logger"), ("timestamp",), "src_ip", dst_port="=443",
        protocol="=https", uri="message", one_each=True, rivals=("eventid",),
    ),
    FieldMap(
        "wordpot", ("plugin", "url", "src_ip"), ("timestamp",), "src_ip", "src_port", dst_port="dest_port",
        protocol="=http", client=("user_agent",), uri="url", one_each=True,
    ),
    FieldMap(
        "miniprint", ("event", "src_ip", "action"), ("timestamp",), "src_ip", dst_port="=9100", protocol="=printer",
        command=("command",),
    ),
    FieldMap(
        "beelzebub", ("event.Protocol", "event.SourceIp"), ("event.DateTime", "time"), "event.SourceIp",
        "event.SourcePort", session="event.ID", protocol="event.Protocol", client=("event.UserAgent", "event.Client"),
        credentials=("event.User", "event.Password"), command=("event.Command",), method="event.HTTPMethod",
        uri="event.RequestURI", body="event.Body",
    ),
    FieldMap(
        "galah", ("srcIP", "httpRequest.request"), ("eventTime",), "srcIP", "srcPort", dst_port="port",
        sensor="sensorName", protocol="=http", client=("httpRequest.userAgent",), method="httpRequest.method",
        uri="httpRequest.request", body="httpRequest.body", one_each=True,
    ),
)  # fmt: skip
