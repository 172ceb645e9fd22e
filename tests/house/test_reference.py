import re
from pathlib import Path

import click
import pytest

from console import reference
from foundation import settings
from tests.house.repository import ROOT, kept_files

MODULES = list(reference.modules())
COMMANDS = dict(reference.commands())


@pytest.mark.parametrize("page", reference.PAGES)
def test_the_reference_pages_say_what_the_code_says(page: str) -> None:
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == reference.PAGES[page](), "run script/docs"


def test_every_setting_says_what_it_means() -> None:
    for option, _, _, description in settings.options():
        assert re.fullmatch(r"[A-Z\"/a-z].{9,}\.", description), option


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_its_help(name: str) -> None:
    command = COMMANDS[name]
    assert command.help, name
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts[0]}"


def test_every_command_that_a_text_names_exists() -> None:
    # Remedies send people to commands; one that is not there sends them nowhere.
    missing = set()
    for file in kept_files():
        if file.parts[0] in {"tests", "CHANGELOG.md"} or file.suffix not in {".py", ".md"}:
            continue
        text = (ROOT / file).read_text(encoding="utf-8")
        for words in re.findall(r"(?:`|with: |with \"|Run )rakeeza ((?:[a-z]+(?:-[a-z]+)*(?: |\b))+)", text):
            name = ["rakeeza"]
            for word in words.split():
                if not isinstance(COMMANDS.get(" ".join(name)), click.Group):
                    break
                name.append(word)
            if " ".join(name) not in COMMANDS:
                missing.add((str(file), " ".join(name)))
    assert sorted(missing) == []


def test_every_public_module_class_and_function_says_what_it_is() -> None:
    silent = []
    for module in MODULES:
        if not (module.__doc__ or module.__name__.count(".") == 0 or not _own(module)):
            silent.append(module.__name__)
        for name, item in _own(module).items():
            if not getattr(item, "__doc__", None):
                silent.append(f"{module.__name__}.{name}")
    assert silent == []


def _own(module: object) -> dict[str, object]:
    return {
        name: item
        for name, item in vars(module).items()
        if not name.startswith("_")
        and (isinstance(item, type) or callable(item))
        and getattr(item, "__module__", None) == getattr(module, "__name__", None)
    }


def test_the_settings_page_shows_a_file_that_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    sample = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert sample is not None
    file = tmp_path / "rakeeza.toml"
    file.write_text(sample.group(1))
    assert settings.load(file, {}).http.port == 8443
