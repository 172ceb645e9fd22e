"""What the kiosk's tests share: running simulated devices and a licence."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from foundation.guard import Guard, Program, free_port, wait_for_port
from kiosks.licence import Licence
from lab import kiosk_devices
from lab.kiosk_devices import KioskDevices
from tests.kiosks.recorded_headquarters import CLIENT_ID, SECRET
from tests.kiosks.running_kiosk import RAKEEZA, ROOT, Kiosk
from tests.kiosks.running_kiosk import start as start_kiosk
from tests.processes import PATIENCE

ANSWERS = Path(__file__).with_name("answers")


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[KioskDevices]:
    with Guard() as guard:
        yield kiosk_devices.start(guard, tmp_path / "devices")


@pytest.fixture
def licence() -> Licence:
    return Licence.model_validate_json((ANSWERS / "licence.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Town:
    """A terminal and the recorded headquarters it speaks to."""

    guard: Guard
    folder: Path
    kiosk: Kiosk
    headquarters: str

    def restart_agent(self, log: Path, while_down: Callable[[], object]) -> None:
        """Stop the agent, do something, and start it again with another log."""
        self.guard.stop(self.kiosk.name)
        while_down()
        argv = (*RAKEEZA, "kiosk", "run", str(self.kiosk.file))
        self.guard.start(Program(name="agent-again", argv=argv, log=log, folder=ROOT))

    def start_headquarters(self) -> None:
        """Start headquarters again where it was."""
        start_headquarters(self.guard, self.folder, int(self.headquarters.rpartition(":")[2]), "again")

    def mood(self, **changes: Any) -> dict[str, Any]:
        """Change how headquarters behaves."""
        answer = httpx.post(f"{self.headquarters}/mood", json=changes, timeout=PATIENCE)
        state: dict[str, Any] = answer.raise_for_status().json()
        return state


def start_headquarters(guard: Guard, folder: Path, port: int, name: str = "headquarters") -> str:
    """Start the recorded headquarters; its URL."""
    module = "tests.kiosks.recorded_headquarters"
    argv = (sys.executable, "-m", module, "--port", str(port), "--answers", str(ANSWERS))
    guard.start(Program(name=name, argv=argv, log=folder / f"{name}.log", folder=ROOT))
    wait_for_port("127.0.0.1", port, PATIENCE, "the recorded headquarters")
    return f"http://127.0.0.1:{port}"


@contextmanager
def running_town(folder: Path, **options: str | bool | float) -> Iterator[Town]:
    """Start headquarters, devices and agent; all end here."""
    folder.mkdir(parents=True, exist_ok=True)
    with Guard() as guard:
        api = start_headquarters(guard, folder, free_port())
        kiosk = start_kiosk(guard, folder, api=api, client_id=CLIENT_ID, secret=SECRET, options=options)
        kiosk.wait_for("reader")
        yield Town(guard, folder, kiosk, api)


@pytest.fixture
def town(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Town]:
    """A running terminal; `@pytest.mark.parametrize("town", [{…}], indirect=True)` gives it options."""
    with running_town(tmp_path / "town", **getattr(request, "param", {})) as running:
        yield running
