"""What of a licence is public, what is its holder's alone, and whether the public part fits into its code."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, TooLarge
from foundation.wire.credential import (
    MAX_CHARACTERS,
    PREFIX,
    LicenceClaims,
    Signer,
    StatusReference,
    seal,
)
from integrations.licences.validity import Period
from integrations.service import Service

HOLDER = Bilingual(ar="صاحب الرخصة", en="Holder")
"""Label of the holder's name on the paper."""

# Bytes of a signed message beside its texts: signature, headers, dates, and the keys of all claims; with room
# for a key's id of 32 bytes. Each text needs 3 more at most (RFC 8949, section 3).
_FRAME, _PER_TEXT, _LONGEST_TEXT = 190, 3, 65_535
_STATUS_NAMES = ("status_list", "idx", "uri")
# zlib adds at most so many bytes to what it cannot make smaller (its compressBound, below 4 kB).
_UNPACKABLE = 13
# Between two signatures of one content the packed text differs by no more than this, tested with thousands.
_SLACK = 24


@dataclass(frozen=True)
class Shown:
    """What a paper shows of a form.

    Args:
        lines: to everyone, each with label and value in both languages.
        private_lines: to the holder alone.
        public: fields in the credential, in Arabic alone, the language a licence is legally written in: a QR
            code is small.
    """

    lines: list[dict[str, Any]]
    private_lines: list[dict[str, Any]]
    public: dict[str, str]


def shown(service: Service, form: Mapping[str, Any], holder_name: str) -> Shown:
    """What the paper of a licence shows.

    Args:
        form: with its personal fields.

    Raises:
        Conflict: a value is no longer one that the service knows.
    """
    lines: list[dict[str, Any]] = []
    private_lines: list[dict[str, Any]] = []
    for name in service.document.fields:
        if name == "applicant.name":
            label, value = HOLDER, Bilingual(ar=holder_name, en=holder_name)
        elif form.get(name) is not None:
            label, value = service.fields[name].label, _value(service, name, form[name])
        else:
            continue
        line = {"label": label.model_dump(), "value": value.model_dump()}
        (lines if name in service.public else private_lines).append(line)
    public = {
        name: _value(service, name, form[name]).ar for name in service.public if form.get(name) is not None
    }
    return Shown(lines, private_lines, public)


def claims(
    service: Service,
    number: str,
    municipality: str,
    title: Mapping[str, str],
    period: Period,
    public: Mapping[str, str],
    at: datetime,
    status: StatusReference,
) -> LicenceClaims:
    """What the credential of a licence says."""
    return LicenceClaims(
        number=number,
        service=service.code,
        title=Bilingual(ar=title["ar"], en=title["en"]),
        municipality=municipality,
        valid_from=period.first,
        valid_to=period.last,
        issued_at=at,
        public=public,
        status=status,
    )


def code_of_test(number: str) -> str:
    """What the code of a test's paper says: to a person that it is a test, and to every verifier nothing.

    It is no packed message, so that none has to know of tests to refuse it, and signed by nobody.
    """
    return f"{PREFIX}TEST - NO LICENCE - {number}"


def sealed(content: LicenceClaims, key: Signer) -> str:
    """The credential.

    Raises:
        InvalidInput: the content does not fit into one QR code.
    """
    try:
        return seal(content, key)
    except TooLarge as error:
        raise _too_long() from error


def check_fits(content: LicenceClaims, key: Signer) -> None:
    """Refuse what `sealed` would refuse, whatever number and signature it gets.

    Most contents are so short that they fit even if nothing of them could be packed; only a longer one is
    signed to see how long it gets.

    Raises:
        InvalidInput: it would not fit into one QR code.
    """
    if most_characters(content) <= MAX_CHARACTERS:
        return
    if len(sealed(content, key)) + _SLACK > MAX_CHARACTERS:
        raise _too_long()


def most_characters(content: LicenceClaims) -> int:
    """Characters that the credential has at most, reckoned without signing it."""
    texts = [content.number, content.service, content.title.ar, content.title.en, content.municipality]
    texts += [text for item in content.public.items() for text in item]
    if content.status is not None:
        texts += [*_STATUS_NAMES, content.status.uri]
    sizes = [len(text.encode()) for text in texts]
    assert max(sizes) <= _LONGEST_TEXT, "a form's text is shorter"
    packed = _FRAME + sum(sizes) + _PER_TEXT * len(sizes) + _UNPACKABLE
    # Base45: three characters for two bytes, two for a last single one (RFC 9285, section 4).
    return len(PREFIX) + packed // 2 * 3 + packed % 2 * 2


def _value(service: Service, name: str, value: Any) -> Bilingual:
    try:
        return service.fields[name].show(value)
    except StopIteration as error:
        label = service.fields[name].label
        raise Conflict(
            f"{label.en} of the licence is {value!r}, which {service.code} has no more.",
            place=name,
            remedy="Amend it first.",
            message_ar=f"«{label.ar}» في الرخصة لم يعد من خيارات الخدمة؛ عدّل الرخصة أولًا.",
        ) from error


def _too_long() -> InvalidInput:
    return InvalidInput(
        "What the licence shows to the public does not fit into its code.",
        remedy="Shorten the trade name or the address.",
        message_ar="البيانات المعلنة في الرخصة أطول مما يتسع له رمزها؛ اختصر الاسم أو العنوان.",
    )
