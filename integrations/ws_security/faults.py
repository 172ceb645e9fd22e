"""Refusals of a message's security: a class for each fault code of WS-Security, a reason for each sentence.

Source: SOAP Message Security 1.1.1, section 12 (fault codes).
"""

from typing import ClassVar

from foundation.errors import NotAuthenticated


class SecurityFault(NotAuthenticated):
    """A message whose security does not hold.

    Args:
        reason: short name of what is wrong, for logs and tests, as "reference-elsewhere".
        message: one clear sentence.
        message_ar: the same in Arabic.
        place: the element it is about.
        remedy: what the centre's developer can do.
    """

    code: ClassVar[str]
    """Prefixed name of the fault, "wsse:…" or "wsu:…", as it stands in faultcode or Subcode."""

    def __init__(
        self, reason: str, message: str, message_ar: str, *, place: str = "", remedy: str = ""
    ) -> None:
        super().__init__(message, place=place, remedy=remedy, message_ar=message_ar)
        self.reason = reason


class InvalidSecurity(SecurityFault):
    """The header, or how the message is built around it, is not as the profile wants it."""

    code = "wsse:InvalidSecurity"


class UnsupportedAlgorithm(SecurityFault):
    """An algorithm, transform or key that the profile does not take."""

    code = "wsse:UnsupportedAlgorithm"


class UnsupportedSecurityToken(SecurityFault):
    """A kind of token that the profile does not take."""

    code = "wsse:UnsupportedSecurityToken"


class InvalidSecurityToken(SecurityFault):
    """A token that is not well formed in itself."""

    code = "wsse:InvalidSecurityToken"


class SecurityTokenUnavailable(SecurityFault):
    """The signature points at a token that is not there."""

    code = "wsse:SecurityTokenUnavailable"


class FailedAuthentication(SecurityFault):
    """A certificate or a clerk that is not known, not valid now, or does not prove to be who it says."""

    code = "wsse:FailedAuthentication"


class FailedCheck(SecurityFault):
    """The signature does not hold, or does not cover what it must."""

    code = "wsse:FailedCheck"


class MessageExpired(SecurityFault):
    """The message is too old, or from the future."""

    code = "wsu:MessageExpired"
