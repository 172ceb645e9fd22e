"""One POST and its answer, within one deadline and a limit of size: no redirect, no proxy, nothing kept open.

Each read and write gets the seconds that are left of the whole, so that a peer who dribbles, in its header or
in its body, holds nobody for longer.

Source: RFC 9110, 9112.
"""

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpcore

from foundation.errors import TooLarge


@dataclass(frozen=True)
class Limits:
    """How much of our time and memory a peer may take.

    Args:
        step_s: seconds for connecting, and for each read or write.
        total_s: seconds for the whole exchange.
        largest: bytes of an answer, at most.
    """

    step_s: float
    total_s: float
    largest: int = 1_000_000


@dataclass(frozen=True)
class Received:
    """An answer.

    Args:
        fields: its header, names in small letters; of a name that stands twice the last.
        body: prints as nothing: it may hold personal data.
    """

    status: int
    fields: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """What Content-Type says, without its parameters, in small letters."""
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset that Content-Type names."""
        for parameter in self.fields.get("content-type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip('"')
        return None


def post(
    url: str, body: bytes, headers: Mapping[str, str], limits: Limits, trust: ssl.SSLContext
) -> Received:
    """Send once.

    Args:
        trust: whose certificates are believed, and the one that we show.

    Raises:
        httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError: there was no exchange.
        httpcore.UnsupportedProtocol: the URL is neither http nor https.
        TooLarge: the answer is over the limit.
    """
    network = _Network(time.monotonic() + limits.total_s)
    steps = dict.fromkeys(("connect", "read", "write", "pool"), limits.step_s)
    sent: list[tuple[bytes | str, bytes | str]] = [
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
        *headers.items(),
    ]
    with (
        httpcore.ConnectionPool(ssl_context=trust, network_backend=network, max_connections=1) as pool,
        pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": steps}) as response,
    ):
        fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        found = bytearray()
        for part in response.iter_stream():
            found += part
            if len(found) > limits.largest:
                raise TooLarge(f"The answer is over {limits.largest} bytes.")
    return Received(response.status, fields, bytes(found))


class _Network(httpcore.NetworkBackend):
    """Streams that all end at one moment."""

    def __init__(self, ends: float) -> None:
        self._ends = ends
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = self.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self, self._inner.connect_tcp(host, port, seconds, local_address, socket_options))

    def left(self, timeout: float | None, too_late: type[httpcore.TimeoutException]) -> float:
        """Seconds that the next step may take."""
        seconds = self._ends - time.monotonic()
        if seconds <= 0:
            raise too_late("The whole took too long.")
        return seconds if timeout is None else min(timeout, seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, network: _Network, inner: httpcore.NetworkStream) -> None:
        self._network = network
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._network.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._network.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._network.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._network, self._inner.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
