"""The clerk's UsernameToken: PasswordDigest with nonce and time of creation.

Source: UsernameToken Profile 1.1.1, section 3.1.
"""

from dataclasses import dataclass, field
from datetime import datetime

from lxml import etree

from foundation.secret import Secret
from integrations.ws_security.faults import FailedAuthentication


@dataclass(frozen=True)
class UsernameToken:
    """Who the message says the clerk is, not yet checked (see `check_username`).

    Args:
        element: the UsernameToken itself.
        username: as it stands there, as "amal@centre-7".
        nonce: 16 bytes or more.
        created: aware, in UTC.
        created_text: as it stands there, which is what the digest is made of.
        digest: 20 bytes.
    """

    element: etree._Element
    username: str
    nonce: bytes = field(repr=False)
    created: datetime
    created_text: str
    digest: bytes = field(repr=False)


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
    raise FailedAuthentication("", "", "")
