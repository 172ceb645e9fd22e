"""What the kiosk's tests share: running simulated devices and a licence."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.guard import Guard
from kiosks.licence import Licence
from lab import kiosk_devices
from lab.kiosk_devices import KioskDevices

ANSWERS = Path(__file__).with_name("answers")


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[KioskDevices]:
    with Guard() as guard:
        yield kiosk_devices.start(guard, tmp_path / "devices")


@pytest.fixture
def licence() -> Licence:
    return Licence.model_validate_json((ANSWERS / "licence.json").read_text(encoding="utf-8"))
