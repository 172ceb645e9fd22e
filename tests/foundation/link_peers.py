"""The other ends of a line: a pseudo-terminal, a TCP socket, and pyserial's own RFC 2217 server."""

import contextlib
import os
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import serial
import serial.rfc2217


@dataclass(frozen=True)
class Peer:
    """One other end.

    Args:
        url: address that opens the line.
        send: puts bytes on the line.
        receive: waits for that many bytes.
        hang_up: ends the line.
    """

    url: str
    send: Callable[[bytes], None]
    receive: Callable[[int], bytes]
    hang_up: Callable[[], None]


@contextlib.contextmanager
def pty_peer() -> Iterator[Peer]:
    """The other end of a pseudo-terminal."""
    master, slave = os.openpty()
    tty.setraw(slave)
    open_ends = {master, slave}

    def receive(count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += os.read(master, count - len(data))
        return data

    def send(data: bytes) -> None:
        while data:
            data = data[os.write(master, data) :]

    def hang_up() -> None:
        while open_ends:
            os.close(open_ends.pop())

    try:
        yield Peer(os.ttyname(slave), send, receive, hang_up)
    finally:
        hang_up()


@contextlib.contextmanager
def socket_peer() -> Iterator[Peer]:
    """A TCP server that takes one connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []

    def connection() -> socket.socket:
        if not accepted:
            accepted.append(listener.accept()[0])
        return accepted[0]

    def receive(count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += connection().recv(count - len(data))
        return data

    def hang_up() -> None:
        connection().close()

    try:
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        yield Peer(url, lambda data: connection().sendall(data), receive, hang_up)
    finally:
        for peer in accepted:
            peer.close()
        listener.close()


class _Connection:
    """The face of a connection that pyserial's PortManager writes to."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._peer.sendall(data)


@contextlib.contextmanager
def rfc2217_peer() -> Iterator[Peer]:
    """pyserial's RFC 2217 server; its serial side is a TCP line of the test."""
    with socket_peer() as device:
        port = serial.serial_for_url(device.url)
        listener = socket.create_server(("127.0.0.1", 0))
        clients: list[socket.socket] = []
        ready = threading.Event()
        manager: list[serial.rfc2217.PortManager] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                client = listener.accept()[0]
                clients.append(client)
                # The stubs ask for a client's port; a server hands over its own port and connection.
                served = serial.rfc2217.PortManager(port, _Connection(client))  # type: ignore[arg-type]
                manager.append(served)
                ready.set()
                while data := client.recv(1024):
                    port.write(b"".join(manager[0].filter(data)))

        thread = threading.Thread(target=serve)
        thread.start()

        def send(data: bytes) -> None:
            assert ready.wait(10)
            clients[0].sendall(b"".join(manager[0].escape(data)))

        def hang_up() -> None:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
                client.close()

        try:
            url = f"rfc2217://127.0.0.1:{listener.getsockname()[1]}"
            yield Peer(url, send, device.receive, hang_up)
        finally:
            hang_up()
            # Wakes an accept() that nobody called.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join(10)
            port.close()
