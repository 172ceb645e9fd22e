"""Mail: letters are given to one mail server, which brings them to their readers.

What refuses the letter or its reader is final; what refuses us (sign-in, sender, certificate) or does not
answer can be mended while the letter waits. A connection that ends while a letter is handed over leaves open
whether it arrived: it is sent again under its Message-ID.

Source: RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

import contextlib
import ipaddress
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from foundation.bidi import plain
from foundation.errors import InvalidInput, RakeezaError, Refused, SettingsError, Unavailable
from foundation.letter import Letter, check_address, composed
from foundation.secret import Secret, SecretFile
from foundation.settings import Mail


class MailWaits(Unavailable):
    """The mail server took the letter neither in nor back; the same may succeed later."""


class LetterWaits(MailWaits):
    """This letter may be taken later; others may be taken now."""


class MailRefused(Refused):
    """The mail server will never take this letter for this reader."""


@dataclass(frozen=True)
class Row:
    """How one kind of a mail conversation's errors is told.

    Args:
        cause: of smtplib, ssl or the system.
        codes: first digits of the server's answer that it is for; none is any.
        kind: ours.
        message: a sentence; {detail} is what the server said.
        message_ar: the same.
        remedy: what to do.
    """

    cause: type[Exception]
    codes: tuple[str, ...]
    kind: type[RakeezaError]
    message: str
    message_ar: str
    remedy: str


_LATER = "It is sent again later."
_NO_READER = "The mail server refuses the recipient ({detail})."
_NO_READER_AR = "رفض خادم البريد عنوان المستلم."
_NO_LETTER = "The mail server refuses the letter ({detail})."
_NO_LETTER_AR = "رفض خادم البريد الرسالة."

# The first row that fits decides: smtplib's own errors are OSErrors, so those come last.
ERRORS = (
    Row(
        smtplib.SMTPAuthenticationError,
        (),
        MailWaits,
        "The mail server refuses the sign-in ({detail}).",
        "رفض خادم البريد تسجيل الدخول.",
        "Correct mail.user or the secret that mail.password_secret names.",
    ),
    Row(
        smtplib.SMTPSenderRefused, ("552",), MailRefused, _NO_LETTER, _NO_LETTER_AR, "It is too large there."
    ),
    Row(
        smtplib.SMTPSenderRefused,
        (),
        MailWaits,
        "The mail server refuses our sender address ({detail}).",
        "رفض خادم البريد عنوان المرسل.",
        "Correct mail.sender, or mail.user if it asks for a sign-in.",
    ),
    Row(
        smtplib.SMTPRecipientsRefused,
        ("5",),
        MailRefused,
        _NO_READER,
        _NO_READER_AR,
        "Correct the recipient's address.",
    ),
    Row(smtplib.SMTPRecipientsRefused, (), LetterWaits, _NO_READER, _NO_READER_AR, _LATER),
    Row(
        smtplib.SMTPDataError,
        ("5",),
        MailRefused,
        _NO_LETTER,
        _NO_LETTER_AR,
        "Ask who runs the mail server why.",
    ),
    Row(smtplib.SMTPDataError, (), LetterWaits, _NO_LETTER, _NO_LETTER_AR, _LATER),
    Row(
        smtplib.SMTPNotSupportedError,
        (),
        MailWaits,
        "The mail server does not offer what our settings ask for ({detail}).",
        "لا يوفر خادم البريد ما تطلبه الإعدادات.",
        "Correct mail.port and mail.security; nothing is sent without the protection asked for.",
    ),
    Row(
        smtplib.SMTPServerDisconnected,
        (),
        MailWaits,
        "The mail server ended the connection, or did not answer in time.",
        "انقطع الاتصال بخادم البريد.",
        _LATER,
    ),
    Row(
        smtplib.SMTPException,
        (),
        MailWaits,
        "The mail server does not take us in ({detail}).",
        "لم يقبل خادم البريد الاتصال.",
        _LATER,
    ),
    Row(
        ssl.SSLCertVerificationError,
        (),
        MailWaits,
        "The mail server's certificate does not hold ({detail}).",
        "شهادة خادم البريد غير موثوقة.",
        "Name it in mail.host as its certificate does, and let this machine trust who issued that.",
    ),
    Row(
        ssl.SSLError,
        (),
        MailWaits,
        "The mail server does not speak TLS as it should ({detail}).",
        "تعذّر إنشاء اتصال آمن مع خادم البريد.",
        "Check mail.port and mail.security: 587 is starttls, 465 is tls.",
    ),
    Row(
        TimeoutError,
        (),
        MailWaits,
        "The mail server does not answer in time.",
        "لم يُجب خادم البريد في الوقت المحدد.",
        _LATER,
    ),
    Row(
        OSError,
        (),
        MailWaits,
        "The mail server cannot be reached ({detail}).",
        "تعذّر الوصول إلى خادم البريد.",
        "Check mail.host and mail.port, and that the server runs.",
    ),
)


def translated(error: Exception, place: str) -> RakeezaError:
    """An error of a mail conversation as one of ours, by the table `ERRORS`."""
    code, detail = _answer(error)
    row = next(row for row in ERRORS if isinstance(error, row.cause) and _fits(row, code))
    said = plain(f"{code} {detail}".strip())
    return row.kind(
        row.message.format(detail=said), place=place, remedy=row.remedy, message_ar=row.message_ar
    )


@dataclass(frozen=True)
class MailServer:
    """The mail server that letters are given to.

    Args:
        settings: where it is and how it is spoken to.
        secrets: hold the password.
        trust: whose certificates are believed; the system's by default.
        timeout_s: for the sign-in, and for each letter.
    """

    settings: Mail
    secrets: SecretFile
    trust: ssl.SSLContext | None = None
    timeout_s: float = 30.0

    def check(self) -> None:
        """Refuse settings by which nothing could ever be sent, without asking the server.

        Raises:
            SettingsError: no host, or a sender that is no address.
        """
        if self.settings.host is None:
            raise SettingsError(
                "There is no mail server.", place="mail.host", remedy="Name it, or no reader."
            )
        try:
            check_address(self.settings.sender, "mail.sender")
        except InvalidInput as error:
            raise SettingsError(error.message, place=error.place, remedy=error.remedy) from error

    def line(self) -> "MailLine":
        """A way to the server, on which its connection is kept; nothing is opened yet."""
        return MailLine(self)

    @property
    def place(self) -> str:
        """Where it is, for the reader of an error."""
        return f"{self.settings.host}:{self.settings.port}"

    def password(self) -> Secret:
        """What we sign in with.

        Raises:
            NotFound: it was never set.
        """
        return self.secrets.get(self.settings.password_secret)

    def connected(self) -> socket.socket:
        """A new connection, secured already if it is by TLS from the first byte."""
        host, port = self.settings.host or "", self.settings.port
        if self.settings.security == "none":
            return socket.create_connection((self._loopback(host, port), port), self.timeout_s)
        opened = socket.create_connection((host, port), self.timeout_s)
        return self.secured(opened) if self.settings.security == "tls" else opened

    def secured(self, opened: socket.socket) -> ssl.SSLSocket:
        """The connection under TLS, the server's certificate checked for its name."""
        try:
            return (self.trust or self._known).wrap_socket(opened, server_hostname=self.settings.host)
        except BaseException:
            opened.close()
            raise

    def _loopback(self, host: str, port: int) -> str:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(address[0]) for *_, address in found]
        if not all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses):
            raise SettingsError(
                "Mail without TLS may only go to a server on this machine.",
                place="mail.security",
                remedy="Set it to starttls or tls, or run a mail server on this machine.",
                message_ar="لا يُرسل البريد دون تشفير إلى خارج هذا الجهاز.",
            )
        return addresses[0]

    @cached_property
    def _known(self) -> ssl.SSLContext:
        return ssl.create_default_context()


