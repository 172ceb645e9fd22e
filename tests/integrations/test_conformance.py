"""The conformance suite against the real server, and what it tells of what is wrong with a centre."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from foundation.errors import InvalidInput
from foundation.tls import Contexts
from integrations.centres.certificates import revoke
from integrations.centres.conformance import CHECKS, GROUPS, Outcome, Report, Server, carry_out
from integrations.centres.conformance.acts import TAKEN
from integrations.centres.conformance.reach import CLOCKS, REACHED, TOKEN
from integrations.centres.conformance.signing import BOTH
from integrations.centres.conformance.soap_security import CLERKS, SIGNED
from integrations.centres.conformance.talking import Credentials, credentials, soap_clerk
from tests.integrations.centre_keys import material, served_over_tls
from tests.integrations.conformance_town import (
    APPLICATION,
    TEST_CENTRE,
    add_test_centre,
    failures,
    known_of,
    left_out,
    papers_made,
    report_of,
    results,
    serve_rest_of_contract,
    soap_secret,
)
from tests.integrations.desk import ADMINISTRATOR, FORM, message
from tests.integrations.signed_town import CODE, OTHER, Kit, Town, pem

pytest_plugins = ["tests.integrations.signed_fixtures"]

TLS = "The server is reached over TLS"
APPLYING = {each.name for each in CHECKS if each.name == TAKEN or TAKEN in each.needs}


@pytest.fixture(autouse=True)
def _whole(town: Town) -> None:
    serve_rest_of_contract(town)


@pytest.fixture
def known(town: Town, kit: Kit) -> Credentials:
    """All that a centre can give, but an application."""
    return known_of(kit, secret=soap_secret(town))


def failed(report: Report) -> list[Outcome]:
    """The checks that failed, each with one sentence and a remedy."""
    found = [each for each in report.outcomes if each.result == "failed"]
    for each in found:
        assert each.detail
        assert "\n" not in each.detail
        assert "Error" not in each.detail
        assert each.remedy, each
    return found


def test_our_server_conforms_and_without_an_application_nothing_is_written(
    town: Town, known: Credentials
) -> None:
    report = report_of(town, known)
    assert failures(report) == {}
    assert report.conforms
    assert len(APPLYING) == 9
    assert left_out(report) == {TLS, *APPLYING}
    assert town.desk.count("case_file") == 0
    assert town.desk.count("act_proof") == 0


def test_with_an_application_each_face_issues_a_licence(town: Town) -> None:
    kit = add_test_centre(town)
    with papers_made(town):
        report = report_of(town, known_of(kit, APPLICATION, soap_secret(town, TEST_CENTRE)))
    assert failures(report) == {}
    assert left_out(report) == {TLS}
    issued = [each.detail for each in report.outcomes if each.name.startswith("A licence is issued")]
    assert len({each.rpartition(" ")[2] for each in issued}) == 3
    assert town.desk.count("licence") == 3
    assert town.desk.breaks() == []


def test_a_real_application_opens_one_case_and_no_other(town: Town, kit: Kit) -> None:
    report = report_of(town, known_of(kit, message(FORM), soap_secret(town)))
    (only,) = failed(report)
    assert only.name == TAKEN
    assert "is a real case" in only.detail
    assert town.desk.count("case_file") == 1


def test_a_centre_with_an_rsa_key_conforms_too(town: Town, kit: Kit) -> None:
    by_rsa = town.certify(CODE, rsa.generate_private_key(65537, 2048))
    report = report_of(town, known_of(replace(by_rsa, clerks=kit.clerks), secret=soap_secret(town)))
    assert failures(report) == {}


def test_without_a_secret_for_soap_what_the_centre_alone_signs_is_tried(town: Town, kit: Kit) -> None:
    soap_secret(town)
    report = report_of(town, known_of(kit))
    assert failures(report) == {}
    assert results(report)[SIGNED] == "passed"
    told = {each.name: each.detail for each in report.outcomes if each.result == "left out"}
    assert "--clerk-secret-file" in told[CLERKS]
    assert told["A clerk's wrong secret is refused"]


def test_what_is_wrong_with_the_credentials_is_told_with_its_remedy(town: Town, kit: Kit) -> None:
    (clerk,) = kit.clerks.values()
    stranger = replace(kit, clerks={clerk.id: replace(clerk, key=ec.generate_private_key(ec.SECP256R1()))})
    report = report_of(town, known_of(stranger, secret=soap_secret(town)))
    (only,) = failed(report)
    assert only.name == BOTH
    assert "clerk-key-unknown" in only.detail
    assert results(report)["A read that the centre signs is answered"] == "passed"
    assert results(report)[CLERKS] == "passed"


def test_a_secret_that_is_not_the_clerks_is_told_once(town: Town, kit: Kit) -> None:
    soap_secret(town)
    report = report_of(town, known_of(kit, secret="another"))
    (only,) = failed(report)
    assert only.name == CLERKS
    assert "secret do not hold" in only.detail
    assert "A token's nonce is taken once" in left_out(report)


def test_a_suspended_centre_is_told_so_and_nothing_else(town: Town, known: Credentials) -> None:
    town.desk.licensing.centres.suspend(ADMINISTRATOR, CODE, "An inspection.")
    report = report_of(town, known)
    assert [each.name for each in failed(report)] == [TOKEN, SIGNED]
    assert all("suspended" in each.detail for each in failed(report))


def test_a_revoked_certificate_is_told_once_by_each_face(town: Town, kit: Kit, known: Credentials) -> None:
    with town.desk.database.transaction() as session:
        revoke(session, kit.serial, "key_compromise", datetime.now(UTC))
    report = report_of(town, known)
    assert [each.name for each in failed(report)] == [TOKEN, SIGNED]
    assert all("certificate" in each.detail + each.remedy for each in failed(report))


@pytest.mark.parametrize(("hours", "which"), [(1, "ahead of the server's"), (-1, "behind the server's")])
def test_a_clock_that_is_an_hour_off_is_told_once(
    town: Town, known: Credentials, hours: int, which: str
) -> None:
    with httpx.Client(timeout=60) as http:
        server = Server(town.url, known, http, lambda: datetime.now(UTC) + timedelta(hours=hours))
        report = Report(town.url, CODE, tuple(carry_out(server, GROUPS)))
    (only,) = failed(report)
    assert only.name == CLOCKS
    assert only.detail.startswith(("The clock of this machine is 36", "The clock of this machine is 35"))
    assert only.detail.endswith(f"seconds {which}.")
    told = {each.name: each.detail for each in report.outcomes if each.result == "left out"}
    assert told[TOKEN] == told[SIGNED] == f"It needs what failed: {CLOCKS}."
    assert results(report)["A message with a DOCTYPE is refused"] == "passed"


def test_a_server_that_is_down_is_told_once(known: Credentials) -> None:
    with httpx.Client(timeout=1) as http:
        server = Server("https://127.0.0.1:1", known, http)
        report = Report(server.url, CODE, tuple(carry_out(server, GROUPS)))
    assert len(report.outcomes) == len(CHECKS)
    (only,) = failed(report)
    assert (only.name, only.detail) == (REACHED, "Nobody answers at https://127.0.0.1:1: connection refused.")


def test_a_name_that_nobody_knows_is_told_once(known: Credentials) -> None:
    with httpx.Client(timeout=5, trust_env=False) as http:
        server = Server("https://nobody.invalid", known, http)
        report = Report(server.url, CODE, tuple(carry_out(server, GROUPS)))
    (only,) = failed(report)
    assert only.detail == "The name in https://nobody.invalid is not known."


def test_an_authority_that_is_not_trusted_is_told_once_and_one_that_is_opens(
    town: Town, known: Credentials
) -> None:
    authority = town.authority
    with served_over_tls(town.app, Contexts(lambda: material(authority))) as port:
        url = f"https://localhost:{port}"
        with httpx.Client(timeout=60) as http:
            strange = Report(url, CODE, tuple(carry_out(Server(url, known, http), GROUPS)))
        trusting = ssl.create_default_context(cadata=authority.certificate_pem())
        with httpx.Client(timeout=60, verify=trusting) as http:
            trusted = Report(url, CODE, tuple(carry_out(Server(url, known, http), GROUPS)))
        with httpx.Client(timeout=60) as http:
            plain = Server(f"http://localhost:{port}", known, http)
            spoken = Report(url, CODE, tuple(carry_out(plain, GROUPS)))
    (only,) = failed(strange)
    assert only.name == REACHED
    assert "is not trusted: " in only.detail
    assert "--ca" in only.remedy
    assert results(trusted)[TLS] == "passed"
    assert results(trusted)[REACHED] == "passed"
    assert [each.name for each in failed(spoken)] == [REACHED]


def test_a_server_that_speaks_no_tls_is_told_once(town: Town, known: Credentials) -> None:
    with httpx.Client(timeout=5) as http:
        server = Server(town.url.replace("http:", "https:"), known, http)
        report = Report(server.url, CODE, tuple(carry_out(server, GROUPS)))
    (only,) = failed(report)
    assert "There is no TLS connection to" in only.detail


def test_files_that_do_not_belong_together_are_refused_before_anything_is_sent(town: Town, kit: Kit) -> None:
    (clerk,) = kit.clerks.values()
    own, by_clerk = pem(kit.key), pem(clerk.key)
    with pytest.raises(InvalidInput, match="not one of the centre's key"):
        credentials(CODE, pem(town.kits[OTHER].key), kit.certificate, by_clerk)
    for key, certificate in ((b"no key", kit.certificate), (own, b"none")):
        with pytest.raises(InvalidInput, match="cannot be read"):
            credentials(CODE, key, certificate, by_clerk)
    with pytest.raises(InvalidInput, match="P-256"):
        credentials(CODE, own, kit.certificate, pem(rsa.generate_private_key(65537, 2048)))
    other_curve = pem(ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(InvalidInput, match="P-256"):
        credentials(CODE, other_curve, kit.certificate, by_clerk)
    for url in ("licences.example.sa", "ftp://x", "https://x/v1", ""):
        with pytest.raises(InvalidInput):
            Server(url, known_of(kit))
    for name, secret in (("amal@centre-7", "s"), ("amal", ""), ("amal", "two words"), ("", "s")):
        with pytest.raises(InvalidInput):
            soap_clerk(name, secret)
