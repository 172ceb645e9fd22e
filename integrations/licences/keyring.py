"""The signing keys of licences: which one signs now, which will, and which verify what was signed before.

A key is published before it signs (`rotate`), so that phones and kiosks know it when its first licence comes.
Its period is whole seconds, and who signs is chosen by the moment that the licence says it was issued at: so
machines whose clocks differ, and a clock that was set back, sign nothing that a verifier would refuse. A key
that may be in other hands is retired: it stays in the set with the moment of its revocation, for a key that
was left out would be called unknown.

The table is believed for a moment, so that every process follows a rotation without a restart.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.errors import Conflict, InvalidInput, NotFound, Unavailable
from foundation.secret import SecretFile
from foundation.settings import Settings
from foundation.wire.credential_keys import KeySet, Signer
from integrations.licences.key_stores import KeyStores, Made
from integrations.licences.signing_keys import KEYS, Key, State, read

PUBLISHED = "key.published"
"""A key is in the set. Payload: kid, signs_from (null: it signs already)."""
RETIRED = "key.retired"
"""A key is revoked. Payload: kid, because, signs (the one that signs from now on)."""

OVERLAP = timedelta(hours=24)
"""For which a key is published before it signs: longer than phones and kiosks keep a set of keys."""
LONGEST_OVERLAP = timedelta(days=90)

# However short the overlap: until every process has read the table again, on clocks some seconds apart.
_SEEN = timedelta(seconds=10)
# How far back a key takes over from one that was retired: actions under way, and clocks that are behind.
_LENIENCE = timedelta(seconds=60)
_LONGEST_REASON = 500

_LOCK = text("LOCK TABLE licence_key IN SHARE ROW EXCLUSIVE MODE")
_NOW = select(func.clock_timestamp())


class NoKeySigns(Unavailable):
    """No key may sign what is issued at this moment: the clock is before the first one's time."""


