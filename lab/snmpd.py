"""A real net-snmp agent on loopback, with a UPS beside what it says of this machine.

It keeps its configuration, its log and its persistent data in the lab's folder, and answers one SNMPv2c
community and one SNMPv3 user.
"""

import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foundation.errors import Unavailable
from foundation.guard import Guard, Program

_PATIENCE = 60.0
# Between the choice of a port and its use another may take it; UDP has no way to keep it.
_TRIES = 5

# UPS-MIB (RFC 1628), which snmpd does not know itself: values as a UPS of 230 V gives them, and -1 for a
# temperature that has no sensor. Left out: what such a UPS does not have.
UPS: tuple[tuple[str, str, str], ...] = (
    ("1.3.6.1.2.1.33.1.1.1.0", "octet_str", "Laboratory"),
    ("1.3.6.1.2.1.33.1.1.2.0", "octet_str", "Model 3000"),
    ("1.3.6.1.2.1.33.1.1.5.0", "octet_str", "ups-1"),
    ("1.3.6.1.2.1.33.1.2.1.0", "integer", "2"),
    ("1.3.6.1.2.1.33.1.2.2.0", "integer", "0"),
    ("1.3.6.1.2.1.33.1.2.3.0", "integer", "44"),
    ("1.3.6.1.2.1.33.1.2.4.0", "integer", "97"),
    ("1.3.6.1.2.1.33.1.2.5.0", "integer", "231"),
    ("1.3.6.1.2.1.33.1.2.7.0", "integer", "-1"),
    ("1.3.6.1.2.1.33.1.3.2.0", "integer", "1"),
    ("1.3.6.1.2.1.33.1.3.3.1.2.1", "integer", "599"),
    ("1.3.6.1.2.1.33.1.3.3.1.3.1", "integer", "229"),
    ("1.3.6.1.2.1.33.1.4.1.0", "integer", "3"),
    ("1.3.6.1.2.1.33.1.4.2.0", "integer", "600"),
    ("1.3.6.1.2.1.33.1.4.3.0", "integer", "1"),
    ("1.3.6.1.2.1.33.1.4.4.1.2.1", "integer", "230"),
    ("1.3.6.1.2.1.33.1.4.4.1.3.1", "integer", "81"),
    ("1.3.6.1.2.1.33.1.4.4.1.4.1", "integer", "951"),
    ("1.3.6.1.2.1.33.1.4.4.1.5.1", "integer", "79"),
)


@dataclass(frozen=True)
class Snmpd:
    """A running agent.

    Args:
        address: host:port, UDP.
        host, port: the same, apart.
        community: its SNMPv2c community.
        user: its SNMPv3 user, with SHA and AES-128.
        auth_secret, priv_secret: the user's pass phrases.
        log: what it says.
    """

    address: str
    host: str
    port: int
    community: str = field(repr=False)
    user: str
    auth_secret: str = field(repr=False)
    priv_secret: str = field(repr=False)
    log: Path


def start(
    guard: Guard,
    folder: Path,
    *,
    name: str = "snmpd",
    location: str = "Lab",
    overrides: Sequence[tuple[str, str, str]] = UPS,
    lines: Sequence[str] = (),
) -> Snmpd:
    """Start an agent and wait until it answers.

    Args:
        guard: it ends with this.
        folder: made if missing.
        name: unique among the guard's programs.
        location: its sysLocation.
        overrides: (OID, type, value) that it answers beside its own objects.
        lines: more lines of snmpd.conf.

    Raises:
        SettingsError: snmpd is not installed.
        Unavailable: it does not start, or does not answer within a minute.
    """
    persistent = folder / "persistent"
    persistent.mkdir(parents=True, exist_ok=True)
    configuration = folder / "snmpd.conf"
    configuration.touch(mode=0o600)
    program = Program(
        name=name,
        # smux would listen on a fixed TCP port, and two agents of one machine would fight for it.
        argv=("/usr/sbin/snmpd", "-f", "-Lo", "-C", "-c", str(configuration), "-I", "-smux"),
        log=folder / "snmpd.log",
        # Without MIBS="" it complains of each MIB file that Debian may not ship.
        environment={"MIBS": "", "SNMP_PERSISTENT_DIR": str(persistent)},
    )
    for _ in range(_TRIES):
        agent = _agent(_free_udp_port(), program.log)
        configuration.write_text(_configuration(agent, location, overrides, lines), encoding="utf-8")
        guard.start(program)
        if _answers(guard, name, agent):
            return agent
    tail = program.log.read_text(encoding="utf-8", errors="replace")[-500:].strip()
    raise Unavailable(f"snmpd does not start. Its log ends: {tail}", place=str(program.log))


def _agent(port: int, log: Path) -> Snmpd:
    return Snmpd(
        address=f"127.0.0.1:{port}",
        host="127.0.0.1",
        port=port,
        # Its own: another agent that took the port meanwhile must not answer in its place.
        community=f"lab-{secrets.token_hex(4)}",
        user="lab-viewer",
        auth_secret="lab-auth-phrase",
        priv_secret="lab-priv-phrase",
        log=log,
    )


def _configuration(
    agent: Snmpd, location: str, overrides: Sequence[tuple[str, str, str]], lines: Sequence[str]
) -> str:
    own = [
        f"agentaddress udp:{agent.address}",
        f"rocommunity {agent.community} 127.0.0.1",
        f'createUser {agent.user} SHA "{agent.auth_secret}" AES "{agent.priv_secret}"',
        f"rouser {agent.user} priv",
        f"sysLocation {location}",
        "sysContact lab@example.org",
        "dontLogTCPWrappersConnects yes",
    ]
    own += [f'override {oid} {kind} "{value}"' for oid, kind, value in overrides]
    return "\n".join([*own, *lines]) + "\n"


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(guard: Guard, name: str, agent: Snmpd) -> bool:
    """Wait for its first answer; False if it has ended."""
    # GET sysUpTime.0 by hand: the lab does not use the collector's own SNMP.
    community = agent.community.encode()
    varbind = bytes.fromhex("300c06082b060102010103000500")
    pdu = bytes.fromhex("020101020100020100") + bytes([0x30, len(varbind)]) + varbind
    body = b"\x02\x01\x01\x04" + bytes([len(community)]) + community + bytes([0xA0, len(pdu)]) + pdu
    request = bytes([0x30, len(body)]) + body
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if _asked(agent, request):
            return True
        if name in guard.poll():
            return False
        time.sleep(0.05)
    raise Unavailable(
        f"snmpd does not answer on {agent.address} within {_PATIENCE:.0f} s.", place=str(agent.log)
    )


def _asked(agent: Snmpd, request: bytes) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(0.2)
        asker.connect((agent.host, agent.port))
        try:
            asker.send(request)
            return bool(asker.recv(4096))
        except OSError:
            return False
