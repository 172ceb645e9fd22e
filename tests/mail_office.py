"""A mail server that we did not write (aiosmtpd): takes letters, or refuses them as it is told."""

import contextlib
import datetime
import email
import email.policy
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foundation.guard import free_port
from foundation.secret import Secret, SecretFile
from foundation.settings import Mail

USER, PASSWORD = "rakeeza", "correct horse"
MAIL_OK = "250 OK"


@dataclass
class MailOffice:
    """What the server answers next, and what it took.

    Args:
        port: it listens on, of 127.0.0.1.
        trust: believes its certificate.
        recipients: its answer to a recipient, where it is another than yes.
        sender: its answer to a sender.
        data: its answer to a letter.
        drops: letters from now on in whose taking it breaks the connection off.
        takes_before: whether it has taken such a letter before it does so.
        taken: the letters.
        users: who signed in, a name for each letter; empty if nobody had.
        secured: whether it came under TLS, for each letter.
        sessions: the connections, one for each letter.
        raw: the letters as they came.
    """

    port: int
    trust: ssl.SSLContext
    recipients: dict[str, str] = field(default_factory=dict)
    sender: str = MAIL_OK
    data: str = MAIL_OK
    drops: int = 0
    takes_before: bool = False
    taken: list[tuple[str, EmailMessage]] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    sessions: list[int] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def readers(self) -> list[str]:
        """To whom the letters went, in order."""
        return [reader for reader, _ in self.taken]

    async def handle_MAIL(self, *told: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        """A letter begins."""
        _, _, envelope, address, options = told
        if self.sender == MAIL_OK:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.sender

    async def handle_RCPT(self, *told: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        """A letter names a recipient."""
        _, _, envelope, address, _ = told
        answer = self.recipients.get(address, MAIL_OK)
        if answer == MAIL_OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, *told: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        """A letter is there."""
        server, session, envelope = told
        if self.drops:
            self.drops -= 1
            if self.takes_before:
                self._take(server, session, envelope)
            server.transport.abort()
        elif self.data == MAIL_OK:
            self._take(server, session, envelope)
        return self.data

    def _take(self, server: SMTP, session: Session, envelope: Envelope) -> None:
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.raw.append(content)
        self.taken += [(address, parsed) for address in envelope.rcpt_tos]
        login = session.auth_data
        self.users.append(login.decode() if isinstance(login, bytes) else "")
        assert server.transport is not None
        self.secured.append(server.transport.get_extra_info("ssl_object") is not None)
        self.sessions.append(id(session))


@dataclass(frozen=True)
class Certificate:
    """A certificate of the server, signed by itself, and who believes it.

    Args:
        server: context of the server.
        trust: context of a client that believes it.
    """

    server: ssl.SSLContext
    trust: ssl.SSLContext


def certificate(folder: Path, name: str = "127.0.0.1") -> Certificate:
    """A new certificate for a name or address."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.datetime.now(datetime.UTC)
    try:
        names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        names = x509.DNSName(name)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    own = folder / "mail.pem"
    own.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(own)
    return Certificate(server, ssl.create_default_context(cadata=pem.decode()))


def signed_in(*told: Any) -> AuthResult:
    """Whether a sign-in holds, for aiosmtpd."""
    data = told[-1]
    holds = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=holds, auth_data=data.login if holds else None, handled=False)


@contextlib.contextmanager
def mail_office(
    folder: Path, *, security: str = "starttls", port: int = 0, held: Certificate | None = None
) -> Iterator[MailOffice]:
    """A running server; it ends with the block.

    Args:
        folder: for its certificate.
        security: `starttls`, `tls` or `none`.
        port: it listens on; 0 takes a free one.
        held: its certificate; a new one by default.
    """
    held = held or certificate(folder)
    office = MailOffice(port or free_port(), held.trust)
    controller = Controller(
        office,
        hostname="127.0.0.1",
        port=office.port,
        ssl_context=held.server if security == "tls" else None,
        tls_context=held.server if security == "starttls" else None,
        require_starttls=security == "starttls",
        authenticator=signed_in,
        auth_require_tls=security == "starttls",
    )
    controller.start()
    try:
        yield office
    finally:
        controller.stop()


def mail_settings(office: MailOffice, **changes: object) -> Mail:
    """Settings by which that server is used."""
    return Mail.model_validate(
        {
            "host": "127.0.0.1",
            "port": office.port,
            "sender": "rakeeza@amanah.example",
            "user": USER,
            **changes,
        }
    )


def mail_secrets(folder: Path, password: str = PASSWORD) -> SecretFile:
    """A file of secrets with the password."""
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    secrets.set("mail-password", Secret(password))
    return secrets
