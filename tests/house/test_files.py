import ast
import os
import re
from pathlib import Path

import pytest

from tests.house.repository import ROOT, kept_files, run

# The names are put together here, so that this file does not hold what it forbids.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "deb." + "debian.org",
    "security." + "debian.org",
    "archive." + "ubuntu.com",
    "proxy." + "golang.org",
    "docker" + ".io",
]
CONFIGURED = (
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "HTTPS_PROXY",
)


def _text(file: Path) -> str:
    # Pictures and recordings too: their comments could name a place.
    return (ROOT / file).read_bytes().decode("utf-8", errors="replace")


def test_no_file_names_a_package_registry() -> None:
    here = [os.environ[name] for name in CONFIGURED if os.environ.get(name)]
    listed = run("python3", "-m", "pip", "config", "list").stdout
    here += re.findall(r"[a-z]+://[^\s'\"]+", listed)
    forbidden = REGISTRIES + [place.rstrip("/") for place in here]
    found = [(str(file), name) for file in kept_files() for name in forbidden if name in _text(file)]
    assert found == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    places = {str(place) + "/" for place in (ROOT, Path.home()) if len(place.parts) > 1}
    pattern = re.compile("|".join([*map(re.escape, sorted(places)), r"(?<![\w.])/(?:work|home|Users)/\w"]))
    found = [(str(file), hit.group()) for file in kept_files() for hit in pattern.finditer(_text(file))]
    assert found == []


def test_the_lint_finds_a_file_that_is_too_long(tmp_path: Path) -> None:
    lint = (ROOT / "script" / "lint").read_text(encoding="utf-8")
    rule = re.search(r"^too_long\(\) \{.*?^\}", lint, re.MULTILINE | re.DOTALL)
    assert rule is not None
    (tmp_path / "fits.py").write_text("pass\n" * 400)
    (tmp_path / "long.py").write_text("pass\n" * 401)
    script = f"set -e; git init -q; git add .; {rule.group()}\ntoo_long"
    outcome = run("bash", "-c", script, cwd=tmp_path)
    assert (outcome.returncode, outcome.stdout) == (123, "long.py: over 400 lines\n")


COMMANDS = sorted(file for file in (ROOT / "console" / "cli").glob("*.py") if file.name != "__init__.py")


@pytest.mark.parametrize("file", COMMANDS, ids=lambda file: file.name)
def test_every_command_file_says_what_it_is(file: Path) -> None:
    first = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]
    assert first, "the first line of the docstring is the command's help"
    assert len(first) <= 110


@pytest.mark.parametrize("page", ["README.md", "README.ar.md"])
def test_the_commands_of_the_readme_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    scripts = set(re.findall(r"script/[a-z]+\b(?!\.)", text))
    assert {"script/demo", "script/test"} <= scripts
    for name in scripts:
        assert os.access(ROOT / name, os.X_OK), name


@pytest.mark.parametrize("page", ["README.md", "README.ar.md", *map(str, (ROOT / "docs").rglob("*.md"))])
def test_every_link_between_our_pages_leads_somewhere(page: str) -> None:
    file = ROOT / page
    links = re.findall(
        r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|href)=\"([^\":#]+)\"", file.read_text(encoding="utf-8")
    )
    for link in [one or other for one, other in links]:
        assert (file.parent / link).exists(), f"{page} points to {link}"


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md"]
    assert [name for name in pages if f"]({name})" not in index] == []
