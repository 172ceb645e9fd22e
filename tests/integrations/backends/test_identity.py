"""The identity source over loopback: answers, every way to get none, and what is believed of a reply."""

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import httpcore
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from zeep import exceptions as zeep

from foundation.errors import Malformed, TooLarge, problem
from foundation.guard import free_port
from foundation.secret import Secret, SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, BackendRejection, BackendUnavailable, Question
from integrations.backends import identity
from integrations.soap_client import client as soap
from integrations.soap_client import failures
from integrations.ws_security import names
from integrations.ws_security.faults import SecurityFault
from lab.backends.identity_messages import Signer, make_keys, make_signer
from lab.backends.identity_server import IdentityServer, identity_server
from lab.backends.identity_source import FAULT_MODES, Mode
from tests.integrations.backends.fault_table import column

CITIZEN, NAME, BORN = "1058529940", "نورة بنت سعد القحطاني", "1990-05-17"
TIMEOUT = 1.0
WSDL_FOLDER = Path(identity.__file__).parent / "wsdl"


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Signer]:
    folder = tmp_path_factory.mktemp("identity")
    return folder, make_keys(folder)


@pytest.fixture(scope="module")
def running(pki: tuple[Path, Signer]) -> Iterator[IdentityServer]:
    with identity_server(pki[0]) as one:
        yield one


@pytest.fixture
def secrets(tmp_path: Path, pki: tuple[Path, Signer]) -> SecretFile:
    kept = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    # The one of before stands beside it: a source renews its certificate.
    pem = make_signer("before").pem + pki[1].pem
    kept.set("backend-identity-certificates", Secret(pem.decode()))
    return kept


@pytest.fixture
def source(running: IdentityServer, secrets: SecretFile) -> Backend:
    running.behave("answer")
    return _source(running.url, secrets)


def _source(url: str, secrets: SecretFile, clock: Callable[[], datetime] = _now) -> Backend:
    section = Section(url=url, driver="identity", timeout=TIMEOUT, total=2 * TIMEOUT)
    return identity.open_backend("identity", section, secrets, clock)


def _question(key: str, kind: str = "national_id", number: str = CITIZEN, **more: str) -> Question:
    return Question(
        f"case/SC-2026-000001/check/{key}/3", "identity", {"kind": kind, "identifier": number, **more}
    )


def _reason(source: Backend, question: Question) -> str:
    with pytest.raises(BackendUnavailable) as caught:
        source.ask(question)
    error = caught.value
    assert error.retryable
    assert error.remedy
    assert problem(error)["detail_ar"]
    assert CITIZEN not in f"{error}{error.__cause__}"
    return error.reason


@pytest.mark.parametrize(
    ("kind", "number", "more", "result"),
    [
        ("national_id", CITIZEN, {}, "match"),
        ("national_id", CITIZEN, {"name": NAME, "born": BORN}, "match"),
        ("national_id", CITIZEN, {"name": "سارة بنت سعد القحطاني"}, "mismatch"),
        ("national_id", CITIZEN, {"born": "1990-05-18"}, "mismatch"),
        ("national_id", "1000000008", {}, "not_found"),
        ("national_id", "1001244019", {}, "deceased"),
        ("iqama", "2000000006", {}, "match"),
        ("iqama", "2000000014", {}, "expired"),
        ("iqama", "2000000022", {}, "suspended"),
        ("border_number", "3012345678", {}, "match"),
        ("border_number", "3012345686", {}, "left_the_kingdom"),
    ],
)
def test_each_kind_of_person_gets_the_answer_that_the_source_has(
    source: Backend, kind: str, number: str, more: dict[str, str], result: str
) -> None:
    reply = source.ask(_question(f"{kind}-{number}-{result}-{len(more)}", kind, number, **more))
    assert (reply.code, reply.passed) == (result, result == "match")
    assert (reply.text is None) is reply.passed
    assert reply.at.tzinfo is not None


def test_every_word_of_the_contract_is_declared_and_the_other_way_round() -> None:
    schema = etree.parse(str(WSDL_FOLDER / "identity.xsd"))
    space = "{http://www.w3.org/2001/XMLSchema}"

    def words(name: str) -> set[str]:
        (named,) = (each for each in schema.iter(f"{space}simpleType") if each.get("name") == name)
        return {each.get("value", "") for each in named.iter(f"{space}enumeration")}

    assert words("Result") == set(identity.ANSWERS)
    assert identity.NATURE.answers == identity.ANSWERS
    assert words("FaultCode") == set(identity.FAULTS)


def test_a_key_is_acted_on_once_and_the_source_is_told_what_for(
    source: Backend, running: IdentityServer
) -> None:
    question = _question("twice")
    assert source.ask(question).code == source.ask(question).code
    assert (running.asked(question.key), running.acted(question.key)) == (2, 1)
    assert running.questions()[-1]["purpose"] == "case/SC-2026-000001/check/twice"


