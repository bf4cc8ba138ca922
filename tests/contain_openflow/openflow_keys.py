"""Certificates for a switch and its controller, of one authority; and another authority that signed neither."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def keys_in(folder: Path) -> Path:
    """Writes ca.pem, other.pem, andon.pem, andon.key, switch.pem and switch.key."""
    folder.mkdir()
    now = datetime.now(UTC)
    authority = ec.generate_private_key(ec.SECP256R1())
    for name in ("ca", "other", "andon", "switch"):
        signing = name in ("ca", "other")
        key = authority if name == "ca" else ec.generate_private_key(ec.SECP256R1())
        built = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(name if signing else "ca"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=signing, path_length=None), critical=True)
            .sign(key if signing else authority, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
    return folder
