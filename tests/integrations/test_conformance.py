"""The conformance suite against the real server, and against ones that do not conform."""

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from console.conformance import command
from foundation import witness
from foundation.errors import InvalidInput
from integrations.centres.conformance import CHECKS, Report, Server, carry_out
from integrations.centres.conformance.talking import Credentials, credentials
from tests.integrations.desk import ADMINISTRATOR, FORM, message
from tests.integrations.signed_town import AMAL, CODE, DEVICE, OTHER, Kit, Town, pem

pytest_plugins = ["tests.integrations.signed_fixtures"]


def known_of(kit: Kit, application: dict[str, Any] | None = None) -> Credentials:
    """What a centre gives to the suite."""
    clerk = pem(kit.clerks[AMAL].key)
    return credentials(kit.code, pem(kit.key), kit.certificate, clerk, DEVICE, application)


def report_of(town: Town, known: Credentials) -> Report:
    """The report of the town's server."""
    with httpx.Client(timeout=60) as http:
        return carry_out(Server(town.url, known, http), CHECKS)


def results(report: Report) -> dict[str, str]:
    """Each check's result, by name."""
    return {each.name: each.result for each in report.outcomes}


def failures(report: Report) -> dict[str, str]:
    """What each failed check saw."""
    return {each.name: each.detail for each in report.outcomes if each.result == "failed"}


def test_our_server_conforms_and_without_an_application_nothing_is_written(town: Town, kit: Kit) -> None:
    report = report_of(town, known_of(kit))
    assert failures(report) == {}
    assert report.conforms
    left = {name for name, result in results(report).items() if result == "left out"}
    assert left == {
        "The server is reached over TLS",
        "An application is taken, and its case is read",
        "The same write twice is done once",
        "Another write under the same key is refused",
        "A service that is not delegated is refused",
    }
    assert town.desk.count("case_file") == 0
    assert town.desk.count("act_proof") == 0


def test_with_an_application_every_act_is_tried(town: Town, kit: Kit) -> None:
    report = report_of(town, known_of(kit, message(FORM)))
    assert failures(report) == {}
    left = [name for name, result in results(report).items() if result == "left out"]
    assert left == ["The server is reached over TLS"]
    # One is opened to be read, one twice under one key, one before another under its key.
    assert town.desk.count("case_file") == 3


def test_what_is_wrong_with_the_credentials_is_told_with_its_remedy(town: Town, kit: Kit) -> None:
    stranger = replace(
        kit, clerks={AMAL: replace(kit.clerks[AMAL], key=ec.generate_private_key(ec.SECP256R1()))}
    )
    report = report_of(town, known_of(stranger))
    assert not report.conforms
    assert "A write that both sign is taken" in failures(report)
    assert "clerk-key-unknown" in failures(report)["A write that both sign is taken"]
    assert results(report)["A read that the centre signs is answered"] == "passed"
    assert all(each.remedy for each in report.outcomes if each.result == "failed")


def test_a_suspended_centre_is_told_so(town: Town, kit: Kit) -> None:
    town.desk.licensing.centres.suspend(ADMINISTRATOR, CODE, "An inspection.")
    report = report_of(town, known_of(kit))
    assert "suspended" in failures(report)["An assertion under the centre's key gets a token"]


def test_a_server_that_asks_for_no_signature_does_not_conform(town: Town, kit: Kit) -> None:
    class Blind:
        async def look(self, request: Any) -> None:
            from foundation.client_keys import key_thumbprint
            from foundation.confirmation import show_signature

            show_signature(request.scope, key_thumbprint(kit.key.public_key()))

        async def vouch(self, request: Any, caller: Any) -> Any:  # noqa: ARG002 -- it looks at nothing
            return caller

    witness.call(town.app, Blind())
    report = report_of(town, known_of(kit))
    seen = failures(report)
    refusals = [each.name for each in CHECKS if "is refused" in each.name and each.section.startswith("docs")]
    assert refusals
    for name in refusals:
        if "delegated" not in name and "under the same key" not in name:
            assert name in seen, name
    assert results(report)["An assertion is good for one token"] == "passed"


def test_a_server_that_does_not_answer_fails_every_check_and_ends_none(kit: Kit) -> None:
    with httpx.Client(timeout=1) as http:
        report = carry_out(Server("http://127.0.0.1:1", known_of(kit), http), CHECKS)
    assert len(report.outcomes) == len(CHECKS)
    told = [each for each in report.outcomes if each.result == "failed"]
    assert len(told) >= len(CHECKS) - 5
    assert all(each.remedy for each in told)


def test_the_report_is_read_by_people_and_by_programs(town: Town) -> None:
    report = report_of(town, known_of(town.kits[OTHER]))
    document = json.loads(report.to_json())
    assert (document["centre"], document["server"], document["conforms"]) == (
        OTHER,
        town.url,
        report.conforms,
    )
    assert [each["name"] for each in document["checks"]] == [each.name for each in CHECKS]
    assert sum(document["counts"].values()) == len(CHECKS)
    lines = report.to_text()
    assert all(each.name in lines and each.section in lines for each in CHECKS)


@pytest.fixture
def files(kit: Kit, tmp_path: Any) -> dict[str, str]:
    """The options of the command that name files."""
    told = {
        "--key": pem(kit.key),
        "--certificate": kit.certificate,
        "--clerk-key": pem(kit.clerks[AMAL].key),
        "--application": json.dumps(message(FORM)).encode(),
    }
    for option, content in told.items():
        (tmp_path / option.strip("-")).write_bytes(content)
    return {option: str(tmp_path / option.strip("-")) for option in told}


def run(url: str, options: dict[str, str], *more: str) -> Result:
    """The command's run."""
    said = [word for pair in options.items() for word in pair]
    return CliRunner().invoke(command, [url, "--centre", CODE, "--device", DEVICE, *said, *more])


def test_the_command_prints_the_report_and_ends_as_it_says(town: Town, files: dict[str, str]) -> None:
    done = run(town.url, files, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["conforms"] is True
    with_wrong_clerk = {**files, "--clerk-key": files["--key"]}
    failed = run(town.url, with_wrong_clerk)
    assert failed.exit_code == 1
    assert "FAILED" in failed.output


def test_files_that_do_not_belong_together_are_refused_before_anything_is_sent(kit: Kit, town: Town) -> None:
    clerk = pem(kit.clerks[AMAL].key)
    with pytest.raises(InvalidInput, match="not one of the centre's key"):
        credentials(CODE, pem(town.kits[OTHER].key), kit.certificate, clerk)
    with pytest.raises(InvalidInput, match="cannot be read"):
        credentials(CODE, b"no key", kit.certificate, clerk)
    for url in ("licences.example.sa", "ftp://x", "https://x/v1", ""):
        with pytest.raises(InvalidInput):
            Server(url, known_of(kit))
