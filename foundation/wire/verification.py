"""Whether a licence's code is to be believed: its signature, its dates and its list, in one named answer.

Without a network. Command line, kiosk and REST ask here; the phone's page does the same in script, and
`tests/foundation/credential_vectors.json` holds the two to each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from foundation.calendar import today
from foundation.errors import RakeezaError
from foundation.wire import credential
from foundation.wire.credential import Credential, KeySet, LicenceClaims, PublicKey, Status, open_credential
from foundation.wire.status_list import CLOCK_TOLERANCE, StatusLists, StatusValue
from foundation.wire.verdict_words import WORDS as WORDS
from foundation.wire.verdict_words import Answer as Answer
from foundation.wire.verdict_words import Words, age_words

_REFUSED: dict[type[RakeezaError], Answer] = {
    credential.NotOurs: Answer.NOT_OURS,
    credential.DamagedText: Answer.DAMAGED,
    credential.Oversized: Answer.OVERSIZED,
    credential.UnknownKey: Answer.UNKNOWN_KEY,
    credential.RevokedKey: Answer.REVOKED_KEY,
    credential.WrongSignature: Answer.WRONG_SIGNATURE,
    credential.AnotherMunicipality: Answer.OTHER_MUNICIPALITY,
    credential.KeyOutOfPeriod: Answer.KEY_OUT_OF_PERIOD,
    credential.MalformedClaims: Answer.DAMAGED,
}
_LISTED = {
    StatusValue.REVOKED: Answer.REVOKED,
    StatusValue.REPLACED: Answer.REPLACED,
    StatusValue.SUSPENDED: Answer.SUSPENDED,
}
_DATED = {
    Status.VALID: Answer.VALID,
    Status.NOT_YET_VALID: Answer.NOT_YET_VALID,
    Status.EXPIRED: Answer.EXPIRED,
}


@dataclass(frozen=True)
class Listed:
    """What a list says of one credential.

    Args:
        value: how it stands; None where the list does not reach so far.
        made_at: when the list was made, aware.
        expires_at: from when on the list is too old to be relied on.
        version: of the list; None where the licence's own register was asked.
    """

    value: StatusValue | None
    made_at: datetime
    expires_at: datetime
    version: int | None


@dataclass(frozen=True)
class Verdict:
    """What was found of a licence's code.

    Args:
        answer: the finding.
        at: when it was judged, aware.
        claims: what the code says; None where it is not to be believed.
        key: the key that signed it; None where none did.
        listed: what its list says; None without a list.
    """

    answer: Answer
    at: datetime
    claims: LicenceClaims | None = None
    key: PublicKey | None = None
    listed: Listed | None = None

    @property
    def valid(self) -> bool:
        """Whether the licence is to be accepted."""
        return self.answer is Answer.VALID

    @property
    def words(self) -> Words:
        """What to tell people of it."""
        return WORDS[self.answer]

    @property
    def list_age(self) -> timedelta | None:
        """How old the list is that it was judged by; None without one."""
        return None if self.listed is None else max(self.at - self.listed.made_at, timedelta())

    def to_json(self) -> dict[str, Any]:
        """The verdict for a program, the same whatever face tells it."""
        return {
            "answer": self.answer.value,
            "valid": self.valid,
            "title": self.words.title.model_dump(),
            "sentence": self.words.sentence.model_dump(),
            "remedy": self.words.remedy.model_dump(),
            "list": self._list(),
            "list_age": age_words(self.list_age).model_dump(),
            "licence": None if self.claims is None else _licence(self.claims),
            "key": None if self.key is None else self.key.kid.hex(),
        }

    def _list(self) -> dict[str, Any] | None:
        if self.listed is None or self.list_age is None:
            return None
        return {
            "made_at": _moment(self.listed.made_at),
            "expires_at": _moment(self.listed.expires_at),
            "version": self.listed.version,
            "age_seconds": int(self.list_age.total_seconds()),
        }


def verify(text: str, keys: KeySet, lists: StatusLists, now: datetime) -> Verdict:
    """Judge a licence's code.

    Args:
        text: exactly what the QR code holds.
        keys: the public keys that are trusted.
        lists: the status lists that are held.
        now: the present moment by the verifier's clock, aware.

    Returns:
        One answer, whatever the text is.
    """
    opened = _opened(text, keys, now)
    return opened if isinstance(opened, Verdict) else judge(opened, look_up(opened.claims, lists), now)


def verify_by(
    text: str, keys: KeySet, standing: Callable[[LicenceClaims], Listed | None], now: datetime
) -> Verdict:
    """Judge a licence's code as `verify` does, by the register of the municipality itself.

    Whoever has its key can sign what he likes; that it was never issued, only the register knows.

    Args:
        standing: what the register says of a credential; None where it has none that says this.
    """
    opened = _opened(text, keys, now)
    if isinstance(opened, Verdict):
        return opened
    listed = standing(opened.claims)
    if listed is None:
        return Verdict(Answer.NOT_REGISTERED, now, key=opened.key)
    return judge(opened, listed, now)


def _opened(text: str, keys: KeySet, now: datetime) -> Credential | Verdict:
    try:
        return open_credential(text, keys, today=today(now=now))
    except credential.REFUSALS as error:
        return Verdict(_REFUSED[type(error)], now)


def look_up(claims: LicenceClaims, lists: StatusLists) -> Listed | None:
    """What the lists say of a licence; None where the one it names, of its own municipality, is not held."""
    if claims.status is None:
        return None
    held = lists.find(claims.municipality, claims.status.uri)
    if held is None:
        return None
    return Listed(held.value(claims.status.index), held.issued_at, held.expires_at, held.version)


def judge(opened: Credential, listed: Listed | None, now: datetime) -> Verdict:
    """Judge a credential whose signature holds.

    What a list says goes before the dates: who shows a replaced paper is told so, and not that it expired. An
    expired licence needs no list.

    Args:
        listed: what is known of its standing.
        now: the present moment by the verifier's clock, aware.
    """
    return Verdict(_answer(opened, listed, now), now, opened.claims, opened.key, listed)


def _answer(opened: Credential, listed: Listed | None, now: datetime) -> Answer:
    made = [opened.claims.issued_at, *([] if listed is None else [listed.made_at])]
    if max(made) > now + CLOCK_TOLERANCE:
        return Answer.CLOCK_WRONG
    dated = _DATED[opened.status]
    if listed is not None and listed.value is not None and now <= listed.expires_at:
        return _LISTED.get(listed.value, dated)
    if dated is not Answer.VALID:
        return dated
    return Answer.LIST_MISSING if listed is None or listed.value is None else Answer.LIST_TOO_OLD


def _licence(claims: LicenceClaims) -> dict[str, Any]:
    return {
        "number": claims.number,
        "service": claims.service,
        "title": claims.title.model_dump(),
        "municipality": claims.municipality,
        "valid_from": claims.valid_from.isoformat(),
        "valid_to": claims.valid_to.isoformat(),
        "issued_at": _moment(claims.issued_at),
        "public": dict(claims.public),
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
