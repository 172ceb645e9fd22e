"""A line to a device: a serial port, `socket://host:port`, or `rfc2217://host:port`, read by the event loop.

pyserial opens and sets the port; the loop then reads its descriptor itself, which costs a fifth of what a
thread costs. Only RFC 2217 has no plain descriptor (telnet stands between) and is read through a thread.

A line does not heal itself: once the other side is gone, every call raises `DeviceUnreachable`, and its
owner opens a new one when it likes.
"""

import asyncio
import contextlib
import os
import socket
import termios
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import serial
import serial.rfc2217

from foundation.errors import DeviceUnreachable, InvalidInput

# Enough for any frame a kiosk device sends; beyond it the reader is asleep and the kernel may hold the rest.
_MOST_WAITING = 256 * 1024
_CONNECT_TIMEOUT = 5.0


class Link(Protocol):
    """An open line. Bytes arrive in order, none is invented; framing is the driver's business."""

    place: str

    async def read(self) -> bytes:
        """Whatever is waiting; waits until there is at least one byte.

        Safe to cancel: bytes that arrived stay for the next read.

        Raises:
            DeviceUnreachable: the other side hung up or the cable was pulled.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the line.

        Raises:
            DeviceUnreachable: the other side hung up, or took no byte within the time limit.
        """
        ...

    async def close(self) -> None:
        """Give the line back; closing twice is no error."""
        ...