def test_an_answer_that_was_lost_is_got_by_asking_again(source: Backend, running: IdentityServer) -> None:
    question = _question("lost")
    running.behave("drop_after", times=1)
    assert _reason(source, question) == "protocol"
    assert source.ask(question).passed
    assert running.acted(question.key) == 1


@pytest.mark.parametrize(("mode", "reasons"), column("identity").items())
def test_whatever_else_comes_is_no_answer(
    source: Backend, running: IdentityServer, secrets: SecretFile, mode: str, reasons: tuple[str, ...]
) -> None:
    if mode == "down":
        source = _source(f"http://127.0.0.1:{free_port()}/soap", secrets)
    else:
        assert source.ask(_question(f"before-{mode}")).passed
        (known,) = [each for each in get_args(Mode) if each == mode]
        running.behave(known, seconds=5 * TIMEOUT)
    assert _reason(source, _question(mode)) in reasons


def test_a_signed_fault_may_reject_the_question_and_an_unsigned_one_never(
    source: Backend, running: IdentityServer
) -> None:
    running.behave("reject")
    with pytest.raises(BackendRejection) as caught:
        source.ask(_question("reject"))
    assert (caught.value.reason, caught.value.retryable) == ("invalid_request", False)
    assert set(FAULT_MODES.values()) | {"signature"} == set(identity.FAULTS)


def test_a_busy_source_says_when_to_come_again(source: Backend, running: IdentityServer) -> None:
    running.behave("rate_limit", seconds=7)
    with pytest.raises(BackendUnavailable) as caught:
        source.ask(_question("rate_limit"))
    assert (caught.value.status, caught.value.retry_after) == (429, 7.0)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"kind": "national_id"},
        {"kind": "unified_number", "identifier": "7001234567"},
        {"kind": "national_id", "identifier": "1058529941"},
        {"kind": "iqama", "identifier": CITIZEN},
        {"kind": "border_number", "identifier": "30123"},
        {"kind": "national_id", "identifier": CITIZEN, "mobile": "+966500000000"},
        {"kind": "national_id", "identifier": CITIZEN, "born": "19900517"},
        {"kind": "national_id", "identifier": CITIZEN, "born": "1990-02-30"},
    ],
)
def test_a_question_that_cannot_be_asked_is_rejected_and_not_sent(
    source: Backend, running: IdentityServer, parameters: dict[str, str]
) -> None:
    before = len(running.messages())
    with pytest.raises(BackendRejection) as caught:
        source.ask(Question("case/1/check/wrong/1", "identity", parameters))
    assert caught.value.reason in ("missing_parameter", "unknown_parameter", "wrong_parameter")
    assert CITIZEN not in str(caught.value)
    assert len(running.messages()) == before


def test_a_name_that_the_contract_does_not_take_is_rejected_by_the_source(
    source: Backend,
) -> None:
    with pytest.raises((BackendRejection, BackendUnavailable)) as caught:
        source.ask(_question("short-name", name="ن"))
    # Its fault cannot say which message it could not read, and so is not believed to be about ours.
    assert isinstance(caught.value, BackendUnavailable)
    assert caught.value.reason == "not_ours"


def test_markup_in_what_is_asked_stays_text(source: Backend, running: IdentityServer) -> None:
    name = "</i:name><i:birthDate>1990-05-17</i:birthDate> & Co"
    assert source.ask(_question("markup", name=name)).code == "mismatch"
    assert running.questions()[-1]["name"] == name
    assert "birthDate" not in running.questions()[-1]


def test_replies_are_not_believed_without_the_sources_certificate(
    running: IdentityServer, secrets: SecretFile
) -> None:
    running.behave("answer")
    secrets.set("backend-identity-certificates", Secret(make_signer("identity source").pem.decode()))
    assert _reason(_source(running.url, secrets), _question("other")) == "wrong_signature"
    secrets.set("backend-identity-certificates", Secret("no pem"))
    assert _reason(_source(running.url, secrets), _question("none")) == "credentials"
    secrets.remove("backend-identity-certificates")
    assert _reason(_source(running.url, secrets), _question("gone")) == "credentials"


def test_a_clock_that_is_wrong_makes_no_answer(running: IdentityServer, secrets: SecretFile) -> None:
    running.behave("answer")
    fast = _source(running.url, secrets, lambda: datetime(2031, 1, 1, tzinfo=UTC))
    assert _reason(fast, _question("fast")) == "expired"


