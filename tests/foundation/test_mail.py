"""Letters to a mail server that we did not write: in both languages, never unprotected, no fault unsaid."""

import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.bidi import isolated, plain, right_to_left
from foundation.definitions import Bilingual
from foundation.errors import InvalidInput, NotFound, RakeezaError, SettingsError
from foundation.guard import free_port
from foundation.letter import Letter, check_address, composed
from foundation.mail import ERRORS, LetterWaits, MailRefused, MailServer, MailWaits, Row, translated
from foundation.secret import SecretFile
from foundation.settings import Mail
from tests.mail_office import (
    USER,
    MailOffice,
    certificate,
    mail_office,
    mail_secrets,
    mail_settings,
)

AT = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
SUBJECT = Bilingual(ar=f"بانتظار الموافقة: التشغيل {isolated('7')}", en="Awaits approval: run 7")
TEXT = Bilingual(
    ar=f"طلب {isolated('cli/omar')} تشغيل {isolated('patch')}.\n\n    rakeeza play show 7",
    en="cli/omar asked for patch.\n\n    rakeeza play show 7",
)


def letter(recipient: str = "noc@amanah.example", key: str = "k-1", **changes: object) -> Letter:
    known = {"subject": SUBJECT, "text": TEXT, "at": AT, "thread": "play/7", "group": "plays"}
    return Letter(key=key, recipient=recipient, **{**known, **changes})  # type: ignore[arg-type]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[MailOffice]:
    with mail_office(tmp_path) as running:
        yield running


@pytest.fixture
def server(office: MailOffice, tmp_path: Path) -> MailServer:
    return MailServer(mail_settings(office), mail_secrets(tmp_path), office.trust, timeout_s=10)


def post(server: MailServer, *letters: Letter) -> list[RakeezaError | None]:
    """Give letters to a server on one connection; what became of each."""
    found: list[RakeezaError | None] = []
    with closing(server.line()) as line:
        for each in letters:
            try:
                line.post(each)
            except RakeezaError as error:
                found.append(error)
            else:
                found.append(None)
    return found


def test_a_letter_arrives_under_tls_signed_in_and_in_both_languages(
    office: MailOffice, server: MailServer
) -> None:
    assert post(server, letter()) == [None]
    reader, got = office.taken[0]
    assert (reader, office.users, office.secured) == ("noc@amanah.example", [USER], [True])
    arabic, latin = str(got["subject"]).split(" | ")
    assert arabic == f"\u200f{SUBJECT.ar}"
    assert latin == f"\u2066{SUBJECT.en}\u2069"
    assert got["from"].addresses[0].addr_spec == "rakeeza@amanah.example"
    assert got["from"].addresses[0].display_name == "ركيزة Rakeeza"
    assert got["date"].datetime == AT
    assert got["message-id"] == "<k-1@amanah.example>"
    assert got["references"] == "<play-7@amanah.example>"
    assert got["list-id"] == "<plays.amanah.example>"
    assert got["auto-submitted"] == "auto-generated"
    assert got.get_content_type() == "text/plain"
    lines = got.get_content().replace("\r\n", "\n").split("\n")
    assert lines[0] == f"\u200f{TEXT.ar.splitlines()[0]}"
    assert lines.index(f"\u200f{TEXT.ar.splitlines()[0]}") < lines.index(
        "\u2066cli/omar asked for patch.\u2069"
    )
    # What is copied into a terminal has no invisible characters.
    assert lines.count("    rakeeza play show 7") == 2


def test_only_ascii_and_short_lines_go_over_the_wire(office: MailOffice, server: MailServer) -> None:
    long = Bilingual(ar="كلمة " * 2_000, en="word\r.\r\nQUIT\n.\n" + "x" * 5_000)
    assert post(server, letter(text=long)) == [None]
    assert office.raw[0].isascii()
    assert max(map(len, office.raw[0].split(b"\r\n"))) <= 998
    assert "x" * 5_000 in office.taken[0][1].get_content()
    assert "QUIT" in office.taken[0][1].get_content()


