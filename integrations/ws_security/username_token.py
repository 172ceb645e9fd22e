"""The clerk's UsernameToken: PasswordDigest with nonce and time of creation.

Source: UsernameToken Profile 1.1.1, section 3.1.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from foundation.secret import Secret
from integrations.ws_security.faults import (
    FailedAuthentication,
    InvalidSecurityToken,
    UnsupportedSecurityToken,
)
from integrations.ws_security.names import PASSWORD_DIGEST, WSSE, WSU
from integrations.ws_security.strict_xml import called, elements, in_base64, octets, only_attributes, text
from integrations.ws_security.timestamp import check_age, moment

SHORTEST_NONCE = 16
LONGEST_NONCE = 64
"""Octets of a nonce."""

_LONGEST_NAME = 160
_SHA_1 = 20
_USERNAME, _PASSWORD, _NONCE = f"{{{WSSE}}}Username", f"{{{WSSE}}}Password", f"{{{WSSE}}}Nonce"
_CREATED = f"{{{WSU}}}Created"


@dataclass(frozen=True)
class UsernameToken:
    """Who the message says the clerk is, not yet checked (see `check_username`).

    Args:
        element: the UsernameToken itself.
        username: as it stands there, as "amal@centre-7".
        nonce: 16 octets or more.
        created: aware, in UTC.
        created_text: as it stands there, which is what the digest is made of.
        digest: 20 octets.
    """

    element: etree._Element
    username: str
    nonce: bytes = field(repr=False)
    created: datetime
    created_text: str
    digest: bytes = field(repr=False)


def read(element: etree._Element) -> UsernameToken:
    """Read a UsernameToken.

    Raises:
        InvalidSecurity: a part of it is not written as it must be.
        InvalidSecurityToken: parts are missing, twice or too many, or the nonce is short.
        UnsupportedSecurityToken: its password is no digest.
    """
    children = {str(child.tag): child for child in elements(element)}
    if set(children) != {_USERNAME, _PASSWORD, _NONCE, _CREATED} or len(element) != len(children):
        raise InvalidSecurityToken(
            "username-token-content",
            "A UsernameToken must hold Username, Password, Nonce and Created, each once.",
            "يجب أن يحتوي UsernameToken على Username وPassword وNonce وCreated، كل منها مرة واحدة.",
            place=called(element),
        )
    username, password, nonce, created = (
        children[_USERNAME],
        children[_PASSWORD],
        children[_NONCE],
        children[_CREATED],
    )
    only_attributes(username)
    only_attributes(password, "Type")
    only_attributes(nonce, "EncodingType")
    in_base64(nonce)
    if password.get("Type") != PASSWORD_DIGEST:
        raise UnsupportedSecurityToken(
            "password-type",
            "The password must be a PasswordDigest.",
            "يجب أن تكون كلمة المرور بصيغة PasswordDigest.",
            place=called(password),
            remedy="Never send the secret itself.",
        )
    return UsernameToken(
        element,
        text(username, _LONGEST_NAME),
        _long_enough(nonce),
        moment(created),
        text(created, 40),
        octets(password, _SHA_1),
    )


def _long_enough(nonce: etree._Element) -> bytes:
    found = octets(nonce, LONGEST_NONCE)
    if len(found) < SHORTEST_NONCE:
        raise InvalidSecurityToken(
            "short-nonce",
            f"The nonce has {len(found)} octets, and must have {SHORTEST_NONCE} or more.",
            f"طول القيمة العشوائية (Nonce) {len(found)} بايت، ويجب ألا يقل عن {SHORTEST_NONCE}.",
            place=called(nonce),
            remedy="Take new random octets for each message.",
        )
    return found


def check_username(token: UsernameToken, secret: Secret, now: datetime) -> None:
    """Let only a token pass that was made with the clerk's secret, and lately.

    Whether its nonce was used before is not asked here (see `integrations.centres.replay`).

    Args:
        secret: of the clerk that `token.username` names.
        now: aware.

    Raises:
        FailedAuthentication: made with another secret.
        MessageExpired: more than 300 s old, or more than 60 s ahead.
    """
    check_age(token.created, now, called(token.element))
    # The profile knows no other hash; it is over a generated secret, and is never a password's store.
    made = hashlib.sha1(
        token.nonce + token.created_text.encode() + secret.reveal().encode(), usedforsecurity=False
    ).digest()
    if not hmac.compare_digest(made, token.digest):
        raise FailedAuthentication(
            "password-digest",
            "The clerk's name and secret do not hold.",
            "اسم الموظف أو رمزه السري غير صحيح.",
            place=called(token.element),
        )