class Keyring:
    """The keys of a municipality; each method works in the caller's transaction.

    Args:
        settings: who issues, and where new keys are made.
        secrets: the platform's secrets file.
        clock: the present moment, aware, for rotation and retirement; without it the database's own, which is
            one for all machines.
        cache_s: seconds for which the table may be believed before it is read again.
    """

    def __init__(
        self,
        settings: Settings,
        secrets: SecretFile,
        clock: Callable[[], datetime] | None = None,
        cache_s: float = 1.0,
    ) -> None:
        self._municipality = settings.platform.municipality
        self._stores = KeyStores(settings, secrets)
        self._clock = clock
        self._cache_s = cache_s
        self._believed: tuple[float, tuple[Key, ...]] | None = None
        self._signers: dict[str, Signer] = {}
        # Made, and perhaps not written down: should its transaction fail, the next one uses it, or a token
        # would fill with keys that nobody knows.
        self._made: Made | None = None

    def signer(self, session: Session, at: datetime) -> Signer:
        """The key that signs what is issued at a moment; the first is made, or taken over, on first use.

        Args:
            at: aware; the moment that stands in what is signed.

        Raises:
            NoKeySigns: the moment is before every key's time.
            SettingsError: the key's private half is not here or cannot be used.
            DeviceUnreachable: the token that holds it does not answer.
        """
        # None yet, or none for this moment: the table is asked before that is said.
        key = _signing(self._own(self._known(session)), at) or _signing(self._own(self._fresh(session)), at)
        if key is None:
            raise _none_signs(at)
        return self._opened(key)

    def published(self, session: Session) -> KeySet:
        """The set that verifies licences: every key there was, with its period and its revocation."""
        known = self._known(session)
        if not self._own(known):
            known = self._fresh(session)
        return KeySet(key.public for key in known)

    def keys(self, session: Session) -> list[Key]:
        """Every key, in the order in which they sign, as the table has it now; nothing is made by asking."""
        return list(read(session))

    def find(self, session: Session, kid: str) -> Key:
        """The key of this municipality with an identifier of 16 hexadecimal digits.

        Raises:
            NotFound: there is none.
        """
        return _named(self._own(read(session)), kid)

    def open(self, key: Key) -> Signer:
        """A key's private half, whatever its state; raises as `signer` does."""
        return self._stores.open(key.public, key.store, key.label)

    def now(self, session: Session) -> datetime:
        """The moment that rotation and retirement go by."""
        return self._clock() if self._clock else session.execute(_NOW).scalar_one().astimezone(UTC)

    def rotate(self, session: Session, *, actor: str, overlap: timedelta = OVERLAP) -> Key:
        """Publish a new key at once; it signs after the overlap, and until then the present one does.

        Args:
            actor: who orders it.
            overlap: at most `LONGEST_OVERLAP`; even one of 0 is some seconds, until every process knows.

        Returns:
            The new key.

        Raises:
            InvalidInput: the overlap is negative or too long.
            Conflict: a key waits already for its time.
            SettingsError: the place that it would be made in cannot be used.
            DeviceUnreachable: the token does not answer.
        """
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise InvalidInput(
                f"An overlap is between 0 and {LONGEST_OVERLAP.days} days.",
                place="overlap",
                remedy=f"Give it in hours; {OVERLAP / timedelta(hours=1):.0f} are usual.",
                message_ar=f"مدة التداخل من صفر إلى {LONGEST_OVERLAP.days} يومًا.",
            )
        present = self._locked(session) or [self._first(session, actor)]
        now = self.now(session)
        last = next(key for key in present if _is_last(key))
        if last.state(now) is State.NEXT:
            raise _waits(last, now)
        start = _second(now + max(overlap, _SEEN))
        made = self._stores.make(self._municipality)
        session.execute(update(KEYS).where(KEYS.c.kid == last.kid).values(not_after=start))
        key = self._add(session, made, actor, now, start)
        audit.record(
            session,
            chain=_chain(last.kid),
            actor=actor,
            action="succeeded",
            details={"by": key.kid, "until": _text(start)},
        )
        self._believed = None
        return key

    def retire(self, session: Session, kid: str, *, because: str, actor: str) -> Key:
        """Revoke a key: nothing that it signed is believed any more, and another signs in its place at once.

        If it signs, the key that waits takes over without waiting; if it is the one that waits, the present
        one goes on.

        Args:
            kid: its identifier, 16 hexadecimal digits.
            because: the reason, for those who read the trail.
            actor: who orders it.

        Returns:
            The retired key.

        Raises:
            InvalidInput: the reason is empty or too long.
            NotFound: there is no such key.
            Conflict: it is retired already, or no other could sign.
        """
        because = because.strip()
        if not 0 < len(because) <= _LONGEST_REASON:
            raise InvalidInput(
                f"A reason has between 1 and {_LONGEST_REASON} characters.",
                place="because",
                remedy="Say why the key is not to be believed any more.",
                message_ar="اذكر سبب إلغاء المفتاح.",
            )
        present = self._locked(session)
        now = self.now(session)
        key = _named(present, kid)
        if key.public.revoked_at is not None:
            raise Conflict(
                f"The key {key.kid} is retired since {_text(key.public.revoked_at)}.",
                remedy="Nothing is left to do.",
                message_ar="أُلغي هذا المفتاح من قبل.",
            )
        after, period = _successor(key, present, now)
        row = update(KEYS).where(KEYS.c.kid == key.kid)
        session.execute(row.values(retired_at=_second(now), retired_because=because))
        # Only then: two that have no end would exclude each other.
        if after is not None and period:
            self._widen(session, after, period, actor)
        told = {"because": because, "signs": after.kid if after else None}
        audit.record_all(
            session,
            chain=_chain(key.kid),
            entries=[(actor, "retired", told)],
            events=[(RETIRED, _chain(key.kid), {"kid": key.kid, **told})],
        )
        self._believed = None
        self._signers.pop(key.kid, None)
        return replace(key, public=replace(key.public, revoked_at=_second(now)), retired_because=because)

    def _widen(self, session: Session, key: Key, period: dict[str, datetime | None], actor: str) -> None:
        session.execute(update(KEYS).where(KEYS.c.kid == key.kid).values(**period))
        details = {name: _text(moment) for name, moment in period.items()}
        audit.record(session, chain=_chain(key.kid), actor=actor, action="widened", details=details)

    def _known(self, session: Session) -> tuple[Key, ...]:
        believed = self._believed
        if believed is None or time.monotonic() - believed[0] >= self._cache_s:
            self._believed = believed = (time.monotonic(), read(session))
        return believed[1]

    def _fresh(self, session: Session) -> tuple[Key, ...]:
        self._believed = None
        known = self._known(session)
        if self._own(known):
            return known
        present = self._locked(session)
        if present:
            return read(session)
        # Not believed: this transaction may yet be rolled back.
        self._believed = None
        return (*known, self._first(session, "system"))

    def _own(self, keys: Sequence[Key]) -> list[Key]:
        return [key for key in keys if key.public.municipality == self._municipality]

    def _locked(self, session: Session) -> list[Key]:
        session.execute(_LOCK)
        return self._own(read(session))

    def _first(self, session: Session, actor: str) -> Key:
        made = self._made or self._stores.first(self._municipality)
        if any(key.kid == made.signer.public.kid.hex() for key in read(session)):
            # It is another municipality's, which this machine issued for before.
            made = self._stores.make(self._municipality)
        self._made = made
        # Without a beginning: it may have signed before it was written down here.
        return self._add(session, made, actor, self.now(session), None)

    def _add(self, session: Session, made: Made, actor: str, now: datetime, start: datetime | None) -> Key:
        public = replace(made.signer.public, not_before=start)
        key = Key(public, made.store, made.label, now, actor)
        session.execute(
            insert(KEYS).values(
                kid=key.kid,
                municipality=public.municipality,
                jwk=made.signer.public.to_jwk(),
                store=key.store,
                label=key.label,
                published_at=now,
                made_by=actor,
                not_before=start,
            )
        )
        told = {"kid": key.kid, "signs_from": _text(start)}
        audit.record_all(
            session,
            chain=_chain(key.kid),
            entries=[(actor, "published", {"store": key.store, "signs_from": _text(start)})],
            events=[(PUBLISHED, _chain(key.kid), told)],
        )
        return key

    def _opened(self, key: Key) -> Signer:
        if key.kid not in self._signers:
            self._signers[key.kid] = self.open(key)
        return self._signers[key.kid]


