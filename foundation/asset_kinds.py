"""The kinds of assets: what each may say of itself, where it may stand, and what it may do to others.

A new attribute is one line in its kind's class; a new kind is one class and one row of `RULES`.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from foundation.definitions import Strict


class Kind(StrEnum):
    """What an asset is."""

    AMANAH = "amanah"
    MUNICIPALITY = "municipality"
    SITE = "site"
    ROOM = "room"
    RACK = "rack"
    HOST = "host"
    NETWORK_DEVICE = "network_device"
    UPS = "ups"
    PDU = "pdu"
    GENERATOR = "generator"
    COOLING = "cooling"
    SENSOR = "sensor"
    STATION = "station"
    CENTRE = "centre"
    KIOSK = "kiosk"


Relation = Literal["powers", "cools", "connects"]
RELATIONS: tuple[Relation, ...] = ("powers", "cools", "connects")


def _no_truth(value: Any) -> Any:
    # Pydantic takes true for 1.
    if isinstance(value, bool):
        raise ValueError("should be a whole number")
    return value


def _host_and_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("should be HOST:PORT, such as 10.0.0.5:161 or [2001:db8::5]:161")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError("an IPv6 address stands in brackets, such as [2001:db8::5]:161")
    return value


def _one_line(value: str) -> str:
    # Controls, line and paragraph separators; not the marks that turn Arabic and Latin text the right way.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise ValueError("should be one line of printable text")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=63)]
Whole = Annotated[int, BeforeValidator(_no_truth)]
Port = Annotated[Whole, Field(ge=1, le=65535)]
Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    AfterValidator(_one_line),
]
SnmpAddress = Annotated[Line, AfterValidator(_host_and_port)]
PublicKey = Annotated[Line, StringConstraints(pattern=r"^(ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/=]+( .*)?$")]


class Attributes(Strict):
    """Base of what a kind may say: whatever is not named here is refused."""

    # A serial number of digits is a number to YAML, and a text to us.
    model_config = ConfigDict(coerce_numbers_to_str=True)


class _Place(Attributes):
    """Where it is.

    Args:
        latitude: degrees north, WGS 84.
        longitude: degrees east, WGS 84.
        postal_address: as it is written on a letter.
    """

    latitude: Annotated[Decimal, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[Decimal, Field(ge=-180, le=180)] | None = None
    postal_address: Line | None = None

    @model_validator(mode="after")
    def _both(self) -> "_Place":
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude stand together")
        return self


class _Equipment(Attributes):
    """What it is: maker, product, serial number; and the rack unit it begins at, counted from below."""

    maker: Line | None = None
    product: Line | None = None
    serial_number: Line | None = None
    rack_unit: Annotated[Whole, Field(ge=1, le=60)] | None = None


class _Networked(_Equipment):
    """How it is reached, and how it is polled by SNMP. Secrets stand here by name, never by value.

    Args:
        address: IP address or host name.
        snmp_address: HOST:PORT of its agent.
        snmp_version: 2c unless it says otherwise.
        snmp_community_secret: name of the secret that holds the community.
        snmp_user: user of SNMPv3, with its protocols and the names of its secrets.
        device_model: the model to read it by, instead of identifying it.
    """

    address: Line | None = None
    snmp_address: SnmpAddress | None = None
    snmp_version: Literal["2c", "3"] | None = None
    snmp_community_secret: Line | None = None
    snmp_user: Line | None = None
    snmp_auth_protocol: Literal["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"] | None = None
    snmp_auth_secret: Line | None = None
    snmp_priv_protocol: Literal["DES", "AES", "AES-192", "AES-256"] | None = None
    snmp_priv_secret: Line | None = None
    device_model: Line | None = None

    @model_validator(mode="after")
    def _complete(self) -> "_Networked":
        if self.snmp_address is None:
            return self
        if self.snmp_version == "3" and self.snmp_user is None:
            raise ValueError("SNMP version 3 needs snmp_user")
        if self.snmp_version != "3" and self.snmp_community_secret is None:
            raise ValueError("snmp_address needs snmp_community_secret, the name of a secret")
        return self


class _Played(_Networked):
    """What Ansible needs to play on it.

    Args:
        ansible_host: address that plays connect to; without it no play runs here.
        ansible_port: of SSH, 22 unless it says otherwise.
        ansible_user: who plays.
        ansible_connection: ssh unless it says otherwise.
        ansible_network_os: of a network device.
        ansible_python_interpreter: path on the host.
        ansible_remote_tmp: folder on the host for Ansible's own files.
        ssh_key_file: path of the private key on this machine.
        host_key: the host's public key as `ssh-keyscan` prints it, without the host's name.
    """

    ansible_host: Line | None = None
    ansible_port: Port | None = None
    ansible_user: Line | None = None
    ansible_connection: Line | None = None
    ansible_network_os: Line | None = None
    ansible_python_interpreter: Line | None = None
    ansible_remote_tmp: Line | None = None
    ssh_key_file: Line | None = None
    host_key: PublicKey | None = None


class _Municipality(_Place):
    """`fee_class`: 1 (the largest cities) to 5; municipal fees and fines follow it."""

    fee_class: Annotated[Whole, Field(ge=1, le=5)]


class _Rack(_Equipment):
    """`units`: its height in rack units."""

    units: Annotated[Whole, Field(ge=1, le=60)] | None = None


class _Power(_Networked):
    """`capacity_watts`: what it can deliver."""

    capacity_watts: Annotated[Whole, Field(ge=1)] | None = None


class _Station(_Place, _Networked):
    """A GNSS reference station: receiver and antenna by their IGS names."""

    receiver: Line | None = None
    antenna: Line | None = None


class _Centre(_Place):
    """A private service centre; `client_id`: the API client it signs in as."""

    client_id: Line | None = None


class _Kiosk(_Place, _Played):
    """A self-service kiosk; `client_id`: the API client it signs in as."""

    client_id: Line | None = None


@dataclass(frozen=True)
class Rule:
    """What holds for one kind.

    Args:
        attributes: what it may say of itself.
        parents: kinds it may stand in.
        parent_needed: whether it must stand in one.
        titled: whether people read its title, so that both languages are needed; else its name is one.
        relations: what it may do to others.
    """

    attributes: type[Attributes]
    parents: frozenset[Kind]
    parent_needed: bool = False
    titled: bool = False
    relations: tuple[Relation, ...] = ()


_TOP = frozenset({Kind.AMANAH, Kind.MUNICIPALITY})
# Where equipment stands; in a municipality itself as long as nobody has drawn its sites.
_BUILT = _TOP | {Kind.SITE, Kind.ROOM, Kind.RACK, Kind.STATION, Kind.CENTRE, Kind.KIOSK}

RULES: Mapping[Kind, Rule] = {
    Kind.AMANAH: Rule(_Place, frozenset(), titled=True),
    Kind.MUNICIPALITY: Rule(_Municipality, _TOP, titled=True),
    Kind.SITE: Rule(_Place, _TOP, titled=True),
    Kind.ROOM: Rule(Attributes, frozenset({Kind.SITE}), parent_needed=True),
    Kind.RACK: Rule(_Rack, frozenset({Kind.SITE, Kind.ROOM}), parent_needed=True),
    Kind.HOST: Rule(_Played, _BUILT | {Kind.HOST}),
    Kind.NETWORK_DEVICE: Rule(_Played, _BUILT, relations=("connects",)),
    Kind.UPS: Rule(_Power, _BUILT, relations=("powers",)),
    Kind.PDU: Rule(_Power, _BUILT, relations=("powers",)),
    Kind.GENERATOR: Rule(_Power, _BUILT, relations=("powers",)),
    Kind.COOLING: Rule(_Networked, _BUILT, relations=("cools",)),
    Kind.SENSOR: Rule(_Networked, _BUILT),
    Kind.STATION: Rule(_Station, _TOP | {Kind.SITE}, titled=True),
    Kind.CENTRE: Rule(_Centre, _TOP, parent_needed=True, titled=True),
    Kind.KIOSK: Rule(_Kiosk, _TOP | {Kind.SITE, Kind.CENTRE}, parent_needed=True, titled=True),
}
