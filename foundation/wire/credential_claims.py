"""What a licence credential says: the claims, and their form as a CBOR Web Token.

Source: RFC 8392 (CWT); draft-ietf-oauth-status-list, section 6.3 (where its status is found).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NoReturn

import cbor2

from foundation.definitions import Bilingual
from foundation.errors import Damaged, InvalidInput
from foundation.wire.status_list import StatusReference

# A date begins at midnight of the kingdom's legal time, which has no summer time.
_LEGAL_TIME = timezone(timedelta(hours=3), "AST")
_DAY = timedelta(days=1)

# Claims (IANA CBOR Web Token Claims).
_ISS, _SUB, _EXP, _NBF, _IAT, _STATUS = 1, 2, 4, 5, 6, 65535
# Below -65536 a claim key is for private use (RFC 8392, section 9.1.1).
_LICENCE = -70001
_SERVICE, _TITLE, _PUBLIC = 1, 2, 3


class MalformedClaims(Damaged):
    """The signature is right, and the claims are not those of a licence."""


@dataclass(frozen=True)
class LicenceClaims:
    """What a credential says of a licence: what its paper shows in public, and nothing else.

    Args:
        number: licence number.
        service: code of the municipal service.
        title: name of the licence.
        municipality: code of the municipality that issued it.
        valid_from: first day it is valid.
        valid_to: last day it is valid.
        issued_at: aware; kept to the second.
        public: further public fields by name, as the trade name.
        status: where it is found whether it was suspended, revoked or replaced; None in the oldest ones.
    """

    number: str
    service: str
    title: Bilingual
    municipality: str
    valid_from: date
    valid_to: date
    issued_at: datetime
    public: Mapping[str, str] = field(default_factory=dict)
    status: StatusReference | None = None


def to_cwt(claims: LicenceClaims) -> dict[int, Any]:
    """The claims by their numbers, in the order of deterministic CBOR.

    Raises:
        InvalidInput: they contradict themselves.
    """
    if claims.issued_at.tzinfo is None or claims.valid_to < claims.valid_from:
        raise InvalidInput(
            "The licence ends before it begins, or its time of issue has no zone.",
            place=claims.number,
            remedy="Correct the dates of the licence.",
        )
    if claims.valid_to == date.max:
        raise InvalidInput(
            "The licence ends on the last day there is.", place=claims.number, remedy="Give it an end."
        )
    status = claims.status
    return {
        _ISS: claims.municipality,
        _SUB: claims.number,
        # "on or after which" it is not valid (RFC 7519, section 4.1.4): the midnight after the last day.
        _EXP: _midnight(claims.valid_to + _DAY),
        _NBF: _midnight(claims.valid_from),
        _IAT: int(claims.issued_at.timestamp()),
        **({} if status is None else {_STATUS: {"status_list": {"idx": status.index, "uri": status.uri}}}),
        _LICENCE: {
            _SERVICE: claims.service,
            _TITLE: [claims.title.ar, claims.title.en],
            _PUBLIC: dict(claims.public),
        },
    }


def from_cwt(payload: bytes) -> LicenceClaims:
    """The claims in a payload whose signature holds.

    Raises:
        MalformedClaims: it is no licence.
    """
    content = _content(payload)
    match content:
        case {
            1: str(municipality),
            2: str(number),
            4: int(exp),
            5: int(nbf),
            6: int(iat),
            -70001: {1: str(service), 2: [str(ar), str(en)], 3: {**public}},
        } if not any(isinstance(time, bool) for time in (exp, nbf, iat)):
            pass
        case _:
            _malformed("a claim is missing or of the wrong kind")
    fields = {
        name: value for name, value in public.items() if isinstance(name, str) and isinstance(value, str)
    }
    if len(fields) < len(public):
        _malformed("a public field is no text")
    first, end = _date(nbf), _date(exp)
    if end <= first:
        _malformed("it ends before it begins")
    return LicenceClaims(
        number=number,
        service=service,
        title=Bilingual(ar=ar, en=en),
        municipality=municipality,
        valid_from=first,
        valid_to=end - _DAY,
        issued_at=_moment(iat).astimezone(UTC),
        public=fields,
        status=_status(content[_STATUS]) if _STATUS in content else None,
    )


def _content(payload: bytes) -> Any:
    try:
        content = cbor2.loads(payload)
        # In another form (a claim twice, no definite length) another reader may read something else.
        same = cbor2.dumps(content) == payload
    except Exception as error:
        # Any: a hostile tag makes the decoder call date, regular expression and other constructors.
        raise _not_a_licence("it is not CBOR") from error
    if not same:
        _malformed("it is not in its one form")
    return content


def _status(claim: Any) -> StatusReference:
    match claim:
        case {"status_list": {"idx": int(index), "uri": str(uri)}} if index >= 0 and uri:
            if not isinstance(index, bool):
                return StatusReference(index, uri)
    raise _not_a_licence("the place of its status is of the wrong kind")


def _malformed(reason: str) -> NoReturn:
    raise _not_a_licence(reason)


def _not_a_licence(reason: str) -> MalformedClaims:
    return MalformedClaims(
        f"The signature holds, but what it signs is no licence: {reason}.",
        remedy="Use the newest version of this program; if it stays so, tell the municipality.",
        message_ar="التوقيع صحيح، لكن المحتوى الموقع ليس رخصة.",
    )


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=_LEGAL_TIME).timestamp())


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, _LEGAL_TIME)
    except (ValueError, OverflowError, OSError):
        _malformed("a time is out of range")


def _date(seconds: int) -> date:
    moment = _moment(seconds)
    if moment.time() != datetime.min.time():
        _malformed("a day does not begin at midnight")
    return moment.date()
