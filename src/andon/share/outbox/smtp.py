"""Mail: text for people with the message's JSON attached; a digest carries JSON lines.

``Message-ID`` is made from the parcel's id, so an attempt that is repeated because the server's last answer was lost
can be recognised by the mail system and by readers. RFC 5321 gives no way to do better (section 4.5.3.2.6).
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from andon.share.outbox.dial import Deadline, checked_host, tls_context
from andon.share.outbox.formatted import admit
from andon.share.outbox.parcel import Parcel, Refused, Unreachable, body_text, one_line
from andon.share.outbox.secret import Secret
from andon.share.policy import Gate

_POLICY = policy.SMTP.clone(cte_type="7bit", max_line_length=78)
_REPLY_BYTES = 65536
_TEXT = 100_000  # characters of text in a mail; the attachment has all
SECURITIES = ("starttls", "tls", "none")


@dataclass(frozen=True)
class SmtpSink:
    """A mailbox or list. ``security``: "starttls", "tls" (implicit) or "none" (then no password is sent).

    Raises ValueError for addresses or settings that cannot work."""

    name: str
    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    security: str = "starttls"
    user: str = ""
    password: Secret | None = field(default=None, repr=False)
    ca_file: Path | None = None
    verify: bool = True
    local_name: str = "andon.invalid"  # what we call ourselves in EHLO
    digest_after: int = 20
    gate: Gate | None = None

    def __post_init__(self) -> None:
        checked_host(self.host, self.port)
        checked_host(self.local_name, 25)
        if self.security not in SECURITIES:
            raise ValueError(f"security {self.security!r} is none of {', '.join(SECURITIES)}")
        if not self.to:
            raise ValueError("a mail sink needs at least one address in `to`")
        for address in (self.sender, *self.to):
            _checked_address(address)
        if bool(self.user) != (self.password is not None):
            raise ValueError("`user` and a password (password_file or password_env) belong together")
        if self.user and self.security == "none":
            raise ValueError("a password is not sent without TLS: set security to starttls or tls")
        if self.security != "none":
            _ = self._context  # a CA file that cannot be read is said at once

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return tls_context(self.ca_file, self.verify)

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Hand the mail over; returns when the server has taken it. Raises Unreachable, Refused, Withheld."""
        admit(self.gate, parcel)
        mail = self.mail(parcel)
        with Deadline(seconds) as deadline:
            client = _Client(deadline, self.local_name)
            try:
                return self._talk(client, mail, deadline)
            except smtplib.SMTPDataError as error:
                if error.smtp_code >= 500:
                    raise Refused(self._said(error)) from error
                raise Unreachable(self._said(error)) from error
            except smtplib.SMTPSenderRefused as error:
                if error.smtp_code == 552:  # too big, said before the text was sent
                    raise Refused(self._said(error)) from error
                raise Unreachable(self._said(error)) from error
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(
                    f"{self.host}: certificate not accepted ({error.verify_message}); set ca_file if it is your own"
                ) from error
            except (smtplib.SMTPException, OSError, ValueError) as error:
                raise Unreachable(self._said(error)) from error
            finally:
                client.close()

    def _talk(self, client: _Client, mail: EmailMessage, deadline: Deadline) -> str:
        client.tls = self._context if self.security == "tls" else None
        client._host = self.host  # the name that STARTTLS verifies
        code, answer = client.connect(self.host, self.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, answer)
        if self.security == "starttls":
            client.starttls(context=self._context)
        if self.password is not None:
            client.login(self.user, self.password.read())
        refused = client.send_message(mail, self.sender, list(self.to))
        try:
            if client.sock is not None:
                client.sock.settimeout(min(5.0, deadline.left))
            client.quit()
        except (smtplib.SMTPException, OSError, Unreachable):
            pass  # the mail is taken; how the talk ends does not matter
        return self._said(smtplib.SMTPRecipientsRefused(refused)) if refused else ""

    def mail(self, parcel: Parcel) -> EmailMessage:
        """The mail of a parcel: the same bytes in every attempt."""
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Subject"] = _header(parcel.subject, 200)
        mail["Date"] = format_datetime(datetime.fromtimestamp(parcel.created // 1_000_000_000, UTC))
        mail["Message-ID"] = f"<{parcel.id}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Andon-Kind"] = _header(parcel.kind, 64)
        mail.set_content(body_text(parcel.text)[:_TEXT] + "\n", charset="utf-8")
        if parcel.is_digest:
            attached = (parcel.lines + "\n").encode()
            mail.add_attachment(attached, "application", "x-ndjson", filename="messages.ndjson")
        else:
            mail.add_attachment(parcel.body.encode(), "application", "json", filename="message.json")
        del mail["MIME-Version"]
        mail["MIME-Version"] = "1.0"
        mail.set_boundary(f"=_{parcel.id}")
        return mail

    def _said(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            parts = [f"{who}: {code} {_text(text)}" for who, (code, text) in error.recipients.items()]
            text = "not accepted: " + "; ".join(parts[:3])
        elif isinstance(error, smtplib.SMTPResponseException):
            text = f"{error.smtp_code} {_text(error.smtp_error)}"
        else:
            text = str(error) or type(error).__name__
        if self.password is not None:
            text = self.password.hide(text)
        return one_line(f"{self.host} port {self.port}: {text}", 300)


class _Client(smtplib.SMTP):
    """The library's client on a connection with a deadline, with answers of bounded size."""

    def __init__(self, deadline: Deadline, local_name: str) -> None:
        super().__init__(local_hostname=local_name, timeout=deadline.left)
        self._deadline = deadline
        self.tls: ssl.SSLContext | None = None
        self._host = ""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = self._deadline.connect(host, port)
        return self.tls.wrap_socket(sock, server_hostname=host) if self.tls is not None else sock

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        if isinstance(self.file, _Bounded):
            self.file.left = _REPLY_BYTES
        return super().getreply()


class _Bounded:
    """A reader that ends after so many bytes."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.left = _REPLY_BYTES

    def readline(self, limit: int) -> bytes:
        if self.left <= 0:
            return b""
        line: bytes = self._source.readline(min(limit, self.left))
        self.left -= len(line)
        return line

    def close(self) -> None:
        self._source.close()


def _checked_address(text: str) -> None:
    try:
        address = Address(addr_spec=text)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{text!r} is not a mail address: write NAME@DOMAIN") from error
    if not address.username or not address.domain or not text.isascii() or not text.isprintable():
        raise ValueError(f"{text!r} is not a mail address: write NAME@DOMAIN")


def _header(text: str, limit: int) -> str:
    """Text from outside as the value of a header. The library would decode what looks like an RFC 2047 word and
    write its line breaks out (seen in Python 3.11: ``=?utf-8?q?a=0D=0ABcc:_...?=`` became a Bcc header)."""
    return one_line(text, limit).replace("=?", "= ?")


def _text(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)
