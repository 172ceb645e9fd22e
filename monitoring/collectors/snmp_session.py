"""One conversation with one SNMP agent: GET and GETBULK over gufo-snmp, with deadlines and checks of our own.

gufo's sockets decode in Rust at 1 to 2 µs a varbind, which is why they are here. What they leave to us:

- a total deadline: a stream of foreign answers restarts their timeout, so we wait ourselves on a socket that
  never blocks;
- an answer over 4,080 bytes does not decode, and an error status reads like the end of a table: an end that
  the agent did not show by an object behind the column is confirmed with GETNEXT, and when rows were lost the
  column is read again in smaller pieces;
- a length that breaks off makes the decoder panic, and an empty OID is a RuntimeError.
"""

import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from gufo.snmp._fast import (
    GetIter,
    NoSuchInstance,
    SnmpAuthError,
    SnmpError,
    SnmpV2cClientSocket,
    SnmpV3ClientSocket,
)
from gufo.snmp.user import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
)
from gufo.snmp.user import User as GufoUser

from foundation.errors import DeviceUnreachable, Refused, Unavailable
from foundation.secret import Secret
from monitoring.targets import Community, Target, User

Value = int | float | str | bytes
Answer = TypeVar("Answer")

# A column of more rows is no table that a device has, but an agent that makes them up.
MOST_ROWS = 200_000

# gufo 0.13 loses SNMPv3 rows without an error when an answer is over its buffer: measured above 70 rows.
MOST_REPETITIONS_V3 = 50

# Some agents refuse a GET with many objects as tooBig; 24 stay below 1,500 bytes for ordinary objects.
_SCALARS_AT_ONCE = 24

_AUTH: dict[str, type[BaseAuthKey]] = {
    "MD5": Md5Key,
    "SHA": Sha1Key,
    "SHA-224": Sha224Key,
    "SHA-256": Sha256Key,
    "SHA-384": Sha384Key,
    "SHA-512": Sha512Key,
}
_PRIV: dict[str, type[BasePrivKey]] = {
    "DES": DesKey,
    "AES": Aes128Key,
    "AES-192": Aes192Key,
    "AES-256": Aes256Key,
}


@dataclass(frozen=True)
class Column:
    """One column of a table as the agent gave it.

    Args:
        rows: values by index, the index as dotted arcs ("2", "10.1").
        error: why it is incomplete; None when it is whole.
    """

    rows: dict[str, Value] = field(default_factory=dict)
    error: str | None = None


class NotSnmp(Unavailable):
    """What came back from the agent is no SNMP message."""