class MailLine:
    """A way to the mail server, for one thread: its connection is kept for the next letter; to be closed."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._spoken: smtplib.SMTP | None = None

    def post(self, letter: Letter) -> None:
        """Give one letter to the server.

        Raises:
            MailRefused: it will never be taken.
            MailWaits: it may be taken later, by the same or a new connection.
            SettingsError: it may not be sent as the settings are.
            NotFound: the password was never set.
            InvalidInput: an address is none.
        """
        message = composed(letter, self._server.settings.sender)
        try:
            if self._spoken is not None and not self._is_alive(self._spoken):
                self._drop()
            spoken = self._spoken or self._open()
            with self._within(spoken):
                spoken.sendmail(self._server.settings.sender, [letter.recipient], message.as_bytes())
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            # The conversation goes on: this letter's fate is no other's.
            raise translated(error, self._server.place) from error
        except (OSError, ValueError) as error:
            self._drop()
            # smtplib raises ValueError where an answer is none.
            cause = error if isinstance(error, OSError) else smtplib.SMTPException(str(error))
            raise translated(cause, self._server.place) from error
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """End the conversation, if there is one."""
        if self._spoken is not None:
            with contextlib.suppress(OSError), self._within(self._spoken):
                self._spoken.quit()
        self._drop()

    def _drop(self) -> None:
        if self._spoken is not None:
            self._spoken.close()
            self._spoken = None

    def _is_alive(self, spoken: smtplib.SMTP) -> bool:
        # A server closes an idle connection without a fault of anybody's.
        try:
            with self._within(spoken):
                return spoken.noop()[0] == 250
        except (OSError, ValueError):
            return False

    def _open(self) -> smtplib.SMTP:
        settings = self._server.settings
        spoken = self._speak(self._server.connected())
        with self._within(spoken):
            code, words = spoken.getreply()
            if code != 220:
                raise smtplib.SMTPConnectError(code, words)
        if settings.security == "starttls":
            with self._within(spoken):
                spoken.ehlo_or_helo_if_needed()
                if not spoken.has_extn("starttls"):
                    raise smtplib.SMTPNotSupportedError("no STARTTLS")
                code, words = spoken.docmd("STARTTLS")
                if code != 220:
                    raise smtplib.SMTPResponseException(code, words)
                assert spoken.sock is not None
                secured = self._server.secured(spoken.sock)
            # What was said before is forgotten with who heard it (RFC 3207, section 4.2).
            spoken = self._speak(secured)
        if settings.user is not None:
            password = self._server.password()
            if not (settings.user + password.reveal()).isascii():
                # smtplib would say so, with a piece of it.
                raise SettingsError(
                    "The name or password for the mail server is not ASCII.",
                    place="mail.user, mail.password_secret",
                    remedy="Choose others; not every mail server takes them.",
                )
            with self._within(spoken):
                spoken.login(settings.user, password.reveal())
        return spoken

    def _speak(self, opened: socket.socket) -> smtplib.SMTP:
        address = opened.getsockname()[0]
        literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        # Left to itself smtplib asks the name server who we are, and waits for it.
        self._spoken = smtplib.SMTP(local_hostname=literal, timeout=self._server.timeout_s)
        self._spoken.sock = opened
        return self._spoken

    @contextlib.contextmanager
    def _within(self, spoken: smtplib.SMTP) -> Iterator[None]:
        # Each single wait has its timeout; a server that dribbles would keep below it for ever.
        timer = threading.Timer(self._server.timeout_s, _break_off, [spoken])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _break_off(spoken: smtplib.SMTP) -> None:
    opened = spoken.sock
    if opened is not None:
        with contextlib.suppress(OSError):
            # Not SSLSocket's own: it would say goodbye first, and wait for it.
            socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _fits(row: Row, code: str) -> bool:
    return not row.codes or code.startswith(row.codes)


def _answer(error: Exception) -> tuple[str, str]:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
        return str(code), _text(words)
    if isinstance(error, smtplib.SMTPResponseException):
        return str(error.smtp_code), _text(error.smtp_error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "", error.verify_message
    if isinstance(error, smtplib.SMTPException):
        return "", str(error)
    return "", (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _text(words: bytes | str) -> str:
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else words
