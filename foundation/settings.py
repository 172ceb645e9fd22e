"""Every option of the platform: one file `rakeeza.toml`, and the environment over it.

An option has one place here with its type, unit, default and reason. `RAKEEZA_<SECTION>_<OPTION>` overrides
the file. An unknown section, option or variable is refused: a misspelt option must not be silently absent.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo

from foundation.errors import FieldError, SettingsError
from foundation.secret import Secret, SecretFile
from foundation.settings_backend import Backend as Backend
from foundation.settings_infra import Changes as Changes
from foundation.settings_infra import Mail as Mail
from foundation.settings_infra import Plays as Plays
from foundation.settings_section import Port as Port
from foundation.settings_section import Section as Section

FILE_NAME = "rakeeza.toml"
PREFIX = "RAKEEZA_"


def _secret(value: Any) -> Any:
    return Secret(value) if isinstance(value, str) else value


SecretText = Annotated[Secret, BeforeValidator(_secret)]


def _default_folder() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/rakeeza")
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "rakeeza"


class Platform(Section):
    """Who we are and where we keep our files."""

    folder: Path = Field(
        default_factory=_default_folder,
        description="Folder of database, secrets, documents and logs.",
    )
    municipality: str = Field("sample", description="Code of the municipality that issues.")
    name_ar: str = Field("أمانة نموذجية", description="Name of the municipality in Arabic.")
    name_en: str = Field("Sample Municipality", description="Name of the municipality in English.")
    fee_class: int = Field(1, ge=1, le=5, description="Class of the municipality in the fee tables, 1 to 5.")


class Database(Section):
    """PostgreSQL: the private one, or any other by URL."""

    url: SecretText | None = Field(
        None, description="postgresql:// URL of a PostgreSQL >= 15; without it a private one is run."
    )
    pool: int = Field(10, ge=1, le=200, description="Connections kept open by each process.")
    max_connections: int = Field(100, ge=20, description="max_connections of the private PostgreSQL.")


class Http(Section):
    """The API's face."""

    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: Port = Field(8080, description="Port the API listens on; 0 takes a free one.")
    processes: int = Field(
        0, ge=0, le=64, description="Processes that serve the API on one port; 0 is one a core, at most 4."
    )
    metrics_port: Port | None = Field(
        None, description="Port for /metrics of one process among several; `rakeeza serve` sets it."
    )
    public_url: str | None = Field(
        None, description="URL under which others reach the API; stands in documents and QR codes."
    )
    max_body: int = Field(1_000_000, ge=1_000, description="Largest request body, in bytes.")
    max_file: int = Field(50_000_000, ge=1_000, description="Largest document that is put, in bytes.")
    centre_share: float = Field(
        0.1,
        gt=0,
        le=1,
        description="Part of a process's CPU that one centre has while others work; 1 holds nobody back.",
    )


class Tls(Section):
    """The API's face over TLS, where clients may show certificates."""

    host: str = Field("127.0.0.1", description="Address the API listens on over TLS.")
    port: Port | None = Field(
        None, description="Port the API listens on over TLS; 0 takes a free one, without it there is none."
    )
    certificate: Path | None = Field(
        None,
        description="PEM file with the API's certificate and those above it; by default our authority's own.",
    )
    key: Path | None = Field(
        None, description="PEM file with its key; without it the key is in the certificate's file."
    )
    names: tuple[str, ...] = Field(
        ("localhost", "127.0.0.1"),
        min_length=1,
        description="Names and addresses that our authority's certificate of the API is for.",
    )


class Identity(Section):
    """Tokens."""

    token_lifetime: int = Field(600, ge=1, le=86_400, description="Life of an access token, in seconds.")


class Collector(Section):
    """Monitoring's face and its polling."""

    host: str = Field("127.0.0.1", description="Address the collector listens on.")
    port: Port = Field(9116, description="Port the collector listens on; 0 takes a free one.")
    timeout: float = Field(2.0, gt=0, le=60, description="Seconds to wait for one SNMP answer.")
    retries: int = Field(1, ge=0, le=10, description="Times an unanswered SNMP request is sent again.")


