"""How somebody stands now, as his records say, and whether a token of his opens with what it came with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.caller import Caller
from foundation.client_keys import base64url
from foundation.confirmation import BY_KEY, Shown
from foundation.errors import NotAuthenticated, RakeezaError
from foundation.tokens import Claims

_RECORDS = {
    "client": text(
        """
        SELECT roles, places, ARRAY(
            SELECT thumbprint || ' ' || key_thumbprint FROM client_certificate
            WHERE client_certificate.client_id = :name AND revoked_at IS NULL
              AND clock_timestamp() BETWEEN not_before AND not_after
        ) AS held
        FROM api_client WHERE client_id = :name AND enabled
        """
    ),
    "person": text(
        "SELECT roles, places, '{}'::text[] AS held FROM person WHERE username = :name AND enabled"
    ),
}


@dataclass(frozen=True)
class Terms:
    """What a client is subject to beside its record.

    Args:
        keyed: it has to prove itself by a key; a secret alone is not enough.
        shut: why it is let in nowhere now; None where it is.
    """

    keyed: bool = False
    shut: RakeezaError | None = None


TermsOf = Callable[[Session, str], Terms]
"""Gives the terms of a client by its id, in the transaction that reads its record."""


@dataclass(frozen=True)
class Standing:
    """What the records of somebody say.

    Args:
        roles: what he may do.
        places: where; none means everywhere.
        certificates: that count, by thumbprint (SHA-256, hexadecimal), each with that of its key.
        terms: what he is subject to beside.
    """

    roles: frozenset[str]
    places: frozenset[str]
    certificates: Mapping[str, str] = field(default_factory=dict)
    terms: Terms = Terms()


def read(session: Session, subject: str, terms_of: TermsOf) -> Standing | None:
    """How somebody stands now.

    Args:
        subject: "client/centre-7", "person/amal".

    Returns:
        None for whom there is no record, or one that is disabled.
    """
    kind, _, name = subject.partition("/")
    if kind not in _RECORDS:
        return None
    row = session.execute(_RECORDS[kind], {"name": name}).one_or_none()
    if row is None:
        return None
    certificates = dict(each.split(" ") for each in row.held)
    terms = terms_of(session, name) if kind == "client" else Terms()
    return Standing(frozenset(row.roles), frozenset(row.places), certificates, terms)


def bearer(claims: Claims, standing: Standing) -> Caller:
    """Who bears a token that opens: what was taken away is gone at once, what was given waits for another."""
    kind, _, name = claims.subject.partition("/")
    known = standing.roles & claims.roles
    return Caller(name, "client" if kind == "client" else "person", known, standing.places)


def refusal(claims: Claims, standing: Standing, shown: Shown) -> RakeezaError | None:
    """Why a token, whose signature is good, does not open now; None where it does.

    Args:
        claims: what it says.
        standing: of its bearer.
        shown: the certificate and keys that the request was sent with.

    Source: RFC 8705, section 3; RFC 7800, section 4.
    """
    name, bound = claims.subject.partition("/")[2], claims.bound_to
    if standing.terms.shut is not None:
        return standing.terms.shut
    if bound is None and standing.terms.keyed:
        return unbound(name)
    if shown.certificate is not None and shown.certificate not in standing.certificates:
        # Whatever the token: a socket that was opened with it must not outlive it.
        return not_certified()
    if bound is None:
        return None
    if bound.kind == BY_KEY:
        good = bound.value in standing.certificates.values() and bound.value in (shown.key, shown.signed_by)
        return None if good else _not_shown("key")
    for certificate, key in standing.certificates.items():
        if base64url(bytes.fromhex(certificate)) == bound.value:
            return (
                None
                if shown.certificate == certificate or shown.signed_by == key
                else _not_shown("certificate")
            )
    return _not_shown("certificate")


def wrong_password() -> NotAuthenticated:
    """What is said to a person who cannot be let in; it does not say which of the two is wrong."""
    return NotAuthenticated(
        "The user name or the password is wrong.",
        remedy="Try again.",
        message_ar="اسم المستخدم أو كلمة المرور غير صحيح؛ أعد المحاولة.",
    )


def wrong_secret() -> NotAuthenticated:
    """What is said to a client that cannot be let in; it does not say which of the two is wrong."""
    return NotAuthenticated(
        "The client id or the secret is wrong.",
        remedy="Check both; for a lost secret: rakeeza identity client rotate",
        message_ar="معرّف الجهة أو رمزها السري غير صحيح.",
    )


def two_clients() -> NotAuthenticated:
    """What is said to a client that names two."""
    return NotAuthenticated(
        "The client id is not the one of the assertion.",
        remedy="Send one, or the same twice.",
        message_ar="معرّف الجهة ليس هو المذكور في الإثبات المرسل.",
    )


def disabled(name: str) -> NotAuthenticated:
    """What is said to somebody who has no record, or one that is disabled."""
    return NotAuthenticated(
        f"{name} is disabled or no longer known.",
        remedy="Ask an administrator.",
        message_ar=f"{name} موقوف أو لم يعد معروفًا؛ راجع مدير المنصة.",
    )


def unbound(name: str) -> NotAuthenticated:
    """What is said to a client that has to prove itself by a key, and sent a secret."""
    return NotAuthenticated(
        f"{name} proves itself by its key; a secret, or a token that was given for one, is not enough.",
        remedy="Ask for a token with the client certificate, or with an assertion under its key.",
        message_ar="تثبت هذه الجهة هويتها بمفتاحها؛ لا يكفي الرمز السري وحده.",
    )


def not_certified() -> NotAuthenticated:
    """What is said to a client that came with a certificate that does not count."""
    return NotAuthenticated(
        "The client certificate is not one of this client that counts now.",
        remedy="Use the certificate that was issued to it last.",
        message_ar="شهادة الجهة غير صالحة لها الآن؛ استخدم آخر شهادة أُصدرت لها.",
    )


def _not_shown(what: str) -> NotAuthenticated:
    ar = (
        "رمز الدخول مرتبط بالشهادة التي طُلب بها، ولم يُرسل هذا الطلب بها أو لم تعد صالحة."
        if what == "certificate"
        else "رمز الدخول مرتبط بالمفتاح الذي طُلب به، ولم يُرسل هذا الطلب به أو لم يعد صالحًا."
    )
    return NotAuthenticated(
        f"The token is bound to a {what} that this request was not sent with, or that does not count now.",
        remedy=f"Send it with the {what} that it was asked for with.",
        message_ar=ar,
    )
