"""What `rakeeza doctor` looks at: one function a check, each with its remedy.

A check says what it found, or raises an error whose sentence and remedy become its line. Nothing is made or
repaired: a doctor that changes what it looks at hides what was wrong.
"""

import contextlib
import ctypes
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from foundation.errors import DefinitionError, RakeezaError, SettingsError, Unavailable
from foundation.settings import Settings, load

_INSTALL = "Install what script/packages.txt lists: script/bootstrap"
_GIGABYTE = 1_000_000_000
_ANSWER_WITHIN = 20.0
# adjtimex(2): the kernel's own word on whether its clock is disciplined.
_STA_UNSYNC = 0x0040


class State(StrEnum):
    """Of one check."""

    GOOD = "good"
    ADVICE = "advice"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Args:
        check: its name.
        state: WRONG makes the exit code 1.
        detail: what was found, in one sentence.
        remedy: what to do; empty if nothing is.
    """

    check: str
    state: State
    detail: str
    remedy: str = ""


class _Advice(Exception):
    # Not as it should be, and the platform works all the same.
    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def examine(settings_file: Path | None) -> Iterator[Finding]:
    """Every check, in order of dependence.

    Args:
        settings_file: as `--settings` names it.
    """
    settings: Settings | None = None

    def read() -> str:
        nonlocal settings
        settings = load(settings_file)
        return f"read; the platform's folder is {settings.platform.folder}"

    yield _run("settings", read)
    if settings is None:
        # What comes next would be judged by defaults that nobody asked for.
        yield Finding("the rest", State.WRONG, "is looked at once the settings can be read.", "")
        return
    given = settings
    checks: dict[str, Callable[[], str]] = {
        "folder": lambda: _folder(given),
        "secrets": lambda: _secrets(given),
        "signing keys": lambda: _signing_keys(given),
        "database": lambda: _database(given),
        "clock": _clock,
        "time source": _time_source,
        "services": lambda: _services(given),
        "back-ends": lambda: _backends(given),
        "device models": lambda: _device_models(given),
        "playbooks": lambda: _playbooks(given),
        "fonts": lambda: _fonts(given),
        "receipts": _receipts,
        "ssh": lambda: _program("ssh", "-V"),
        "ansible-playbook": _ansible,
        "prometheus": lambda: _prometheus(given),
        "promtool": lambda: _program("promtool", "--version"),
        "chromium": _chromium,
    }
    # Most of the time goes into programs that say their version: let them do so side by side.
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda item: _run(*item), checks.items())


def _run(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, State.GOOD, check())
    except _Advice as advice:
        return Finding(name, State.ADVICE, advice.message, advice.remedy)
    except RakeezaError as error:
        place = f"{error.place}: " if error.place else ""
        return Finding(name, State.WRONG, f"{place}{error.message}", error.remedy)
    except Exception as error:  # noqa: BLE001 -- a damaged installation can fail in any way
        return Finding(
            name, State.WRONG, f"The check itself failed ({type(error).__name__}: {error}).", _INSTALL
        )


def _folder(settings: Settings) -> str:
    folder = settings.platform.folder
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise SettingsError(
            f"{nearest} cannot be written to.",
            place=str(folder),
            remedy="Give it to this user, or name another folder in platform.folder.",
        )
    free = shutil.disk_usage(nearest).free
    if free < _GIGABYTE:
        raise SettingsError(
            f"Only {free / 1e6:.0f} MB are free.", place=str(folder), remedy="Free a gigabyte or more."
        )
    state = "will be made at first use" if nearest != folder else "can be written to"
    return f"{folder} {state}; {free / 1e9:.0f} GB free"


def _secrets(settings: Settings) -> str:
    secrets = settings.secrets()
    count = len(secrets.names()) if secrets.exists() else 0
    return f"opens with its key; {count} kept" if count else "none kept yet"


def _signing_keys(settings: Settings) -> str:
    from console.key_checks import look_at_keys

    found, remedy = look_at_keys(settings)
    if remedy:
        raise _Advice(found, remedy=remedy)
    return found


def _database(settings: Settings) -> str:
    from sqlalchemy import text

    from foundation.database import open_database, pending

    if not settings.has_database():
        return "the private PostgreSQL will be made at first use"
    with open_database(settings, role="doctor") as database:
        with database.transaction() as session:
            version, drift = session.execute(
                text(
                    "SELECT current_setting('server_version_num')::int, "
                    "extract(epoch FROM clock_timestamp())::float8"
                )
            ).one()
            drift = abs(drift - time.time())
        if version < 150000:
            raise SettingsError(
                f"PostgreSQL {version // 10000} is too old.",
                place=database.place,
                remedy="Name a PostgreSQL >= 15 in database.url.",
            )
        if drift > 2:
            raise SettingsError(
                f"Its clock and ours are {drift:.0f} s apart.",
                place=database.place,
                remedy="Let both machines take the time from one source.",
            )
        missing = pending(database)
        if missing:
            raise SettingsError(
                f"PostgreSQL answers, and lacks {len(missing)} steps: {', '.join(missing)}.",
                place=database.place,
                remedy="They are made by the next command that writes, such as: rakeeza serve",
            )
    kind = "private" if settings.database.url is None else "given by database.url"
    return f"PostgreSQL {version // 10000} ({kind}) answers; its tables are up to date"


def _clock() -> str:
    now, newest = datetime.now(UTC), _newest_file()
    if now < newest:
        raise SettingsError(
            f"It says {now:%Y-%m-%d %H:%M} UTC, before this program was installed ({newest:%Y-%m-%d}).",
            remedy="Set it; tokens and dates of licences hang on it.",
        )
    if now.year > newest.year + 20:
        raise SettingsError(f"It says the year {now.year}.", remedy="Set it.")
    # A clock that is being stepped runs apart from the one that only counts.
    wall, steady = time.time(), time.monotonic()
    time.sleep(0.1)
    apart = abs((time.time() - wall) - (time.monotonic() - steady))
    if apart > 0.05:
        raise SettingsError(
            f"It jumped by {apart:.2f} s while it was watched.", remedy="Let only one program set it."
        )
    return f"{now:%Y-%m-%d %H:%M} UTC, local time zone {time.strftime('%Z (%z)')}"


def _newest_file() -> datetime:
    own = (file.stat().st_mtime for file in Path(__file__).parent.rglob("*.py"))
    return datetime.fromtimestamp(max(own), UTC)


class _Timex(ctypes.Structure):
    # struct timex of adjtimex(2) as far as `status`; the rest is room for the kernel to write into.
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def _time_source() -> str:
    timex = _Timex()
    with contextlib.suppress(OSError, AttributeError):
        if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) >= 0:
            if not timex.status & _STA_UNSYNC:
                return f"the clock is kept by a time source, to {timex.maxerror / 1e6:.3f} s or better"
            raise _Advice(
                "Nothing keeps the clock of this machine at the right time.",
                remedy="Run chrony with the municipality's time server.",
            )
    raise _Advice("The kernel does not say whether the clock is kept.", remedy="Check it by hand.")


def _backends(settings: Settings) -> str:
    from foundation.database import open_database, pending
    from integrations.resilience.look_ups import standings

    if not settings.backends or not settings.has_database():
        return f"{len(settings.backends)} named; none was asked yet"
    with open_database(settings, role="doctor") as database:
        if pending(database):
            return f"{len(settings.backends)} named; none was asked yet"
        with database.transaction() as session:
            found = standings(session, list(settings.backends))
    silent = [each for each in found if each.unanswered_since is not None]
    if silent:
        named = (
            f"{each.backend} since {each.unanswered_since:%Y-%m-%d %H:%M} ({each.reason})" for each in silent
        )
        raise Unavailable(
            f"{len(silent)} of {len(found)} answer nobody: {', '.join(named)}.",
            remedy="Ask who runs it. The cases wait, and go on by themselves; see rakeeza backend list",
        )
    parked = sum(each.parked for each in found)
    if parked:
        raise _Advice(
            f"{parked} calls are parked.", remedy="See why, and mend what is wrong: rakeeza case parked"
        )
    return f"{len(found)} named; all that were asked answer"


def _services(settings: Settings) -> str:
    from integrations.service import load_services

    names = load_services(settings.licences.folders).names()
    return f"{len(names)} load: {', '.join(names)}"


def _device_models(settings: Settings) -> str:
    from monitoring.catalogue import Catalogue

    names = [model.model for model in Catalogue(settings.monitoring.folders).models()]
    return f"{len(names)} load: {', '.join(names)}"


def _playbooks(settings: Settings) -> str:
    from infra.plays.definition import load_playbooks

    found = load_playbooks(settings.plays.folders)
    for item in found.values():
        if isinstance(item, DefinitionError):
            raise item
    return f"{len(found)} load: {', '.join(sorted(found))}"


def _fonts(settings: Settings) -> str:
    folder = settings.licences.fonts
    if not list(folder.glob("Amiri*.ttf")):
        raise SettingsError(
            "The Amiri fonts are not there.",
            place=str(folder),
            remedy="Install fonts-hosny-amiri, or name their folder in licences.fonts.",
        )
    return f"Amiri is in {folder}"


def _receipts() -> str:
    from PIL import features

    from kiosks import receipt

    receipt.check()
    return (
        f"Arabic is shaped by raqm {features.version('raqm')} and fribidi {features.version('fribidi')}; "
        "the fonts are there"
    )


def _prometheus(settings: Settings) -> str:
    if settings.prometheus.url is not None:
        return f"runs elsewhere: {settings.prometheus.url}"
    return _program(settings.prometheus.program, "--version")


def _ansible() -> str:
    # The one of our own environment comes first: another would lack ansible-runner's callback.
    own = Path(sys.executable).parent / "ansible-playbook"
    return _program(str(own) if own.exists() else "ansible-playbook", "--version")


def _chromium() -> str:
    for name in ("chromium", "chromium-browser"):
        if shutil.which(name):
            return _program(name, "--version")
    raise _Advice(
        "It is not installed; only kiosks' screens and the tests need it.", remedy="Install chromium."
    )


def _program(name: str, option: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"The program {name} is not installed.", remedy=_INSTALL)
    try:
        with tempfile.TemporaryDirectory() as home:
            told = subprocess.run(
                [path, option],
                env={**os.environ, "HOME": home},
                text=True,
                errors="replace",
                capture_output=True,
                check=False,
                timeout=_ANSWER_WITHIN,
                stdin=subprocess.DEVNULL,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not answer"
        raise Unavailable(f"It cannot be run ({reason}).", place=path, remedy=_INSTALL) from error
    # Some say their version on standard output, others (ssh -V) on standard error.
    lines = (told.stdout.strip() or told.stderr.strip()).splitlines() or ["it says nothing"]
    if told.returncode:
        raise Unavailable(f"It does not run: {lines[-1]}.", place=path, remedy=_INSTALL)
    return lines[0].strip()


def machine() -> str:
    """The machine in one line, for the head of a report."""
    return f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
