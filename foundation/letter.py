"""A letter in Arabic and English, as mail carries it.

Source: RFC 5322, RFC 2047 (Arabic in headers), RFC 3834 (Auto-Submitted), RFC 2919 (List-Id).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from foundation.bidi import left_to_right, one_line, plain, right_to_left
from foundation.definitions import Bilingual
from foundation.errors import InvalidInput

_NAME = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_NAME}(\.{_NAME})*@{_LABEL}(\.{_LABEL})*")
_KEY = re.compile(r"[A-Za-z0-9-]{1,64}")
_RULE = "―" * 24


@dataclass(frozen=True)
class Letter:
    """One letter for one reader.

    Args:
        key: names it for ever; the same at each attempt, so that who gets it twice can tell.
        recipient: address.
        subject: one line in each language.
        text: lines in each language; what is indented is a command to copy.
        at: when it was written, aware.
        thread: what it is about, as "play/7"; letters of one thread are shown together.
        group: short name of the kind of letters it is one of, to be sorted by.
    """

    key: str
    recipient: str
    subject: Bilingual
    text: Bilingual
    at: datetime
    thread: str
    group: str


def check_address(address: str, place: str = "") -> None:
    """Refuse what is no plain mail address.

    Raises:
        InvalidInput: it is none.
    """
    if not _ADDRESS.fullmatch(address):
        raise InvalidInput(
            f"{plain(address, 80)!r} is no mail address.",
            place=place,
            remedy="Write it as name@example.sa, in ASCII.",
            message_ar="عنوان البريد الإلكتروني غير صحيح.",
        )


def composed(letter: Letter, sender: str) -> EmailMessage:
    """A letter as it is sent: Arabic first, then English; byte for byte the same at each attempt.

    Raises:
        InvalidInput: an address or the key is none.
    """
    check_address(letter.recipient)
    check_address(sender, "mail.sender")
    if not _KEY.fullmatch(letter.key):
        raise InvalidInput("A letter's key is letters, digits and hyphens.")
    domain = sender.partition("@")[2]
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("ركيزة Rakeeza", addr_spec=sender)
    message["To"] = Address(addr_spec=letter.recipient)
    message["Subject"] = " | ".join(
        (right_to_left(one_line(letter.subject.ar)), left_to_right(one_line(letter.subject.en)))
    )
    message["Date"] = format_datetime(letter.at)
    message["Message-ID"] = f"<{letter.key}@{domain}>"
    message["References"] = f"<{re.sub('[^A-Za-z0-9]', '-', letter.thread)[:60] or 'notice'}@{domain}>"
    message["List-Id"] = f"<{re.sub('[^A-Za-z0-9]', '-', letter.group)[:40]}.{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = "ar, en"
    text = f"{right_to_left(letter.text.ar)}\n\n{_RULE}\n\n{left_to_right(letter.text.en)}\n"
    # In base64 no line can be too long, end the letter early, or be taken for a command.
    message.set_content(text, cte="base64")
    return message