class Session:
    """A conversation with the agent of one target.

    Args:
        target: whom to talk to.

    `requests` counts what was sent, retries included; `timeouts` what stayed without an answer after them.

    Raises:
        DeviceUnreachable: the name has no address, or the agent does not answer (SNMPv3 asks at once).
        Refused: the agent refuses the SNMPv3 user.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.requests = 0
        self.timeouts = 0
        v3 = isinstance(target.credentials, User)
        self.max_repetitions = min(target.max_repetitions, MOST_REPETITIONS_V3 if v3 else 100)
        self._answered = False
        address = _resolve(target)
        self._socket: SnmpV2cClientSocket | SnmpV3ClientSocket
        if isinstance(target.credentials, Community):
            self._socket = SnmpV2cClientSocket(address, target.credentials.name.reveal(), 0, 0, 0, 0)
            self._listen()
        else:
            # An empty user first: it only asks the agent for its engine id (RFC 3414, section 4).
            self._socket = SnmpV3ClientSocket(address, b"", "", 0, b"", 0, b"", 0, 0, 0, 0)
            self._listen()
            self._login(self._socket, target.credentials)

    def get(self, oids: Sequence[str]) -> dict[str, Value]:
        """Scalars by OID; those that the agent does not have are left out.

        Raises:
            DeviceUnreachable: no answer.
            Refused: the agent refuses the user.
            NotSnmp: the answer is no SNMP.
        """
        values: dict[str, Value] = {}
        for start in range(0, len(oids), _SCALARS_AT_ONCE):
            chunk = list(oids[start : start + _SCALARS_AT_ONCE])
            found = self._get_many(chunk)
            if not found and len(chunk) > 1:
                # An error status (tooBig, genErr) empties the whole answer: ask one by one.
                for oid in chunk:
                    found.update(self._get_one(oid))
            # An agent may answer what it was not asked.
            values.update((oid, value) for oid, value in found.items() if oid in chunk and value is not None)
        return values

    def column(self, oid: str) -> Column:
        """All rows of one column; never raises for one column's trouble, so its neighbours are not lost.

        Raises:
            DeviceUnreachable: no answer from a device that has not answered anything yet.
            Refused: the agent refuses the user.
        """
        while True:
            try:
                column, whole = self._walk(oid)
            except NotSnmp as error:
                if self.max_repetitions == 1:
                    return Column(error=error.message)
            except DeviceUnreachable as error:
                if not self._answered:
                    raise
                return Column(error=error.message)
            else:
                if whole or self.max_repetitions == 1:
                    return column
            # The answer was too large for one of us; smaller ones fit. The session keeps the size it learned.
            self.max_repetitions = max(1, self.max_repetitions // 2)

    def answers(self, subtree: str) -> bool:
        """Whether the agent has an object below a node.

        Raises: as `get`.
        """
        return self._next(GetIter(subtree)) is not None

    def _walk(self, oid: str) -> tuple[Column, bool]:
        rows: dict[str, Value] = {}
        cursor = GetIter(oid, self.max_repetitions)
        skip = len(oid) + 1
        while True:
            try:
                batch = self._ask(
                    lambda: self._socket.send_get_bulk(cursor), lambda: self._socket.recv_get_bulk(cursor)
                )
            except StopAsyncIteration:
                return self._confirm_end(oid, rows, cursor)
            ended = batch[-1] is None
            if ended:
                batch.pop()
            # gufo leaves empty values out, and None marks only the end.
            whole = cast(list[tuple[str, Value]], batch)
            found = {name[skip:]: value for name, value in whole}
            if len(found) < len(whole) or not rows.keys().isdisjoint(found):
                # Of a row that comes twice, the first answer stays.
                for name, value in whole:
                    rows.setdefault(name[skip:], value)
                return Column(rows, f"the agent repeats itself after {len(rows)} rows of {oid}"), True
            rows.update(found)
            if len(rows) > MOST_ROWS:
                return Column(rows, f"the agent goes on after {len(rows)} rows of {oid}"), True
            if ended:
                return Column(rows), True

    def _confirm_end(self, oid: str, rows: dict[str, Value], cursor: GetIter) -> tuple[Column, bool]:
        following = self._next(cursor)
        if following is None:
            return Column(rows), True
        if following[0][len(oid) + 1 :] in rows:
            return Column(rows, f"the agent repeats itself after {len(rows)} rows of {oid}"), True
        return Column(rows, f"the agent stopped after {len(rows)} rows of {oid} and has more"), False

    def _next(self, cursor: GetIter) -> tuple[str, Value | None] | None:
        try:
            return self._ask(
                lambda: self._socket.send_get_next(cursor), lambda: self._socket.recv_get_next(cursor)
            )
        except StopAsyncIteration:
            return None

    def _get_many(self, oids: list[str]) -> dict[str, Value | None]:
        return self._ask(lambda: self._socket.send_get_many(oids), self._socket.recv_get_many)

    def _get_one(self, oid: str) -> dict[str, Value | None]:
        try:
            return {oid: self._ask(lambda: self._socket.send_get(oid), self._socket.recv_get)}
        except NoSuchInstance:
            return {}

    def _login(self, agent: SnmpV3ClientSocket, user: User) -> None:
        self._ask(agent.send_refresh, agent.recv_refresh)
        keys = _keys(user)
        agent.set_keys(
            keys.name, keys.get_auth_alg(), keys.get_auth_key(), keys.get_priv_alg(), keys.get_priv_key()
        )
        if user.auth:
            # The agent's boots and time, without which it discards authenticated requests.
            self._ask(agent.send_refresh, agent.recv_refresh)

    def _listen(self) -> None:
        self._poller = select.poll()
        self._poller.register(self._socket.get_fd(), select.POLLIN)

    def _ask(self, send: Callable[[], None], receive: Callable[[], Answer]) -> Answer:
        reason = "does not answer"
        for _ in range(self.target.retries + 1):
            self.requests += 1
            try:
                send()
                answer = self._await(receive)
            except StopAsyncIteration:
                self._answered = True
                raise
            except (TimeoutError, OSError) as error:
                if "refused" in str(error):
                    reason = "has no SNMP agent on this port"
                continue
            except NoSuchInstance:
                self._answered = True
                raise
            except SnmpAuthError as error:
                raise Refused(
                    f"The device refuses the SNMPv3 user {self._user()!r}.",
                    place=self.target.address,
                    remedy="Check user, protocols and pass phrases on both sides.",
                ) from error
            except (SnmpError, RuntimeError) as error:
                # Behind the colon it shows bytes of the message, which belong in no log.
                raise self._not_snmp(str(error).partition(":")[0]) from error
            except BaseException as error:
                # The panic is no Exception, and its type has no importable name.
                if type(error).__name__ != "PanicException":
                    raise
                raise self._not_snmp("a length breaks off") from error
            self._answered = True
            return answer
        self.timeouts += 1
        raise DeviceUnreachable(
            f"The device {reason}.", place=self.target.address, remedy=self._remedy(reason)
        )

    def _await(self, receive: Callable[[], Answer]) -> Answer:
        deadline = time.monotonic() + self.target.timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self._poller.poll(left * 1000):
                raise TimeoutError
            try:
                return receive()
            except BlockingIOError:
                # It was no answer to this request: an old one, or a stranger's.
                continue

    def _not_snmp(self, why: str) -> NotSnmp:
        return NotSnmp(
            f"The agent's answer is no SNMP message ({why}).",
            place=self.target.address,
            remedy="Check that the port is the agent's, and the agent's firmware.",
        )

    def _user(self) -> str:
        credentials = self.target.credentials
        return credentials.name if isinstance(credentials, User) else ""

    def _remedy(self, reason: str) -> str:
        if reason != "does not answer":
            return "Check the port, and that the agent runs."
        if self._user():
            return "Check address, network and privacy pass phrase: agents are silent to a wrong one."
        # An SNMPv2c agent drops a request with a wrong community in silence (RFC 3584, section 5.2.1).
        return (
            "Check the community, the address and the network: "
            "an SNMPv2c agent is silent to a wrong community as well."
        )


def text(value: Value) -> str:
    """A value as label text.

    UTF-8 as it is; bytes that are not, and control characters, as \\xe9: readable, and nothing is lost.
    """
    if isinstance(value, bytes):
        value = value.rstrip(b"\0").decode("utf-8", errors="backslashreplace")
        value = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", value).strip()
    return str(value)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _keys(user: User) -> GufoUser:
    auth = _AUTH[user.auth](_reveal(user.auth_secret)) if user.auth else None
    priv = _PRIV[user.priv](_reveal(user.priv_secret)) if user.priv else None
    return GufoUser(user.name, auth_key=auth, priv_key=priv)


def _reveal(secret: Secret | None) -> bytes:
    assert secret is not None, "User checks that a protocol has its pass phrase"
    return secret.reveal().encode()


def _resolve(target: Target) -> str:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise DeviceUnreachable(
            f"The name {target.host} has no address.",
            place=target.address,
            remedy="Check the name, or use the IP address.",
        ) from error
    host = found[0][4][0]
    return f"[{host}]:{target.port}" if ":" in str(host) else f"{host}:{target.port}"
