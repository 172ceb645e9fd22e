"""The released versions of the contract: the files as centres got them, and until when each is served.

A version is a folder of `released` and a line of `versions.yaml`. Its number stands in the path of REST
(`/v1`), in the namespace of SOAP (`urn:rakeeza:licensing:1`) and in the header of every answer.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from functools import cache
from pathlib import Path

from pydantic import PositiveInt, model_validator

from foundation.definitions import Strict, load_yaml
from foundation.errors import DefinitionError, NotFound
from integrations.contracts import LICENSING, wsdl, xsd
from integrations.contracts.compatibility import RELEASED

HEADER = "Interface-Version"
"""Header of every answer of the interface: the number of the version that it is of."""

PLACE = "/interface"
"""Where the versions are listed; `/interface/1/licensing.wsdl` is a file of one."""

FILES: Mapping[str, str] = {
    LICENSING.name: "application/yaml",
    wsdl.LICENSING_WSDL.name: "text/xml",
    xsd.LICENSING_XSD.name: "text/xml",
}
"""The files of a version, with their media types."""

KEPT_YEARS = 3
"""Years that a version is served at least from the day on which its end is told."""

_VERSIONS = Path(__file__).with_name("versions.yaml")


class Version(Strict):
    """What becomes of a version.

    Args:
        deprecated: day since which it is known that it will end; None of one that nobody means to end.
        sunset: day on which it may be gone.
    """

    deprecated: date | None = None
    sunset: date | None = None

    @model_validator(mode="after")
    def _kept_long_enough(self) -> "Version":
        if (self.deprecated is None) != (self.sunset is None):
            raise ValueError("a version that will end says both: since when that is known, and when")
        if self.deprecated is not None and self.sunset is not None:
            told = self.deprecated
            if (told.year + KEPT_YEARS, told.month, told.day) > (
                self.sunset.year,
                self.sunset.month,
                self.sunset.day,
            ):
                raise ValueError(f"a version is kept for {KEPT_YEARS} years from the day its end is told")
        return self


class _Versions(Strict):
    versions: dict[PositiveInt, Version]


@cache
def versions() -> Mapping[int, Version]:
    """Every released version by its number, the oldest first."""
    return read_versions(_VERSIONS, RELEASED)


def read_versions(file: Path, released: Path) -> dict[int, Version]:
    """What a file says of the versions of a folder.

    Raises:
        DefinitionError: it is wrong, or does not name just the versions that were released, or the newest
            one will end.
    """
    found = load_yaml(file, _Versions).versions
    folders = {int(each.name) for each in released.iterdir() if each.is_dir()}
    if set(found) != folders:
        raise DefinitionError(
            f"The versions {sorted(found)} are named, and {sorted(folders)} were released.",
            place=str(file),
            remedy="Name each released version once.",
        )
    if found[max(found)].sunset is not None:
        raise DefinitionError(
            f"The version {max(found)} will end, and there is none after it.",
            place=str(file),
            remedy="Release the next one first: script/contracts release N",
        )
    return dict(sorted(found.items()))


def file_of(number: int, name: str) -> Path:
    """A file of a version, as it was released.

    Raises:
        NotFound: there is no such version or file.
    """
    if number not in versions() or name not in FILES:
        raise NotFound(
            f"The interface has no file {name} of a version {number}.",
            remedy=f"GET {PLACE} lists them.",
            message_ar="لا يوجد ملف بهذا الاسم لهذا الإصدار من الواجهة.",
        )
    return RELEASED / str(number) / name


def headers(number: int, listed: Mapping[int, Version] | None = None) -> dict[str, str]:
    """What every answer of a version says of it, by lower-case name.

    Args:
        number: of the version.
        listed: all versions; those that were released, without it.

    Source: RFC 9745, sections 2 and 3 (Deprecation); RFC 8594, sections 3 and 6 (Sunset); RFC 5829, section
    3.2 (successor-version).
    """
    known = versions() if listed is None else listed
    said = {HEADER.lower(): str(number)}
    version = known[number]
    if version.deprecated is not None and version.sunset is not None:
        newest = max(known)
        said["deprecation"] = f"@{int(_midnight(version.deprecated).timestamp())}"
        said["sunset"] = format_datetime(_midnight(version.sunset), usegmt=True)
        said["link"] = (
            f'<{PLACE}>; rel="deprecation sunset", '
            f'<{PLACE}/{newest}/{LICENSING.name}>; rel="successor-version"'
        )
    return said


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