@pytest.mark.parametrize("kind", ["p256", "rsa"])
def test_requests_are_signed_by_our_key_and_other_programs_say_so(
    tmp_path: Path, secrets: SecretFile, kind: str
) -> None:
    key = (
        ec.generate_private_key(ec.SECP256R1())
        if kind == "p256"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    ours = make_signer("rakeeza", key)
    folder = tmp_path / "strict"
    served = make_keys(folder, client=ours)
    secrets.set("backend-identity-certificates", Secret(served.pem.decode()))
    with identity_server(folder) as strict:
        source = _source(strict.url, secrets)
        assert _reason(source, _question("unsigned")) == "credentials"
        secrets.set("backend-identity-key", Secret(make_signer("somebody").key_pem.decode()))
        assert _reason(source, _question("stranger")) == "credentials"
        secrets.set("backend-identity-key", Secret(ours.key_pem.decode()))
        assert source.ask(_question("signed")).passed
        (message,) = strict.messages()
    _verify_by_xmlsec1(tmp_path, message, ours)
    secrets.set("backend-identity-key", Secret(ours.pem.decode()))
    assert _reason(source, _question("no-key")) == "credentials"


def _verify_by_xmlsec1(folder: Path, message: str, signer: Signer) -> None:
    file, certificate = folder / "message.xml", folder / "certificate.pem"
    certificate.write_bytes(signer.pem)
    file.write_text(message, encoding="utf-8")
    command = ["xmlsec1", "--verify", "--pubkey-cert-pem", str(certificate)]
    for element in ("Body", "Timestamp"):
        space = names.SOAP_11 if element == "Body" else names.WSU
        command += ["--id-attr:Id", f"{space}:{element}"]
    verified = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert verified.returncode == 0, verified.stderr
    tampered = folder / "tampered.xml"
    tampered.write_text(message.replace(CITIZEN, "1000000008"), encoding="utf-8")
    refused = subprocess.run([*command, str(tampered)], capture_output=True, timeout=60, check=False)
    assert refused.returncode != 0


def test_several_threads_ask_at_once_and_each_gets_its_own_answer(source: Backend) -> None:
    asked = [("iqama", "2000000006"), ("iqama", "2000000014"), ("national_id", CITIZEN)] * 6
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda at: source.ask(_question(f"thread-{at[0]}", *at[1])), enumerate(asked)))
    assert [reply.code for reply in found] == ["match", "expired", "match"] * 6


# The contract and zeep.


def test_the_contract_is_read_once_in_a_process_and_from_its_folder_alone(tmp_path: Path) -> None:
    files = WSDL_FOLDER / "identity.wsdl", WSDL_FOLDER / "identity.xsd"
    assert soap.contract(*files) is soap.contract(*files)
    for place in ("http://127.0.0.1:9/identity.xsd", "../outside.xsd", "file:///etc/hostname"):
        (tmp_path / "in").mkdir(exist_ok=True)
        elsewhere = tmp_path / "in" / f"{abs(hash(place))}.wsdl"
        text = files[0].read_text(encoding="utf-8").replace('"identity.xsd"', f'"{place}"')
        elsewhere.write_text(text, encoding="utf-8")
        (tmp_path / "outside.xsd").write_bytes(files[1].read_bytes())
        with pytest.raises(zeep.ExternalReferenceForbidden):
            soap.contract(elsewhere, files[1])


def _below(kind: type[Exception]) -> set[type[Exception]]:
    return {kind, *(found for child in kind.__subclasses__() for found in _below(child))}


HTTPCORE: set[type[Exception]] = {
    kind
    for name in dir(httpcore)
    if isinstance(kind := getattr(httpcore, name), type) and issubclass(kind, Exception)
}


@pytest.mark.parametrize("kind", sorted(_below(zeep.Error) | HTTPCORE, key=str))
def test_every_error_of_zeep_and_of_the_transport_has_a_row_of_its_own(kind: type[Exception]) -> None:
    told = failures.TABLE[kind]
    # A rejection is final, so it is said of one error alone: what we could not even write down.
    assert told.rejects is (kind is zeep.ValidationError)
    assert issubclass(kind, failures.ERRORS)
    error = kind.__new__(kind)
    translated = failures.translated("identity", error)
    assert isinstance(translated, BackendRejection if told.rejects else BackendUnavailable)
    assert translated.reason == told.reason
    assert translated.message.endswith(".")
    assert translated.place == "backend identity"


def test_the_table_has_no_row_that_is_never_reached() -> None:
    others = {TooLarge, Malformed, etree.DocumentInvalid} | _below(SecurityFault)
    assert set(failures.TABLE) <= _below(zeep.Error) | HTTPCORE | others
    with pytest.raises(KeyError):
        failures.told(RuntimeError())
    assert not issubclass(RuntimeError, failures.ERRORS)
