"""The report of the conformance suite, for a person, a build and a CI system; and its command."""

import json
import re
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from lxml import etree

from console.conformance import command
from integrations.centres.conformance import CHECKS, Report
from integrations.centres.conformance.checking import Outcome
from integrations.centres.conformance.exchanges import MASKED, Exchange, masked
from integrations.centres.conformance.reach import REACHED
from integrations.centres.conformance.signing import BOTH
from tests.integrations.conformance_town import known_of, report_of, serve_rest_of_contract, soap_secret
from tests.integrations.desk import FORM, PERSONAL, message
from tests.integrations.signed_town import AMAL, CODE, DEVICE, Kit, Town, pem

pytest_plugins = ["tests.integrations.signed_fixtures"]


@pytest.fixture(autouse=True)
def _whole(town: Town) -> None:
    serve_rest_of_contract(town)


@pytest.fixture
def secret(town: Town) -> str:
    """The clerk's secret for SOAP."""
    return soap_secret(town)


@pytest.fixture
def files(kit: Kit, tmp_path: Path, secret: str) -> dict[str, str]:
    """The options of the command that name files."""
    told = {
        "--key": pem(kit.key),
        "--certificate": kit.certificate,
        "--clerk-key": pem(kit.clerks[AMAL].key),
        "--clerk-secret-file": f"{secret}\n".encode(),
    }
    for option, content in told.items():
        (tmp_path / option.strip("-")).write_bytes(content)
    return {option: str(tmp_path / option.strip("-")) for option in told}


def run(url: str, options: dict[str, str], *more: str, columns: int = 80) -> Result:
    """The command's run."""
    said = [word for pair in options.items() for word in pair]
    words = [url, "--centre", CODE, "--clerk", AMAL, "--device", DEVICE, *said, *more]
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(command, words)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_command_tells_each_check_its_source_and_a_verdict_in_the_width_of_the_terminal(
    town: Town, files: dict[str, str], columns: int
) -> None:
    done = run(town.url, files, columns=columns)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == f"{CODE} at {town.url}"
    assert max(map(len, lines)) <= columns
    told = " ".join(done.output.split())
    for each in CHECKS:
        assert f"ok {each.name} ({each.section})" in told or f"- {each.name}" in told
    assert "9 left out: Give --application" in told
    assert lines[-1] == "Everything that was tried holds."


def test_a_failure_is_told_with_what_was_sent_what_came_and_a_remedy_and_ends_with_1(
    town: Town, files: dict[str, str]
) -> None:
    failed = run(town.url, {**files, "--clerk-key": files["--key"]})
    assert failed.exit_code == 1
    at = failed.output.index(f"FAILED  {BOTH}")
    told = " ".join(failed.output[at : at + 1_000].split())
    assert "clerk-key-unknown" in told
    assert "-> Is the clerk's key enrolled" in told
    assert "The keyid of the signature 'clerk' is the thumbprint of no key" in told
    assert "sent POST /v1/cases (2 bytes) came 403 clerk-key-unknown" in told
    assert f"It needs what failed: {BOTH}." in " ".join(failed.output.split())
    assert failed.output.rstrip().endswith("Something failed: see FAILED above.")
    assert failed.output.count("FAILED  ") == 1


def test_verbose_shows_octets_and_never_what_opens_anything(
    town: Town, files: dict[str, str], secret: str
) -> None:
    done = run(town.url, files, "--verbose")
    assert done.exit_code == 0
    text = done.output
    assert "> POST /v1/oauth/token HTTP/1.1" in text
    assert "> authorization: Bearer <masked>" in text
    assert "> signature-input: centre=(" in text
    assert "< HTTP/1.1 401 Unauthorized" in text
    assert f"<wsse:Username>{AMAL}@{CODE}/{DEVICE}</wsse:Username>" in text
    assert secret not in text
    assert "PRIVATE KEY" not in text
    assert '"access_token":"<masked>"' in text.replace(" ", "")
    assertions = [word for word in text.split() if "client_assertion=" in word]
    assert assertions
    assert all(re.search(rf"client_assertion=[\w-]+\.[\w-]+\.{MASKED}", word) for word in assertions)
    # A token of ours, and an assertion, begin so; nothing that does is there whole.
    assert not re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]", text)
    assert "Password" in text
    assert all(
        f'PasswordDigest">{MASKED}' in line for line in text.splitlines() if 'PasswordDigest">' in line
    )


