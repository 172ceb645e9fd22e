"""What `rakeeza licence verify` finds: each code that is shown to it, and the paper that a PDF says it is.

The code says what is licensed, and whether it holds. The paper's signature says that the file is what the
municipality made, to the last byte: a right code can be copied onto any page.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from foundation.calendar import format_date
from foundation.errors import InvalidInput, NotFound
from foundation.wire.credential import PREFIX, LicenceClaims
from foundation.wire.status_folder import Unused
from foundation.wire.verdict_words import LAPSED, UNDECIDED, age_words
from foundation.wire.verification import Verdict

if TYPE_CHECKING:
    from foundation.wire.paper_certificates import PaperCertificates
    from foundation.wire.paper_check import PaperVerdict

_MAX_TEXT = 10_000  # bytes of a file that may be a text
_MOST_CODES = 20  # of ours in one picture or PDF
_PDF = b"%PDF-"
_PAPER_UNDECIDED = ("unsigned", "untrusted")
# Where no code can be read, what is wrong with the paper says why; these say nothing of it.
_PAPER_SILENT = ("intact", "unsigned", "damaged")


@dataclass(frozen=True)
class Findings:
    """What was found of one source.

    Args:
        verdicts: of its codes; none where a paper was so changed that none can be read.
        paper: what the file itself is worth; None of what is no PDF.
        unused: lists that were passed over.
    """

    verdicts: list[Verdict]
    paper: "PaperVerdict | None"
    unused: list[Unused]

    @property
    def exit_code(self) -> int:
        """0: valid; 1: genuine, and does not hold; 3: cannot be told here; 4: not accepted. The gravest."""
        return max(*(_exit_code(verdict) for verdict in self.verdicts), _paper_exit_code(self.paper), 0)

    def to_json(self) -> dict[str, Any]:
        """All of it, for a program."""
        return {
            "valid": self.exit_code == 0,
            "licences": [verdict.to_json() for verdict in self.verdicts],
            "paper": None if self.paper is None else _paper_json(self.paper),
            "unused_lists": [
                {"file": str(each.place), "reason": each.refusal.message} for each in self.unused
            ],
        }

    def tell(self) -> None:
        """Print all of it, for people, in both languages."""
        for verdict in self.verdicts:
            _tell(verdict)
        if self.paper is not None:
            _tell_paper(self.paper)
        for each in self.unused:
            click.echo(f"Not used: {each.place}: {each.refusal.message}", err=True)


def find(
    source: str,
    judged: Callable[[str], Verdict],
    certificates: Callable[[], "PaperCertificates"],
    unused: list[Unused],
) -> Findings:
    """Judge what a source shows.

    Args:
        source: text of a code, a file with one, a picture, a PDF, or - for standard input.
        judged: judges the text of a code.
        certificates: those whose papers are trusted; asked for a PDF only.
        unused: lists that were passed over.

    Raises:
        NotFound: it is neither a file nor the text of a code.
        InvalidInput: the file cannot be read, is too large, or has no code.
    """
    data = b"" if source.startswith(PREFIX) else _read(source)
    text = source if source.startswith(PREFIX) else _as_text(data)
    if text is not None:
        return Findings([judged(text)], None, unused)
    from foundation.wire import qr_reader

    place = "standard input" if source == "-" else source
    if not data.startswith(_PDF):
        return Findings([judged(each) for each in _ours(qr_reader.read(data, place))], None, unused)
    from foundation.wire.paper_check import check_paper

    try:
        verdicts = [judged(each) for each in _ours(qr_reader.read(data, place))]
    except InvalidInput:
        paper = check_paper(data, certificates(), None)
        if paper.answer in _PAPER_SILENT:
            raise
        return Findings([], paper, unused)
    trusted = certificates()
    said: list[LicenceClaims | None] = [verdict.claims for verdict in verdicts if verdict.claims is not None]
    papers = [check_paper(data, trusted, claims) for claims in said or [None]]
    return Findings(verdicts, max(papers, key=_paper_exit_code), unused)


def shown(text: str) -> str:
    """A text without what steers a terminal: what a trusted key signed may still hold that."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def local(moment: datetime) -> str:
    """A moment as a clock in the kingdom shows it."""
    return moment.astimezone(ZoneInfo("Asia/Riyadh")).isoformat(sep=" ", timespec="minutes")