def _named(keys: Sequence[Key], kid: str) -> Key:
    for key in keys:
        if key.kid == kid.strip().lower():
            return key
    raise NotFound(
        f"No key is called {kid}.",
        remedy="List them with: rakeeza keys list",
        message_ar="لا يوجد مفتاح بهذا الرقم.",
    )


def _signing(keys: Sequence[Key], at: datetime) -> Key | None:
    return max((key for key in keys if key.state(at) is State.SIGNING), key=_start, default=None)


def _successor(
    key: Key, present: Sequence[Key], now: datetime
) -> tuple[Key | None, dict[str, datetime | None]]:
    # Which key signs once this one does not, and how its period is made wider for it.
    rest = [each for each in present if each.kid != key.kid and each.public.revoked_at is None]
    state, public = key.state(now), key.public
    if state is State.OLD:
        return _signing(rest, now), {}
    if public.not_after is None:
        before = [each for each in rest if each.public.not_after == public.not_before]
        if state is State.SIGNING or not before:
            raise _only(key)
        return before[-1], {"not_after": None}
    after = min((each for each in rest if _start(each) >= public.not_after), key=_start, default=None)
    if after is None:
        raise _only(key)
    return after, {"not_before": _second(now - _LENIENCE)}


def _is_last(key: Key) -> bool:
    # The table has one of each municipality at most, and `retire` leaves one.
    return key.public.not_after is None and key.public.revoked_at is None


def _start(key: Key) -> datetime:
    return key.public.not_before or datetime.min.replace(tzinfo=UTC)


def _chain(kid: str) -> str:
    return f"key/{kid}"


def _second(moment: datetime) -> datetime:
    # Key sets and licences carry whole seconds (RFC 7519, NumericDate, as we write it).
    return moment.replace(microsecond=0)


def _text(moment: datetime | None) -> JSON:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _none_signs(at: datetime) -> NoKeySigns:
    return NoKeySigns(
        f"No key signs what is issued at {_text(at)}.",
        place="clock",
        remedy="Set the clock of this machine; the keys and their times: rakeeza keys list",
        message_ar="لا يوجد مفتاح توقيع سارٍ في هذا الوقت؛ تحقق من ساعة الجهاز.",
    )


def _waits(key: Key, now: datetime) -> Conflict:
    return Conflict(
        f"The key {key.kid} is published and signs from {_text(key.public.not_before)}; it is {_text(now)}.",
        remedy="Wait for it. If it may be in other hands, retire it; if the clock is wrong, set it.",
        message_ar="يوجد مفتاح منشور ينتظر موعد التوقيع به.",
    )


def _only(key: Key) -> Conflict:
    return Conflict(
        f"No other key could sign if {key.kid} were retired.",
        remedy="Publish the next one first: rakeeza keys rotate --overlap 0",
        message_ar="لا يوجد مفتاح آخر يحل محله؛ أنشئ مفتاحًا جديدًا أولًا.",
    )