def test_json_is_for_a_build(town: Town, files: dict[str, str]) -> None:
    done = run(town.url, files, "--json")
    assert done.exit_code == 0
    document = json.loads(done.output)
    assert (document["centre"], document["server"], document["conforms"]) == (CODE, town.url, True)
    assert [each["name"] for each in document["checks"]] == [each.name for each in CHECKS]
    assert sum(document["counts"].values()) == len(CHECKS)
    (one,) = [each for each in document["checks"] if each["name"] == "A body that was changed is refused"]
    assert one["exchanges"] == [{"sent": "POST /v1/cases (22 bytes)", "came": "422 wrong-digest"}]
    (by_soap,) = [
        each for each in document["checks"] if each["name"] == "A message with a DOCTYPE is refused"
    ]
    assert [each["came"] for each in by_soap["exchanges"]] == ["500 malformed", "400 malformed"]
    assert by_soap["exchanges"][1]["sent"].startswith("GetCentre by SOAP 1.2, POST /v1/soap (")


def test_junit_is_for_a_ci_system(town: Town, files: dict[str, str], tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    done = run(town.url, {**files, "--clerk-key": files["--key"]}, "--junit", str(junit))
    assert done.exit_code == 1
    root = etree.parse(str(junit)).getroot()
    assert len(root.findall("testsuite/testcase")) == len(CHECKS)
    for suite in root:
        cases = suite.findall("testcase")
        counted = (len(cases), len(suite.findall("*/failure")), len(suite.findall("*/skipped")))
        assert tuple(int(suite.get(name, "")) for name in ("tests", "failures", "skipped")) == counted
    (failure,) = root.iter("failure")
    assert "clerk-key-unknown" in (failure.get("message") or "")
    assert "came 403 clerk-key-unknown" in (failure.text or "")


def test_an_application_is_named_in_no_report_that_was_not_asked_for_octets(town: Town, kit: Kit) -> None:
    report = report_of(town, known_of(kit, {**message(FORM), "service": "health_card"}))
    assert not report.conforms
    for each in PERSONAL:
        assert each not in report.to_text()
        assert each not in report.to_json()
        assert each not in report.to_junit().decode()
    assert PERSONAL[0] in report.to_text(verbose=True)


def test_what_a_hostile_server_says_does_not_reach_the_terminal_as_its_codes() -> None:
    request = httpx.Request("GET", "https://x.example/openapi.json")
    answer = httpx.Response(200, content="\x1b]0;owned\x07\u202eevil".encode(), request=request)
    outcome = Outcome(
        "g", REACHED, "s", "failed", "said \x1b[2J\u202e", "do \x07", (Exchange(request, answer),)
    )
    report = Report("https://x.example", CODE, (outcome,))
    text = report.to_text(verbose=True)
    assert all(each.isprintable() or each == "\n" for each in text)
    etree.fromstring(report.to_junit())
    assert json.loads(report.to_json(verbose=True))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '{"access_token":"abc.def","token_type":"Bearer"}',
            f'{{"access_token":"{MASKED}","token_type":"Bearer"}}',
        ),
        ("grant_type=x&client_assertion=aaa.bbb.ccc", f"grant_type=x&client_assertion=aaa.bbb.{MASKED}"),
        ("client_secret=abc&x=1", f"client_secret={MASKED}&x=1"),
        ('<wsse:Password Type="t">abc</wsse:Password>', f'<wsse:Password Type="t">{MASKED}</wsse:Password>'),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_what_opens_something_is_masked(text: str, told: str) -> None:
    assert masked(text) == told


@pytest.mark.parametrize(
    ("missing", "more", "saying"),
    [
        ("--clerk-secret-file", (), "go together"),
        ("", ("--application",), "is not JSON"),
        ("", ("--ca",), "holds no certificate"),
    ],
)
def test_what_is_given_wrongly_is_told_before_anything_is_sent(
    files: dict[str, str], tmp_path: Path, missing: str, more: tuple[str, ...], saying: str
) -> None:
    options: dict[str, Any] = {name: value for name, value in files.items() if name != missing}
    strange = tmp_path / "strange"
    strange.write_text("{" + secrets.token_hex(4))
    done = run("https://127.0.0.1:1", options, *(word for each in more for word in (each, str(strange))))
    assert done.exit_code != 0
    assert saying in f"{done.output} {done.exception}"