class Prometheus(Section):
    """History: the private Prometheus, or another by URL."""

    url: str | None = Field(None, description="URL of a Prometheus; without it a private one is run.")
    program: str = Field("prometheus", description="Program of the private Prometheus.")
    host: str = Field("127.0.0.1", description="Address the private Prometheus listens on.")
    port: Port = Field(9090, description="Port the private Prometheus listens on; 0 takes a free one.")
    scrape_interval: float = Field(15.0, ge=0.5, description="Seconds between two readings of a device.")
    retention: int = Field(90, ge=1, description="Days of history kept.")


class Licences(Section):
    """Municipal services and their licences."""

    folders: tuple[Path, ...] = Field(
        (), description="More folders with service definitions, searched after the product's own."
    )
    fonts: Path = Field(
        Path("/usr/share/fonts/opentype/fonts-hosny-amiri"), description="Folder with the Amiri fonts."
    )
    status_days: int = Field(
        7, ge=1, le=90, description="Days after which a published list of suspended licences is too old."
    )
    status_ttl_hours: int = Field(
        12,
        ge=1,
        le=24,
        description="Hours for which verifiers keep that list; it is renewed at half of it.",
    )
    timestamp_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+$",
        description="Time-stamp server (RFC 3161) by which papers are stamped; else they bear our own time.",
    )
    key_store: Literal["file", "pkcs11"] = Field(
        "file", description="Where new signing keys are made: file (the secrets file) or pkcs11 (a token)."
    )


class Pkcs11(Section):
    """A hardware token for signing keys, reached by the module its maker ships."""

    module: Path | None = Field(None, description="Shared library (PKCS#11 module) of the token.")
    token: str | None = Field(None, description="Name (label) of the token.")
    pin_secret: str = Field("pkcs11-pin", description="Name of the secret that is the PIN of its user.")


class Webhooks(Section):
    """What is sent to those who subscribed."""

    allow_private: bool = Field(
        False,
        description="Whether http and addresses of private networks may be sent to; for tests and labs.",
    )
    timeout: float = Field(15.0, gt=0, le=60, description="Seconds that a receiver has to answer.")
    attempts: int = Field(
        12, ge=1, le=30, description="Failures in a row after which a subscription is paused."
    )


class Monitoring(Section):
    """Device models."""

    folders: tuple[Path, ...] = Field(
        (), description="More folders with device models, searched after the product's own."
    )


class Log(Section):
    """What the platform says of itself."""

    level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least level written.")


