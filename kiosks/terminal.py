"""terminal.toml: what one terminal is made of, read strictly, and its devices built from their drivers.

::

    [terminal]
    name = "kiosk-1"
    municipality = { ar = "أمانة نموذجية", en = "Sample Municipality" }

    [screen]
    port = 8090

    [headquarters]
    url = "https://api.example.sa"
    client_id = "kiosk-1"
    secret_file = "kiosk-1.secret"

    [[device]]
    class = "BarcodeReader"
    driver = "barcode_scanner"
    url = "/dev/ttyUSB0"

    [[device]]
    class = "Printer"
    driver = "escpos_printer"
    url = "socket://192.0.2.20:9100"
    options = { width = 576 }
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, ValidationError, model_validator

from foundation.definitions import Bilingual, Strict
from foundation.errors import DefinitionError, FieldError, SettingsError
from foundation.registry import driver_modules
from foundation.secret import Secret
from kiosks.device_classes import BarcodeReader, Device, DeviceSettings, Printer

DRIVER_PACKAGE = "kiosks.drivers"
DRIVER_GROUP = "rakeeza.kiosk_drivers"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
_REMEDY = "Correct terminal.toml; docs of each key stand in kiosks/terminal.py."


class TerminalSection(Strict):
    """Who this terminal is.

    Args:
        name: its name, as the logs show it.
        municipality: whose terminal it is; stands at the top of the screen and of the receipts.
        language: language of a new visit.
        print_at_once: print as soon as a licence is shown, without a press of the button.
        visit_timeout: seconds without a touch after which a visit ends and everything of it is wiped.
        driver_folders: more folders with drivers; relative ones start at terminal.toml.
        state_folder: for the public keys and status lists that outlast a power cut; a relative one starts
            at terminal.toml.
    """

    name: Name = "kiosk"
    municipality: Bilingual = Bilingual(ar="أمانة نموذجية", en="Sample Municipality")
    language: Literal["ar", "en"] = "ar"
    print_at_once: bool = False
    visit_timeout: float = Field(60.0, ge=1, le=600)
    driver_folders: tuple[Path, ...] = ()
    state_folder: Path = Path("state")


class ScreenSection(Strict):
    """The screen's server; the terminal's own browser is its only client.

    Args:
        port: TCP port on loopback; 0 takes a free one.
    """

    port: int = Field(8090, ge=0, le=65535)


class HeadquartersSection(Strict):
    """The REST API that this terminal is a client of.

    Args:
        url: base URL.
        client_id: its API client, with the role kiosk.
        secret_file: file that holds the client's secret; a relative one starts at terminal.toml.
        secret_env: environment variable that holds it, instead of a file.
        timeout: seconds one request may take.
    """

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+")]
    client_id: str = Field(min_length=1)
    secret_file: Path | None = None
    secret_env: str | None = None
    timeout: float = Field(10.0, gt=0, le=120)

    @model_validator(mode="before")
    @classmethod
    def _no_inline_secret(cls, values: Any) -> Any:
        # terminal.toml is copied, mailed and kept in version control; a secret in it is none.
        if isinstance(values, dict) and "secret" in values:
            raise ValueError("a secret never stands in this file; name secret_file or secret_env")
        return values

    @model_validator(mode="after")
    def _one_source(self) -> "HeadquartersSection":
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("name one of secret_file and secret_env")
        return self


class DeviceSection(Strict):
    """One device.

    Args:
        device_class: `class` in the file: BarcodeReader or Printer.
        driver: name of the driver.
        url: address of its line.
        name: unique name; without it the driver's.
        options: what only the driver understands; it checks them itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    device_class: Literal["BarcodeReader", "Printer"] = Field(alias="class")
    driver: str
    url: str = Field(min_length=1)
    name: Name | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class TerminalFile(Strict):
    """All of terminal.toml."""

    terminal: TerminalSection = TerminalSection()
    screen: ScreenSection = ScreenSection()
    headquarters: HeadquartersSection
    device: tuple[DeviceSection, ...] = ()


@dataclass(frozen=True)
class InstalledDevice:
    """A device as built.

    Args:
        device_class: its class in XFS4IoT's name.
        driver: name of its driver.
        url: address of its line.
        device: the object.
    """

    device_class: str
    driver: str
    url: str
    device: Device


@dataclass(frozen=True)
class Terminal:
    """One terminal, ready to run. Nothing is open yet.

    Args:
        file: the settings.
        secret: of the API client.
        devices: all devices, in the order of the file.
    """

    file: TerminalFile
    secret: Secret
    devices: tuple[InstalledDevice, ...]

    @property
    def readers(self) -> list[BarcodeReader]:
        """The bar code readers."""
        return [one.device for one in self.devices if isinstance(one.device, BarcodeReader)]

    @property
    def printer(self) -> Printer | None:
        """The receipt printer, if there is one."""
        return next((one.device for one in self.devices if isinstance(one.device, Printer)), None)


