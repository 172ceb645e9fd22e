"""TLS for an HTTP face: client certificates of one authority, asked for and not demanded.

A certificate of another authority ends the handshake, as does one whose time has ended. Whether one counts is
asked at each request: the handshake was perhaps an hour ago, and a session of TLS 1.2 that is taken up again
brings back a certificate that was judged when it began. No tickets are given, so that no client holds one.

Source: RFC 8446 (TLS 1.3), RFC 9325 (recommendations for TLS), RFC 8705, section 7.
"""

import asyncio
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from foundation.errors import SettingsError
from foundation.secret import Secret

_OLD_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all good


@dataclass(frozen=True)
class Material:
    """What TLS is made with.

    Args:
        own: the server's certificate, those above it, and its key; PEM.
        trusted: certificates of the authority whose clients are known; PEM.
        place: where `own` comes from, for the reader of an error.
    """

    own: Secret
    trusted: str
    place: str


class Protocol(HttpToolsProtocol):
    """The server's own protocol, which tells the application of the client's certificate.

    It stands in `scope["extensions"]["tls"]["client_certificate"]`, DER; None if the client showed none. No
    request says so itself: without TLS there is no such extension.

    Source: ASGI TLS extension (the member is of ours: those of the extension are PEM).
    """

    _tls: dict[object, object] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        """See asyncio.Protocol; the handshake is done."""
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            self._tls = {
                "client_certificate": secured.getpeercert(binary_form=True),
                "tls_version": secured.version(),
            }

    def on_message_begin(self) -> None:
        """See httptools: a request begins on this connection."""
        super().on_message_begin()
        if self._tls is not None:
            self.scope["extensions"] = {"tls": dict(self._tls)}


class Contexts:
    """The context of a server, which can be made anew while the server runs: new connections use the new one.

    Args:
        load: gives what it is made with, now.

    Raises:
        SettingsError: certificate or key cannot be used.
    """

    def __init__(self, load: Callable[[], Material]) -> None:
        self._load = load
        self._material = load()
        self._current = server_context(self._material)
        # What the server holds; each handshake is handed on to the one that is current.
        self.context = server_context(self._material)
        self.context.sni_callback = self._hand_on

    def renew(self) -> bool:
        """Load anew; whether anything had changed.

        Raises:
            SettingsError: certificate or key cannot be used; the server goes on with those it has.
        """
        material = self._load()
        if material == self._material:
            return False
        self._current, self._material = server_context(material), material
        return True

    def _hand_on(self, secured: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        # Called for every handshake, with a name or without.
        secured.context = self._current


def abandon(server: uvicorn.Server) -> None:
    """Drop the connections that a server which has ended still has.

    One that is closed politely waits half a minute for its peer to say that it is closed; whoever keeps
    silent would hold up the end of the process.
    """
    for connection in list(server.server_state.connections):
        connection.transport.abort()


def server_context(material: Material) -> ssl.SSLContext:
    """A context for a server.

    Raises:
        SettingsError: certificate or key cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_OLD_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    try:
        context.load_verify_locations(cadata=material.trusted)
        _load_own(context, material.own)
    except (OSError, ValueError) as error:
        # The library's words name its own lines; what is wrong with a file, they seldom say.
        raise SettingsError(
            "TLS cannot be made with this certificate and key.",
            place=material.place,
            remedy="Give PEM: the certificate, those above it, and its key, without a password.",
        ) from error
    return context


def _load_own(context: ssl.SSLContext, own: Secret) -> None:
    # The library reads files only; this one is in memory, and nobody else's.
    number = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(number, own.reveal().encode())
        # A key with a password would be asked for on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{number}", password=lambda: b"")
    finally:
        os.close(number)