class Settings(Section):
    """All sections."""

    platform: Platform = Platform()
    database: Database = Database()
    http: Http = Http()
    tls: Tls = Tls()
    identity: Identity = Identity()
    collector: Collector = Collector()
    prometheus: Prometheus = Prometheus()
    plays: Plays = Plays()
    changes: Changes = Changes()
    mail: Mail = Mail()
    licences: Licences = Licences()
    pkcs11: Pkcs11 = Pkcs11()
    backends: dict[str, Backend] = Field(default_factory=dict)
    webhooks: Webhooks = Webhooks()
    monitoring: Monitoring = Monitoring()
    log: Log = Log()

    def secrets(self) -> SecretFile:
        """The file of secrets in the platform's folder."""
        folder = self.platform.folder
        return SecretFile(folder / "secrets.json", folder / "secrets.key")

    def has_database(self) -> bool:
        """Whether a database is named, or the private one was made; asking makes none."""
        return self.database.url is not None or (self.platform.folder / "postgres" / "data").exists()


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    Args:
        path: the settings file; without it RAKEEZA_SETTINGS, then ./rakeeza.toml if there is one.
        environment: variables that override the file; this process's own by default.

    Raises:
        SettingsError: a file that cannot be read, an unknown option or variable, a wrong value.
    """
    variables = os.environ if environment is None else environment
    named = path or (Path(variables[f"{PREFIX}SETTINGS"]) if f"{PREFIX}SETTINGS" in variables else None)
    file = named or Path(FILE_NAME)
    data = _read(file) if named or file.exists() else {}
    text = file.read_text(encoding="utf-8") if data else ""
    overridden = {
        _override(data, name, value): name
        for name, value in variables.items()
        if name.startswith(PREFIX) and name != f"{PREFIX}SETTINGS"
    }
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        raise _wrong(error, file, text, overridden) from error


def options() -> list[tuple[str, str, str, str]]:
    """Every option as (section.option, environment name, default, description), in the order of this file."""
    rows = []
    for section, option, inner in _plain_options():
        default = "by user" if inner.default_factory else str(inner.default)
        rows.append((f"{section}.{option}", _variable(section, option), default, inner.description or ""))
    return rows


def backend_options() -> list[tuple[str, str, str]]:
    """Every option of a section `[backends.NAME]` as (option, default, description); none by environment."""
    return [
        (option, "required" if inner.is_required() else str(inner.default), inner.description or "")
        for option, inner in Backend.model_fields.items()
    ]


def listed(values: Sequence[object]) -> str:
    """A list as an environment variable has it: paths parted by colons, anything else by commas."""
    return (os.pathsep if any(isinstance(value, Path) for value in values) else ",").join(map(str, values))


def _plain_options() -> Iterator[tuple[str, str, FieldInfo]]:
    for section, field in Settings.model_fields.items():
        # The back-ends have names that only the file knows.
        if isinstance(field.default, Section):
            for option, inner in type(field.default).model_fields.items():
                yield section, option, inner


def _variable(section: str, option: str) -> str:
    return f"{PREFIX}{section}_{option}".upper()


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"The settings file cannot be read ({error.strerror}).",
            place=str(file),
            remedy="Name another with --settings.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The settings file is not TOML: {error}.", place=str(file), remedy="Correct it."
        ) from error


def _override(data: dict[str, Any], name: str, value: str) -> tuple[str, str]:
    for section, option, inner in _plain_options():
        if name == _variable(section, option):
            kind = str(inner.annotation)
            # As `listed` has it: colons stand in URLs and in addresses.
            separator = os.pathsep if "Path" in kind else ","
            table = data.setdefault(section, {})
            # Anything but a table is the file's fault, and the validation says so.
            if isinstance(table, dict):
                table[option] = value.split(separator) if kind.startswith("tuple") else value
            return section, option
    raise SettingsError(
        f"{name} is no setting.", place="environment", remedy="List them with: rakeeza settings"
    )


def _wrong(
    error: ValidationError, file: Path, text: str, overridden: Mapping[tuple[str, str], str]
) -> SettingsError:
    fields, places = [], []
    for item in error.errors():
        steps = [str(step) for step in item["loc"]]
        # The name of a back-end is part of its section.
        depth = 2 if steps[0] == "backends" and len(steps) > 1 else 1
        section, option = ".".join(steps[:depth]), steps[depth] if len(steps) > depth else ""
        line = _line(text, section, option)
        variable = overridden.get((section, option))
        places.append(f"environment, {variable}" if variable else f"{file}:{line}" if line else str(file))
        detail = "is no setting" if item["type"] == "extra_forbidden" else _plainly(item["msg"])
        fields.append(FieldError("/" + "/".join(steps), detail, None if variable else line))
    first = fields[0]
    name = first.pointer.strip("/").replace("/", ".")
    return SettingsError(
        f"{name} {first.detail}." if first.detail == "is no setting" else f"{name}: {first.detail}.",
        place=places[0],
        remedy="List the settings with: rakeeza settings",
        fields=tuple(fields),
    )


def _plainly(message: str) -> str:
    # Pydantic names the class it wanted; the reader of a settings file does not know our classes.
    if "instance of Secret" in message:
        return "should be text"
    if "instance of" in message:
        return "should be a table of options"
    return message


def _line(text: str, section: str, option: str) -> int | None:
    # `port` stands in several sections: only the line below the right header is the right one.
    current = ""
    for number, row in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", row):
            current = header[1]
            if current == section and not option:
                return number
        elif key := re.match(r"\s*([\w.-]+)\s*=", row):
            name = f"{current}.{key[1]}" if current else key[1]
            if name in (section, f"{section}.{option}"):
                return number
    return None