def test_no_value_of_a_stranger_adds_a_header_or_a_reader(office: MailOffice, server: MailServer) -> None:
    evil = "patch\r\nBcc: all@amanah.example\r\n\r\nbody\u2028Bcc: x@y.example"
    told = letter(subject=Bilingual(ar=evil, en=evil), thread=evil, group=evil)
    assert post(server, told) == [None]
    reader, got = office.taken[0]
    assert office.readers == [reader]
    assert got["bcc"] is None
    assert "Bcc: all@amanah.example" in str(got["subject"])
    assert "body" not in got.get_content()
    for address in ("a@b.example\r\nRCPT TO:<x@y.example>", "a@b.example\n", "a@b.example, c@d.example"):
        assert isinstance(post(server, letter(address))[0], InvalidInput)
    with pytest.raises(InvalidInput):
        composed(letter(key="k>\r\nBcc: x@y.example"), "rakeeza@amanah.example")
    assert len(office.taken) == 1


@pytest.mark.parametrize(
    "address",
    ["", "noc", "@a.example", "noc@", "noc@-a.example", "a b@c.example", "أحمد@a.example", "a@b..c"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="no mail address"):
        check_address(address)


def test_one_refused_recipient_loses_no_other(office: MailOffice, server: MailServer) -> None:
    office.recipients = {"gone@amanah.example": "550 no such user", "full@amanah.example": "452 mailbox full"}
    names = ["gone", "noc", "full", "head"]
    found = post(server, *(letter(f"{name}@amanah.example", f"k-{name}") for name in names))
    assert [type(error) for error in found] == [MailRefused, type(None), LetterWaits, type(None)]
    assert office.readers == ["noc@amanah.example", "head@amanah.example"]
    assert len(set(office.sessions)) == 1
    assert "550 no such user" in str(found[0])
    assert [error.retryable for error in found if error] == [False, True]


@pytest.mark.parametrize(("answer", "kind"), [("451 later", LetterWaits), ("554 spam", MailRefused)])
def test_a_refused_letter_is_told_by_what_the_server_answered(
    office: MailOffice, server: MailServer, answer: str, kind: type[RakeezaError]
) -> None:
    office.data = answer
    error = post(server, letter())[0]
    assert type(error) is kind
    assert answer in str(error)
    assert error.place == f"127.0.0.1:{office.port}"
    assert error.message_ar


def test_a_sender_that_is_refused_can_be_corrected_while_letters_wait(
    office: MailOffice, server: MailServer
) -> None:
    office.sender = "550 not you"
    error = post(server, letter())[0]
    assert isinstance(error, MailWaits)
    assert "mail.sender" in error.remedy
    office.sender = "552 too big"
    assert isinstance(post(server, letter())[0], MailRefused)


def test_a_connection_that_ends_in_the_letter_is_no_loss_and_the_copy_can_be_told(
    office: MailOffice, server: MailServer
) -> None:
    office.drops, office.takes_before = 1, True
    found = post(server, letter(), letter("head@amanah.example", "k-2"))
    assert isinstance(found[0], MailWaits)
    assert found[1] is None
    assert post(server, letter()) == [None]
    ids = [got["message-id"] for _, got in office.taken]
    assert ids == ["<k-1@amanah.example>", "<k-2@amanah.example>", "<k-1@amanah.example>"]
    assert office.raw[0] == office.raw[2]


def test_a_certificate_of_another_name_or_issuer_is_not_spoken_to(tmp_path: Path) -> None:
    for name, trusted in (("mail.example", True), ("127.0.0.1", False)):
        held = certificate(tmp_path, name)
        with mail_office(tmp_path, held=held) as office:
            trust = held.trust if trusted else ssl.create_default_context()
            error = post(MailServer(mail_settings(office), mail_secrets(tmp_path), trust), letter())[0]
            assert isinstance(error, MailWaits)
            assert "certificate" in str(error)
            assert not office.taken


def test_a_server_without_starttls_gets_neither_password_nor_letter(tmp_path: Path) -> None:
    with mail_office(tmp_path, security="none") as office:
        error = post(MailServer(mail_settings(office), mail_secrets(tmp_path), office.trust), letter())[0]
        assert isinstance(error, MailWaits)
        assert "STARTTLS" in str(error)
        assert not office.taken


@pytest.mark.parametrize("security", ["tls", "none"])
def test_a_letter_arrives_by_tls_from_the_first_byte_and_to_our_own_machine_without(
    tmp_path: Path, security: str
) -> None:
    with mail_office(tmp_path, security=security) as office:
        settings = mail_settings(office, security=security, host="127.0.0.1")
        assert post(MailServer(settings, mail_secrets(tmp_path), office.trust), letter()) == [None]
        assert office.secured == [security == "tls"]


def test_without_tls_nothing_leaves_this_machine(tmp_path: Path) -> None:
    settings = Mail(host="192.0.2.1", port=25, security="none")
    error = post(MailServer(settings, mail_secrets(tmp_path)), letter())[0]
    assert isinstance(error, SettingsError)
    assert error.place == "mail.security"


def test_a_wrong_or_missing_password_is_named_and_never_shown(office: MailOffice, tmp_path: Path) -> None:
    wrong = MailServer(mail_settings(office), mail_secrets(tmp_path, "not-it-9"), office.trust)
    error = post(wrong, letter())[0]
    assert isinstance(error, MailWaits)
    assert "sign-in" in str(error)
    empty = SecretFile(tmp_path / "other.json", tmp_path / "other.key")
    assert isinstance(post(MailServer(mail_settings(office), empty, office.trust), letter())[0], NotFound)
    arabic = MailServer(mail_settings(office), mail_secrets(tmp_path, "كلمة"), office.trust)
    told = post(arabic, letter())[0]
    assert isinstance(told, SettingsError)
    assert "not-it-9" not in str(error)
    assert "ك" not in str(told)


def test_a_server_that_is_away_or_dribbles_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    away = Mail(host="127.0.0.1", port=free_port(), sender="rakeeza@amanah.example")
    secrets = mail_secrets(tmp_path)
    assert isinstance(post(MailServer(away, secrets), letter())[0], MailWaits)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def dribble() -> None:
            accepted, _ = listening.accept()
            with accepted:
                while not stop.wait(0.05):
                    try:
                        accepted.sendall(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=dribble)
        thread.start()
        slow = away.model_copy(update={"port": listening.getsockname()[1]})
        try:
            # Every single wait is far shorter than the timeout: only the whole can end it.
            assert isinstance(post(MailServer(slow, secrets, timeout_s=0.5), letter())[0], MailWaits)
        finally:
            stop.set()
            thread.join()


def test_settings_by_which_nothing_could_be_sent_are_refused(tmp_path: Path) -> None:
    secrets = mail_secrets(tmp_path)
    with pytest.raises(SettingsError, match=r"mail\.host"):
        MailServer(Mail(), secrets).check()
    with pytest.raises(SettingsError, match=r"mail\.sender"):
        MailServer(Mail(host="mail.example", sender="Rakeeza <a@b.example>"), secrets).check()
    MailServer(Mail(host="mail.example"), secrets).check()


def _raised(row: Row) -> Exception:
    code = int((row.codes[0] if row.codes else "4").ljust(3, "5"))
    if row.cause is smtplib.SMTPRecipientsRefused:
        return smtplib.SMTPRecipientsRefused({"a@b.example": (code, b"no")})
    if row.cause is smtplib.SMTPSenderRefused:
        return smtplib.SMTPSenderRefused(code, b"no", "a@b.example")
    if issubclass(row.cause, smtplib.SMTPResponseException):
        return row.cause(code, b"no")
    if row.cause is ssl.SSLCertVerificationError:
        error = ssl.SSLCertVerificationError("no")
        error.verify_message = "no"
        return error
    return row.cause("no")


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.cause.__name__}-{''.join(row.codes)}")
def test_every_row_of_the_table_is_reached_and_speaks_both_languages(row: Row) -> None:
    error = translated(_raised(row), "mail.example:587")
    assert type(error) is row.kind
    assert (error.remedy, error.message_ar) == (row.remedy, row.message_ar)
    assert error.message.startswith(row.message.partition("{")[0])
    assert str(error).startswith("mail.example:587: ")


def test_what_a_server_says_cannot_write_into_our_logs() -> None:
    error = translated(smtplib.SMTPDataError(554, b"no\r\n\x1b[31mERROR " + b"x" * 5_000), "mail")
    assert "\n" not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 400


def test_a_value_in_an_arabic_line_keeps_its_order_and_cannot_turn_it() -> None:
    assert isolated("web-1\u202e\u2069gnp") == "\u2068web-1 gnp\u2069"
    assert right_to_left("شغّل\n\n    rakeeza play show 7") == "\u200fشغّل\n\n    rakeeza play show 7"
    assert plain("a\nb\x00c", 3) == "a …"
