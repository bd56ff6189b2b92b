"""An authority of the tests that signs good certificates, bad ones, and those of sites, and takes some back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class SigningAuthority:
    """Keeps its files in `directory`, which it makes: `ca.pem`, `crl.pem`, and `<name>.pem` with `<name>.key`."""

    def __init__(self, directory: Path, name: str = "Authority of the tests") -> None:
        directory.mkdir()
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serials: dict[str, int] = {}
        self.ca = directory / "ca.pem"
        self.crl = directory / "crl.pem"
        certificate = (
            self._begin(self._name, self._key.public_key(), days=2)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.revoke()

    def issue(self, name: str, host: str | None = None, *, expired: bool = False) -> tuple[Path, Path]:
        """A certificate and its key: a server's for `host`, or a client's with `name` in it."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._begin(_named(name), key.public_key(), days=-1 if expired else 1)
        if host is not None:
            try:
                found: x509.GeneralName = x509.IPAddress(ip_address(host))
            except ValueError:
                found = x509.DNSName(host)
            builder = builder.add_extension(x509.SubjectAlternativeName([found]), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        self._serials[name] = certificate.serial_number
        file, key_file = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return file, key_file

    def revoke(self, *names: str) -> None:
        """Take back these certificates, and no others."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - timedelta(hours=1)).next_update(now + timedelta(days=1))
        for name in names:
            entry = x509.RevokedCertificateBuilder().serial_number(self._serials[name]).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        self.crl.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _begin(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=3))
            .not_valid_after(now + timedelta(days=days))
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