async def open_link(url: str, *, baudrate: int = 9600, write_timeout: float = 10.0) -> Link:
    """Open a line.

    Args:
        url: path of a serial device, `socket://host:port` or `rfc2217://host:port`.
        baudrate: bit/s of a serial line, 8 data bits, no parity, 1 stop bit.
        write_timeout: seconds the other side may take no byte before it counts as gone.

    Raises:
        InvalidInput: the address is none of the three forms.
        DeviceUnreachable: nothing answers there, the port is missing or another program holds it.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme == "socket":
        return await _open_socket(url, write_timeout)
    if scheme == "rfc2217":
        _host_and_port(url)
        return await _ThreadedLink.open(url, baudrate, write_timeout)
    if scheme or not url:
        raise InvalidInput(
            f"{url!r} is no address of a device.",
            remedy="Write a path such as /dev/ttyUSB0, socket://host:port or rfc2217://host:port.",
        )
    return await _open_serial(url, baudrate, write_timeout)


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    # `port` is a property that raises for a number out of range.
    with contextlib.suppress(ValueError):
        if parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise InvalidInput(f"{url!r} names no host and port.", remedy=f"Write it as {parts.scheme}://host:port.")


def _lost(place: str, reason: str) -> DeviceUnreachable:
    return DeviceUnreachable(
        f"The device {reason}.", place=place, remedy="Check its power, its cable and its address."
    )


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno and not isinstance(error, serial.SerialException):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


async def _open_serial(path: str, baudrate: int, write_timeout: float) -> Link:
    try:
        # Some USB adapters answer slowly while they are set; the loop must not wait for them.
        port = await asyncio.to_thread(serial.Serial, path, baudrate, timeout=0, exclusive=True)
    except ValueError as error:
        raise InvalidInput(f"The port refuses {baudrate} bit/s.", place=path, remedy=str(error)) from error
    except (OSError, termios.error) as error:
        raise _lost(path, f"cannot be opened ({_words(error)})") from error
    return _DescriptorLink(path, port.fileno(), port.close, write_timeout)


async def _open_socket(url: str, write_timeout: float) -> Link:
    host, port = _host_and_port(url)
    loop = asyncio.get_running_loop()
    peer: socket.socket | None = None
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            family, kind, protocol, _, address = (
                await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )[0]
            peer = socket.socket(family, kind, protocol)
            peer.setblocking(False)
            # A status query is three bytes and must not wait for more.
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await loop.sock_connect(peer, address)
    except (OSError, TimeoutError) as error:
        if peer is not None:
            peer.close()
        late = isinstance(error, TimeoutError)
        reason = f"does not answer within {_CONNECT_TIMEOUT:g} s" if late else f"refuses ({_words(error)})"
        raise _lost(url, reason) from error
    except BaseException:
        if peer is not None:
            peer.close()
        raise
    return _DescriptorLink(url, peer.fileno(), peer.close, write_timeout)


class _Buffered:
    # What has arrived and was not read yet, and how the line ended.

    def __init__(self, place: str) -> None:
        self.place = place
        self._waiting = bytearray()
        self._arrived = asyncio.Event()
        self._end: str | None = None

    async def read(self) -> bytes:
        while not self._waiting:
            if self._end is not None:
                raise _lost(self.place, self._end)
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._waiting)
        self._waiting.clear()
        return data

    def _take(self, data: bytes) -> None:
        self._waiting += data
        self._arrived.set()

    def _finish(self, reason: str) -> None:
        self._end = self._end or reason
        self._arrived.set()


class _DescriptorLink(_Buffered):
    # The loop watches the descriptor from the start, so a hang-up is known also while nobody reads.

    def __init__(
        self, place: str, descriptor: int, release: Callable[[], None], write_timeout: float
    ) -> None:
        super().__init__(place)
        self._descriptor = descriptor
        self._release = release
        self._write_timeout = write_timeout
        self._loop = asyncio.get_running_loop()
        self._watched = False
        self._open = True
        self._watch()

    async def read(self) -> bytes:
        data = await super().read()
        self._watch()
        return data

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._end is not None:
                raise _lost(self.place, self._end)
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                self._finish(f"is gone ({_words(error)})")

    async def close(self) -> None:
        if self._open:
            self._finish("was closed")
            self._open = False
            self._release()

    def _watch(self) -> None:
        if self._end is None and not self._watched:
            self._loop.add_reader(self._descriptor, self._readable)
            self._watched = True

    def _unwatch(self) -> None:
        if self._watched:
            self._loop.remove_reader(self._descriptor)
            self._watched = False

    def _readable(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._finish(f"is gone ({_words(error)})")
            return
        if not data:
            # Readable and empty: a socket was closed by its peer, a terminal was hung up.
            self._finish("hung up")
            return
        self._take(data)
        if len(self._waiting) >= _MOST_WAITING:
            self._unwatch()

    def _finish(self, reason: str) -> None:
        self._unwatch()
        super()._finish(reason)

    async def _writable(self) -> None:
        ready = self._loop.create_future()
        self._loop.add_writer(self._descriptor, _set, ready)
        try:
            async with asyncio.timeout(self._write_timeout):
                await ready
        except TimeoutError as error:
            raise _lost(self.place, f"took no byte for {self._write_timeout:g} s") from error
        finally:
            self._loop.remove_writer(self._descriptor)


def _set(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class _ThreadedLink(_Buffered):
    # Source: RFC 2217; pyserial speaks telnet and hands out plain bytes.

    def __init__(self, place: str, port: serial.rfc2217.Serial, write_timeout: float) -> None:
        super().__init__(place)
        self._port = port
        self._write_timeout = write_timeout
        self._loop = asyncio.get_running_loop()
        self._reader = asyncio.create_task(asyncio.to_thread(self._read_on))
        # A loop that ends with the line open cancels the task; the thread must then end as well.
        self._reader.add_done_callback(lambda _: self._finish("was closed"))

    @classmethod
    async def open(cls, url: str, baudrate: int, write_timeout: float) -> "_ThreadedLink":
        try:
            port = await asyncio.to_thread(serial.rfc2217.Serial, url, baudrate, timeout=0.2)
        except (OSError, ValueError) as error:
            raise _lost(url, f"cannot be opened ({_words(error)})") from error
        return cls(url, port, write_timeout)

    async def write(self, data: bytes) -> None:
        if self._end is not None:
            raise _lost(self.place, self._end)
        try:
            async with asyncio.timeout(self._write_timeout):
                await asyncio.to_thread(self._port.write, data)
        except TimeoutError as error:
            raise _lost(self.place, f"took no byte for {self._write_timeout:g} s") from error
        except (OSError, ValueError) as error:
            self._finish(f"is gone ({_words(error)})")
            raise _lost(self.place, str(self._end)) from error

    async def close(self) -> None:
        self._finish("was closed")
        await asyncio.wait([self._reader])
        await asyncio.to_thread(self._port.close)

    def _read_on(self) -> None:
        while self._end is None:
            try:
                data = self._port.read(max(1, self._port.in_waiting))
            except (OSError, TypeError) as error:
                # pyserial raises TypeError when the port is closed between its check and its read.
                self._loop.call_soon_threadsafe(self._finish, f"hung up ({_words(error)})")
                return
            if data:
                self._loop.call_soon_threadsafe(self._take, bytes(data))