def _read(source: str) -> bytes:
    # Not at the top: readers of pictures and of signed PDF are large, and a text needs neither.
    from foundation.wire.qr_reader import MAX_FILE

    if source == "-":
        return sys.stdin.buffer.read(MAX_FILE + 1)
    try:
        with Path(source).open("rb") as file:
            return file.read(MAX_FILE + 1)
    except FileNotFoundError as error:
        raise NotFound(
            "This is neither a file nor the text of a licence code.",
            place=source[:80],
            remedy=f"Name a picture or a PDF, or give the text that begins with {PREFIX}",
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"The file cannot be read ({error.strerror}).", place=source[:80], remedy="Name a readable file."
        ) from error


def _as_text(data: bytes) -> str | None:
    if len(data) > _MAX_TEXT:
        return None
    try:
        # Line ends come from editors and scanners. A space may be part of the code, and stays.
        text = data.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        return None
    return text if text.startswith(PREFIX) else None


def _ours(found: list[str]) -> list[str]:
    """Of the codes in a picture ours, where some are; else one, to say what it is not."""
    ours = [text for text in found if text.startswith(PREFIX)]
    if len(ours) > _MOST_CODES:
        # Each is judged, and a paper checked against each.
        raise InvalidInput(
            f"There are {len(ours)} codes in it, and at most {_MOST_CODES} are judged at once.",
            remedy="Give one licence at a time.",
        )
    return ours or found[:1]


def _exit_code(verdict: Verdict) -> int:
    if verdict.valid:
        return 0
    if verdict.answer in LAPSED:
        return 1
    return 3 if verdict.answer in UNDECIDED else 4


def _paper_exit_code(paper: "PaperVerdict | None") -> int:
    if paper is None or paper.intact:
        return 0
    return 3 if paper.answer in _PAPER_UNDECIDED else 4


def _paper_json(paper: "PaperVerdict") -> dict[str, Any]:
    return {
        "answer": paper.answer.value,
        "intact": paper.intact,
        "sentence": paper.text.model_dump(),
        "signer": None if paper.signer is None else paper.signer.model_dump(),
        "municipality": paper.municipality,
        "signed_at": _moment(paper.signed_at),
        "stamped_at": _moment(paper.stamped_at),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _colour(code: int) -> str:
    return {0: "green", 3: "yellow"}.get(code, "red")


def _tell(verdict: Verdict) -> None:
    for language in ("en", "ar"):
        click.secho(shown(_heading(verdict, language)), fg=_colour(_exit_code(verdict)), bold=True)
        click.echo(f"  {verdict.words.sentence.in_language(language)}")
        click.echo(f"  {verdict.words.remedy.in_language(language)}")
        click.echo(f"  {age_words(verdict.list_age).in_language(language)}")
    if verdict.listed is not None:
        until = local(verdict.listed.expires_at)
        _line("list", f"{local(verdict.listed.made_at)}, relied on until {until}")
    if verdict.claims is not None and verdict.key is not None:
        _tell_claims(verdict.claims, verdict.key.kid.hex())


def _heading(verdict: Verdict, language: str) -> str:
    title, claims = verdict.words.title.in_language(language), verdict.claims
    title = title.upper() if language == "en" else title
    if claims is None:
        return title
    ends = format_date(claims.valid_to, "ar" if language == "ar" else "en", "gregorian")
    if language == "ar":
        return f"{title} - {claims.title.ar}، تنتهي في {ends}"
    return f"{title} - {claims.title.en} {claims.number}, valid to {ends}"


def _tell_claims(claims: LicenceClaims, key: str) -> None:
    _line("number", claims.number)
    _line("municipality", claims.municipality)
    _line("valid_from", claims.valid_from.isoformat())
    _line("valid_to", claims.valid_to.isoformat())
    _line("issued_at", local(claims.issued_at))
    _line("key", key)
    for name, value in claims.public.items():
        _line(name, value)


def _tell_paper(paper: "PaperVerdict") -> None:
    colour = _colour(_paper_exit_code(paper))
    click.secho(f"PAPER - {paper.text.en}", fg=colour, bold=True)
    click.secho(f"توقيع الوثيقة - {paper.text.ar}", fg=colour, bold=True)
    # Whoever is not trusted calls himself what he likes.
    if paper.signer is not None and paper.municipality is not None:
        _line("signer", paper.signer.en)
        _line("", paper.signer.ar)
    for name, at in (("signed_at", paper.signed_at), ("stamped_at", paper.stamped_at)):
        if at is not None:
            _line(name, local(at))


def _line(name: str, value: str) -> None:
    click.echo(f"  {shown(name):<14}{shown(value)}")
