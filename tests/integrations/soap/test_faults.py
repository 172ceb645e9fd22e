"""Every type of refusal goes out as a fault, in both versions and both languages, valid by the contract."""

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import foundation
import integrations
from foundation.errors import RakeezaError
from integrations.contracts.names import fault_elements
from integrations.entrypoints.soap import faults, messages
from integrations.entrypoints.soap.envelope import NotUnderstood, Version
from integrations.ws_security.faults import SecurityFault
from tests.integrations.soap.soap_client import SOAP_11, SOAP_12, Said, said

ENGLISH, ARABIC = "Something is <wrong> & named.", "هناك خطأ في <الطلب> & ما بعده."
LETTERS = re.compile("[\u0621-\u064a]")
PARTS = ("foundation.", "integrations.")


def _all(kind: type[RakeezaError]) -> Iterator[type[RakeezaError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all(below)


def kinds() -> list[type[RakeezaError]]:
    """Every type of error that the ground floor and this wing have."""
    for package in (foundation, integrations):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name:
                importlib.import_module(module.name)
    found = {
        kind for kind in _all(RakeezaError) if kind.__module__.startswith(("foundation", "integrations"))
    }
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


def _made(kind: type[RakeezaError]) -> RakeezaError:
    error = kind.__new__(kind)
    RakeezaError.__init__(error, ENGLISH, message_ar=ARABIC)
    if isinstance(error, NotUnderstood):
        error.headers = (("urn:t", "To"), ("", "x"))
    return error


def _out(error: RakeezaError, version: Version, language: str) -> Said:
    fault = faults.of_error(error)
    document = json.dumps(fault.problem, ensure_ascii=False).encode()
    detail = messages.detail(None, int(fault.problem["status"]), document)
    written = faults.written(fault, version, detail, language)
    headers = {"content-type": f"{written.media_type}; charset=utf-8"}
    return said(httpx.Response(written.status, headers=headers, content=written.body), version)


@pytest.mark.parametrize("version", [SOAP_11, SOAP_12])
def test_every_type_of_error_is_a_fault_in_both_languages(version: Version) -> None:
    found = kinds()
    names = set()
    for kind in found:
        error = _made(kind)
        for language, sentence in (("en", ENGLISH), ("ar", ARABIC)):
            answer = _out(error, version, language)
            # What is told to strangers may be less than the message, and never nothing.
            told = {answer.json["detail"]} if language == "en" else {sentence}
            assert answer.reasons == {language: told.pop()}, kind
            assert LETTERS.search(answer.json["detail_ar"])
            assert LETTERS.search(answer.json["title_ar"])
            assert not LETTERS.search(answer.json["detail"] + answer.json["title"])
            assert answer.name in fault_elements()
            sender = answer.json["status"] < 500 or answer.code in ("MustUnderstand", "VersionMismatch")
            ours = {"Server", "Receiver"}
            assert (answer.code not in ours) is sender or bool(answer.subcode), kind
            code = getattr(kind, "code", "")
            assert answer.subcode == (code if isinstance(code, str) else "")
        names.add(answer.json["type"])
    assert len(found) >= 60
    assert len(names) >= 30


# Records of centres are kept on the command line, and its words are English.
PLACES = ["entrypoints/soap/*", "ws_security/*", "centres/r*"]


@pytest.mark.parametrize("part", PLACES)
def test_whatever_is_refused_here_is_said_in_arabic_too(part: str) -> None:
    # A type that writes its own sentences has both; of the others each call is looked at.
    # What is wrong with the settings is told to whoever starts the program.
    known = {kind.__name__: kind for kind in kinds() if "__init__" not in kind.__dict__}
    del known["SettingsError"]
    calls = 0
    for path in sorted(Path(integrations.__file__).parent.glob(f"{part}.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if (kind := known.get(node.func.id)) is None:
                continue
            calls += 1
            arabic = any(each.arg in ("message_ar", None) for each in node.keywords)
            by_place = issubclass(kind, SecurityFault) and len(node.args) == 3
            assert arabic or by_place, (path.name, node.lineno)
    assert calls