def load_terminal(path: Path, environment: Mapping[str, str] | None = None) -> Terminal:
    """The terminal that a file describes.

    Args:
        path: terminal.toml.
        environment: where `secret_env` is looked up; this process's own by default.

    Raises:
        DefinitionError: the file, a driver or a driver's option is wrong; the error names file, line and key.
        SettingsError: the secret cannot be read.
    """
    variables = os.environ if environment is None else environment
    text, file = _read(path)
    devices = _build_devices(path, text, file)
    return Terminal(file, _secret(file.headquarters, path, variables), devices)


def load_devices(path: Path) -> tuple[InstalledDevice, ...]:
    """Only the devices of a terminal; needs no secret. Raises as `load_terminal` does."""
    text, file = _read(path)
    return _build_devices(path, text, file)


def _read(path: Path) -> tuple[str, TerminalFile]:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise DefinitionError(
            f"The terminal's file cannot be read ({error.strerror}).",
            place=str(path),
            remedy="Name another file.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"The terminal's file is not TOML: {error}.", place=str(path), remedy=_REMEDY
        ) from error
    try:
        return text, TerminalFile.model_validate(data)
    except ValidationError as error:
        raise _wrong(error, path, text, ()) from error


def _build_devices(path: Path, text: str, file: TerminalFile) -> tuple[InstalledDevice, ...]:
    folders = [path.parent / folder for folder in file.terminal.driver_folders]
    drivers = driver_modules(DRIVER_PACKAGE, folders, DRIVER_GROUP)
    built: list[InstalledDevice] = []
    for number, section in enumerate(file.device):
        where = f"{path}:{_line(text, ('device', number, 'driver'))}"
        if section.driver not in drivers:
            raise DefinitionError(
                f"There is no driver {section.driver!r}.",
                place=where,
                remedy=f"Known: {', '.join(sorted(drivers))}.",
            )
        name = section.name or section.driver
        if any(name == one.device.name for one in built):
            raise DefinitionError(
                f"Two devices are named {name!r}.", place=where, remedy="Give one of them another name."
            )
        settings = DeviceSettings(name, section.url, section.options)
        try:
            built_object: object = drivers[section.driver].build(settings)
        except ValidationError as error:
            raise _wrong(error, path, text, ("device", number, "options")) from error
        device = _of_class(built_object, section.device_class)
        if device is None:
            raise DefinitionError(
                f"The driver {section.driver!r} is not for a {section.device_class}.",
                place=where,
                remedy="Name another driver, or the device's right class.",
            )
        built.append(InstalledDevice(section.device_class, section.driver, section.url, device))
    if sum(one.device_class == "Printer" for one in built) > 1:
        raise DefinitionError(
            "A terminal has one receipt printer.", place=str(path), remedy="Take out the others."
        )
    return tuple(built)


def _of_class(device: object, device_class: str) -> BarcodeReader | Printer | None:
    if device_class == "BarcodeReader":
        return device if isinstance(device, BarcodeReader) else None
    return device if isinstance(device, Printer) else None


def _secret(section: HeadquartersSection, path: Path, variables: Mapping[str, str]) -> Secret:
    if section.secret_env is not None:
        if not variables.get(section.secret_env):
            raise SettingsError(
                f"The environment variable {section.secret_env} is not set.",
                place=str(path),
                remedy="Set it to the secret of the API client.",
            )
        return Secret(variables[section.secret_env])
    assert section.secret_file is not None
    file = path.parent / section.secret_file
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(
            f"The secret of the API client cannot be read ({reason}).",
            place=str(file),
            remedy="Write it there, readable by the terminal's user only.",
        ) from error
    if not value:
        raise SettingsError(
            "The file of the secret is empty.", place=str(file), remedy="Write the secret into it."
        )
    return Secret(value)


def _wrong(error: ValidationError, path: Path, text: str, before: tuple[str | int, ...]) -> DefinitionError:
    fields = []
    for item in error.errors():
        location = (*before, *item["loc"])
        unknown = item["type"] == "extra_forbidden"
        detail = "unknown key" if unknown else item["msg"].removeprefix("Value error, ")
        pointer = "".join(f"/{step}" for step in location)
        fields.append(FieldError(pointer, detail, _line(text, location)))
    first = fields[0]
    return DefinitionError(
        f"{first.pointer}: {first.detail}.",
        place=f"{path}:{first.line}",
        remedy=_REMEDY,
        fields=tuple(fields),
    )


def _line(text: str, location: tuple[str | int, ...]) -> int:
    # tomllib keeps no positions. The n-th [[device]] or the [section] is found first, then the deepest key
    # of the path that stands at the start of a line below it.
    rows = text.splitlines()
    section = location[0] if location else ""
    number = location[1] if len(location) > 1 and isinstance(location[1], int) else 0
    heads = (f"[{section}]", f"[[{section}]]")
    found = [at for at, row in enumerate(rows) if row.split("#")[0].strip() in heads]
    if len(found) <= number:
        return 1
    line = found[number]
    for at in range(line + 1, len(rows)):
        row = rows[at].strip()
        if row.startswith("[") and not row.startswith(f"[{section}."):
            break
        if any(row.split("=")[0].strip() == str(step) for step in location[1:]):
            line = at
    return line + 1
