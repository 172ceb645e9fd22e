"""What is polled: a device's address, and the credentials that its agent asks for."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from foundation.errors import InvalidInput
from foundation.secret import Secret

DEFAULT_PORT = 161

# RFC 3414 asks for 8 characters in a pass phrase, and agents refuse shorter ones.
_SHORTEST_PASSPHRASE = 8

AuthProtocol = Literal["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"]
PrivProtocol = Literal["DES", "AES", "AES-192", "AES-256"]


@dataclass(frozen=True)
class Community:
    """SNMPv2c credentials.

    Args:
        name: the community.
    """

    name: Secret


@dataclass(frozen=True)
class User:
    """SNMPv3 credentials of the user-based security model.

    Args:
        name: user name.
        auth: authentication protocol; None for noAuthNoPriv.
        auth_secret: its pass phrase.
        priv: privacy protocol; None for authNoPriv.
        priv_secret: its pass phrase.

    Source: RFC 3414; SHA-2: RFC 7860; AES: RFC 3826.
    """

    name: str
    auth: AuthProtocol | None = None
    auth_secret: Secret | None = None
    priv: PrivProtocol | None = None
    priv_secret: Secret | None = None

    def __post_init__(self) -> None:
        if self.priv and not self.auth:
            raise InvalidInput(
                f"The SNMPv3 user {self.name!r} has privacy without authentication.",
                remedy="Name an authentication protocol as well.",
            )
        for what, protocol, secret in (
            ("authentication", self.auth, self.auth_secret),
            ("privacy", self.priv, self.priv_secret),
        ):
            if protocol and (secret is None or len(secret.reveal()) < _SHORTEST_PASSPHRASE):
                raise InvalidInput(
                    f"The {what} pass phrase of the SNMPv3 user {self.name!r} is shorter than 8 characters.",
                    remedy="Give the pass phrase that the device knows.",
                )


@dataclass(frozen=True)
class Target:
    """A device to poll.

    Args:
        name: what the platform calls it; the asset's name.
        host: IP address or host name.
        port: UDP port.
        credentials: what its agent asks for.
        model: a model to use instead of those that identification finds.
        timeout: seconds to wait for one answer.
        retries: times an unanswered request is sent again.
        max_repetitions: rows asked for in one GETBULK, 1 to 100; fewer where a device cannot answer so many.
    """

    name: str
    host: str
    port: int
    credentials: Community | User
    model: str | None = None
    timeout: float = 2.0
    retries: int = 1
    max_repetitions: int = 25

    def __post_init__(self) -> None:
        if not 1 <= self.max_repetitions <= 100:
            raise InvalidInput(
                f"max_repetitions is {self.max_repetitions}.", place=self.name, remedy="Choose 1 to 100."
            )

    @property
    def address(self) -> str:
        """host:port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TargetSource(Protocol):
    """Where the exporter learns what it may poll."""

    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """The devices to scrape: by name, the labels that Prometheus adds to their series."""
        ...

    def find(self, name: str) -> Target:
        """The device of this name or address.

        Raises:
            NotFound: no asset has it, or a secret that it names is not there.
        """
        ...


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of "host", "host:port", "[ipv6]:port" or an IPv6 address.

    Raises:
        InvalidInput: it is none of these.
    """
    try:
        return str(ipaddress.ip_address(text)), DEFAULT_PORT
    except ValueError:
        pass
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{1,5}))?", text)
    port = int(match[3] or DEFAULT_PORT) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise InvalidInput(
            f"{text!r} is no address.", remedy="Write host, host:port or [IPv6]:port, such as 192.0.2.7:161."
        )
    return match[1] or match[2], port
