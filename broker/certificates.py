"""The broker's own certificate authority: the server's certificate, those of devices, the revocation list.

All keys are EC P-256, which boards can afford. Source: RFC 5280.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.private_files import write_private, write_public

Use = Literal["server", "client"]

_AUTHORITY_DAYS: Final = 20 * 365
SERVER_DAYS: Final = 825
CLIENT_DAYS: Final = 2 * 365
#: An expired list refuses everybody, and a new one is written at each start.
_REVOCATION_DAYS: Final = 10 * 365
#: Clocks of boards and servers differ.
_EARLIER: Final = timedelta(hours=1)


class CertificateError(Exception):
    """A certificate could not be made or read. The text says which and why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of ours as it lies on disk. Times are UTC ms. `subject` is the host's or the device's name."""

    subject: str
    use: Literal["authority", "server", "client"]
    file: Path
    not_before: int
    not_after: int
    serial: int
    names: tuple[str, ...]
    revoked: bool


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority whose files are in `path`, a directory that is there."""

    path: Path

    @property
    def certificate(self) -> Path:
        """What devices need to know the broker by."""
        return self.path / "ca.crt"

    @property
    def key(self) -> Path:
        """Who has it can make certificates that the broker trusts."""
        return self.path / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """The broker's."""
        return self.path / "server.crt"

    @property
    def server_key(self) -> Path:
        """The broker's."""
        return self.path / "server.key"

    @property
    def revocation_list(self) -> Path:
        """Certificates that are taken back. Mosquitto reads it at its start alone."""
        return self.path / "revoked.crl"

    @property
    def clients(self) -> Path:
        """`<name>.crt` and `<name>.key` of each device."""
        return self.path / "devices"

    def make(self, name: str, days: float = _AUTHORITY_DAYS) -> None:
        """Make the authority's own key and certificate, and an empty revocation list."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _begin(subject, subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self.key, _pem_of_key(key))
        write_public(self.certificate, _pem(certificate))
        self.write_revocations(())

    def make_server(self, hosts: Sequence[str], days: float = SERVER_DAYS) -> None:
        """Make the broker's key and certificate, in place of those there may be. `hosts`: names and addresses."""
        self._issue(hosts[0], "server", hosts, days, self.server_certificate, self.server_key)

    def make_client(self, name: str, days: float = CLIENT_DAYS) -> tuple[Path, Path]:
        """Make a key and a certificate for the account `name`, in place of those there may be; where they are."""
        self.clients.mkdir(mode=0o700, exist_ok=True)
        files = self._client_file(name, "crt"), self._client_file(name, "key")
        self._issue(name, "client", (), days, *files)
        return files

    def has_client(self, name: str) -> bool:
        """Whether there is a certificate for the account `name`."""
        return self._client_file(name, "crt").exists()

    def revoke_client(self, name: str) -> None:
        """Put the certificate of `name` on the revocation list, if there is one. Raises CertificateError."""
        file = self._client_file(name, "crt")
        if file.exists():
            self.write_revocations({*self.revoked(), _read(file).serial_number})

    def revoked(self) -> frozenset[int]:
        """The serial numbers on the revocation list. Raises CertificateError."""
        if not self.revocation_list.exists():
            return frozenset()
        try:
            found = x509.load_pem_x509_crl(self.revocation_list.read_bytes())
        except (OSError, ValueError) as error:
            raise CertificateError(f"{self.revocation_list} can't be read: {error}") from error
        return frozenset(one.serial_number for one in found)

    def write_revocations(self, serials: Sequence[int] | frozenset[int] | set[int]) -> None:
        """Write the revocation list anew, good for ten years. Raises CertificateError."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_read(self.certificate).subject)
            .last_update(now - _EARLIER)
            .next_update(now + timedelta(days=_REVOCATION_DAYS))
        )
        for serial in sorted(serials):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        signed = builder.sign(self._key(), hashes.SHA256())
        write_public(self.revocation_list, signed.public_bytes(serialization.Encoding.PEM))

    def every(self) -> Iterator[Certificate]:
        """All certificates there are: the authority's, the server's, the devices' by name. Raises CertificateError."""
        revoked = self.revoked()
        if self.certificate.exists():
            yield _described(self.certificate, "authority", revoked)
        if self.server_certificate.exists():
            yield _described(self.server_certificate, "server", revoked)
        if self.clients.exists():
            for file in sorted(self.clients.glob("*.crt")):
                yield _described(file, "client", revoked)

    def _client_file(self, name: str, kind: str) -> Path:
        return self.clients / f"{quote(name, safe='')}.{kind}"

    def _issue(self, subject: str, use: Use, hosts: Sequence[str], days: float, file: Path, key_file: Path) -> None:
        issuer = _read(self.certificate)
        issuer_key = self._key()
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if use == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _begin(_name(subject), issuer.subject, key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        write_private(key_file, _pem_of_key(key))
        write_public(file, _pem(builder.sign(issuer_key, hashes.SHA256())))

    def _key(self) -> ec.EllipticCurvePrivateKey:
        try:
            key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise CertificateError(f"{self.key} can't be read: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{self.key} is no EC key; this authority was not made by python -m broker init")
        return key


def _begin(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
    )


def _described(file: Path, use: Literal["authority", "server", "client"], revoked: frozenset[int]) -> Certificate:
    found = _read(file)
    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = tuple(str(one.value) for one in names)
    except x509.ExtensionNotFound:
        hosts = ()
    return Certificate(
        subject=str(common[0].value) if common else file.stem,
        use=use,
        file=file,
        not_before=_ms(found.not_valid_before_utc),
        not_after=_ms(found.not_valid_after_utc),
        serial=found.serial_number,
        names=hosts,
        revoked=found.serial_number in revoked,
    )


def _read(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise CertificateError(f"{file} can't be read: {error}") from error


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
