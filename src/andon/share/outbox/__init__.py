"""Delivery: what the casebook's outbox holds goes to mail, webhooks, collectors and files, each message once."""

from __future__ import annotations

from andon.share.outbox.config import make_sink
from andon.share.outbox.deliver import Delivery, Patience, Report, deliver, summary
from andon.share.outbox.file import FileSink
from andon.share.outbox.folder import FolderSink
from andon.share.outbox.parcel import Parcel, Refused, Sink, Unreachable, Withheld
from andon.share.outbox.post import PostSink
from andon.share.outbox.secret import Secret
from andon.share.outbox.smtp import SmtpSink
from andon.share.outbox.syslog import SyslogSink
from andon.share.outbox.webhook import WebhookSink, verify
from andon.store.casebook import Message

__all__ = [
    "Delivery",
    "FileSink",
    "FolderSink",
    "Message",
    "Parcel",
    "Patience",
    "PostSink",
    "Refused",
    "Report",
    "Secret",
    "Sink",
    "SmtpSink",
    "SyslogSink",
    "Unreachable",
    "WebhookSink",
    "Withheld",
    "deliver",
    "make_sink",
    "summary",
    "verify",
]
