from pathlib import Path

import pytest

from foundation.errors import DefinitionError, SettingsError
from kiosks.terminal import load_devices, load_terminal

GOOD = """\
[terminal]
name = "kiosk-1"

[headquarters]
url = "http://127.0.0.1:8080"
client_id = "kiosk-1"
secret_env = "KIOSK_SECRET"

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
ENVIRONMENT = {"KIOSK_SECRET": "hunter2"}


def written(folder: Path, text: str) -> Path:
    file = folder / "terminal.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_terminal_is_built_from_its_file_and_opens_nothing(tmp_path: Path) -> None:
    terminal = load_terminal(written(tmp_path, GOOD), ENVIRONMENT)
    assert [reader.name for reader in terminal.readers] == ["barcode_scanner"]
    assert terminal.printer is not None
    assert terminal.printer.name == "escpos_printer"
    assert terminal.file.terminal.language == "ar"
    assert terminal.secret.reveal() == "hunter2"
    assert "hunter2" not in repr(terminal)


def test_the_secret_may_lie_in_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("hunter3\n")
    text = GOOD.replace('secret_env = "KIOSK_SECRET"', 'secret_file = "secret.txt"')
    assert load_terminal(written(tmp_path, text), {}).secret.reveal() == "hunter3"


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ('name = "kiosk-1"', 'naem = "kiosk-1"', 2, "unknown key"),
        ('name = "kiosk-1"', 'name = "Kiosk 1"', 2, "pattern"),
        ('name = "kiosk-1"', 'language = "fr"', 2, "'ar' or 'en'"),
        ("[terminal]", "[terminals]", 1, "unknown key"),
        ('url = "http://127.0.0.1:8080"', 'url = "127.0.0.1:8080"', 5, "pattern"),
        ('secret_env = "KIOSK_SECRET"', 'secret = "hunter2"', 4, "a secret never stands in this file"),
        ('secret_env = "KIOSK_SECRET"', "", 4, "name one of secret_file and secret_env"),
        ('class = "Printer"', 'class = "CashAcceptor"', 15, "'BarcodeReader' or 'Printer'"),
        ('class = "Printer"', 'class = "BarcodeReader"', 16, "is not for a BarcodeReader"),
        ('driver = "escpos_printer"', 'driver = "laser"', 16, "There is no driver 'laser'"),
        ("{ width = 576 }", "{ width = 577 }", 18, "multiple of 8"),
        ("{ width = 576 }", "{ widht = 576 }", 18, "unknown key"),
        ("{ width = 576 }", '{ width = "wide" }', 18, "valid integer"),
        ('url = "/dev/ttyUSB0"', 'url = ""', 12, "at least 1 character"),
        ('driver = "barcode_scanner"', 'driver = "barcode_scanner"\nname = "escpos_printer"', 17, "named"),
    ],
)
def test_a_wrong_file_is_named_with_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, what: str
) -> None:
    assert old in GOOD
    file = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(DefinitionError) as caught:
        load_terminal(file, ENVIRONMENT)
    assert what in str(caught.value)
    assert caught.value.place == f"{file}:{line}"
    assert caught.value.remedy
    assert "hunter2" not in str(caught.value)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="not TOML"):
        load_terminal(written(tmp_path, "[terminal\n"), ENVIRONMENT)
    with pytest.raises(DefinitionError, match="cannot be read"):
        load_terminal(tmp_path / "nowhere.toml", ENVIRONMENT)


def test_a_missing_secret_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="KIOSK_SECRET is not set"):
        load_terminal(written(tmp_path, GOOD), {})
    text = GOOD.replace('secret_env = "KIOSK_SECRET"', 'secret_file = "secret.txt"')
    with pytest.raises(SettingsError, match="cannot be read"):
        load_terminal(written(tmp_path, text), {})
    (tmp_path / "secret.txt").write_text(" \n")
    with pytest.raises(SettingsError, match="empty"):
        load_terminal(written(tmp_path, text), {})


def test_a_second_driver_is_one_file_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "drivers"
    folder.mkdir()
    (folder / "line_scanner.py").write_text(
        "from kiosks.device_classes import DeviceSettings, DeviceState, DeviceStatus\n"
        "class LineScanner:\n"
        "    def __init__(self, settings): self.name = settings.name\n"
        "    async def read(self): return 'SL-1-1'\n"
        "    async def status(self): return DeviceStatus(DeviceState.ONLINE)\n"
        "    async def reset(self): pass\n"
        "    async def close(self): pass\n"
        "def build(settings: DeviceSettings): return LineScanner(settings)\n"
    )
    text = GOOD.replace('name = "kiosk-1"', 'name = "kiosk-1"\ndriver_folders = ["drivers"]', 1)
    devices = load_devices(written(tmp_path, text.replace('"barcode_scanner"', '"line_scanner"')))
    assert [one.driver for one in devices] == ["line_scanner", "escpos_printer"]


def test_two_printers_are_refused(tmp_path: Path) -> None:
    second = '\n[[device]]\nclass = "Printer"\ndriver = "escpos_printer"\nname = "other"\nurl = "/dev/x"\n'
    with pytest.raises(DefinitionError, match="one receipt printer"):
        load_devices(written(tmp_path, GOOD + second))
