"""A licence as headquarters tells a terminal: what the paper's public part shows, no personal data."""

import re
import unicodedata
from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from foundation.calendar import FIRST_DATE, LAST_DATE, Language, format_date
from foundation.definitions import Bilingual

# Latin letters and digits with what stands between them: they run left to right in any text.
_LEFT_TO_RIGHT = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z .,:/_+#@&'-]*[0-9A-Za-z])?")


class _Answer(BaseModel):
    # Headquarters may learn to say more; a terminal in the field must not stop for it.
    model_config = ConfigDict(extra="ignore", frozen=True)


class Line(_Answer):
    """One line of a licence.

    Args:
        label: what it is.
        value: what it says.
    """

    label: Bilingual
    value: Bilingual


class Licence(_Answer):
    """One licence.

    Args:
        number: its number.
        status: what headquarters says of it today, also one that this terminal never heard of.
        status_title: how people read it.
        since: first day of this status.
        title: its name.
        municipality: who issued it.
        valid_from: first day it is valid.
        valid_to: last day it is valid.
        lines: its public lines.
        credential: text of its QR code.
    """

    number: str
    status: str = Field(pattern=r"^[a-z_]{1,40}$")
    status_title: Bilingual
    since: date
    title: Bilingual
    municipality: Bilingual
    valid_from: date
    valid_to: date
    lines: tuple[Line, ...] = ()
    credential: str

    @property
    def standing(self) -> Bilingual:
        """Its status as a heading."""
        title = self.status_title
        return Bilingual(ar=title.ar, en=title.en[:1].upper() + title.en[1:])


def dates(day: date, language: Language) -> tuple[str, ...]:
    """A day as a citizen reads it: Gregorian, then Umm al-Qura where its table reaches."""
    gregorian = format_date(day, language, "gregorian")
    if not FIRST_DATE <= day <= LAST_DATE:
        return (gregorian,)
    return gregorian, format_date(day, language, "umm_al_qura")


def runs_right_to_left(text: str, language: str) -> bool:
    """Whether a text stands right to left: always in Arabic, in English where its first letter is Arabic.

    Source: Unicode Standard Annex 9, rule P2.
    """
    if language == "ar":
        return True
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


def pieces(text: str) -> list[tuple[str, bool]]:
    """A text cut into pieces; true marks those that run left to right whatever surrounds them."""
    cut: list[tuple[str, bool]] = []
    at = 0
    for match in _LEFT_TO_RIGHT.finditer(text):
        if match.start() > at:
            cut.append((text[at : match.start()], False))
        cut.append((match.group(), True))
        at = match.end()
    if at < len(text):
        cut.append((text[at:], False))
    return cut


def isolated(text: str) -> str:
    """The text with each number and Latin name in an isolate, so that `2026-004512` cannot turn round.

    Source: Unicode Standard Annex 9, section 2.4 (LRI U+2066, PDI U+2069).
    """
    return "".join(f"\u2066{piece}\u2069" if ltr else piece for piece, ltr in pieces(text))
