"""The national identity source, asked by SOAP whether details are those of a person.

A question names a person by `kind` (national_id, iqama or border_number) and `identifier`, and may add `name`
and `born` (a day, ISO 8601); `asks` of a check fills them from `applicant.kind`, `applicant.identifier`,
`applicant.name`. Its answer is one of the words of `ANSWERS` and never more of the person than was asked.

A reply is one only if it is signed by the source, of this moment, carries the id of our message and the key
of our question, and is about the person that was asked for. Whatever else comes is no answer.

Two secrets belong to it, by the name of its section: `backend-NAME-certificates`, the source's certificates
in PEM, which it needs; and `backend-NAME-key`, our key and then its certificate in PEM, by which requests are
signed where it is there. Both are read for each question, so that new ones are taken up.

Source: `wsdl/identity.wsdl`; OASIS SOAP Message Security 1.1.1.
"""

import hashlib
import re
import secrets as randomness
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from foundation.definitions import Bilingual
from foundation.errors import InvalidInput, NotFound, SettingsError
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import (
    Backend,
    BackendRejection,
    BackendUnavailable,
    Nature,
    Question,
    Reply,
)
from integrations.identifiers import Kind, fault
from integrations.soap_client import exchange, failures
from integrations.soap_client.client import SignedFault, SoapClient, contract
from integrations.soap_client.exchange import Limits, Received
from integrations.soap_client.signing import SigningKey, read_key
from integrations.ws_security.keys import ByCertificate, KeyReference

ANSWERS = {
    "match": True,
    "mismatch": False,
    "not_found": False,
    "deceased": False,
    "expired": False,
    "suspended": False,
    "left_the_kingdom": False,
}
"""Every word that it answers, and whether that is "passed"."""

NATURE = Nature(answers=ANSWERS)
"""None of its answers is kept: a person's standing may be another the next hour."""

LARGEST_REPLY = 64_000
"""Bytes of a reply that are read at most."""

_FOLDER = Path(__file__).parent / "wsdl"
_OPERATION = "VerifyPerson"
_PERSONS: dict[Kind, str] = {
    "national_id": "nationalId",
    "iqama": "iqama",
    "border_number": "borderNumber",
}
_PARAMETERS = frozenset({"kind", "identifier", "name", "born"})
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Meant:
    """What a signed Fault means.

    Args:
        reason: one word that a program can compare.
        message: one sentence.
        rejects: the question itself is wrong.
    """

    reason: str
    message: str
    rejects: bool = False


FAULTS: dict[str, Meant] = {
    "invalid_request": Meant(
        "invalid_request", "The identity source finds the question wrong.", rejects=True
    ),
    "not_permitted": Meant("credentials", "The identity source does not let us ask this."),
    "signature": Meant("credentials", "The identity source does not accept our signature."),
    "busy": Meant("rate_limit", "The identity source asks to be left alone for a while."),
    "internal": Meant("server", "The identity source failed at the question."),
}
"""What the codes of its signed Faults mean; a Fault without a code that is known says nothing."""


class IdentitySource:
    """The identity source.

    Args:
        name: of the back-end in the settings.
        client: calls it.
        clock: the present moment, aware.
    """

    def __init__(self, name: str, client: SoapClient, clock: Callable[[], datetime]) -> None:
        self._name = name
        self._client = client
        self._clock = clock

    def ask(self, question: Question) -> Reply:
        """Ask it, once. Raises as `integrations.backend.Backend.ask` does."""
        # Of this one message: no reply that was signed for another can stand for ours.
        message = randomness.token_urlsafe(24)
        values = {
            "messageId": message,
            "requestKey": question.key,
            "purpose": question.purpose,
            **self._asked(question.parameters),
        }
        try:
            reply = self._client.call(_OPERATION, values)
        except SignedFault as signed:
            raise self._meant(signed, message) from signed
        self._check(reply, values)
        note = reply.note
        text = None if note is None else Bilingual(ar=note.ar, en=note.en)
        return Reply(ANSWERS[reply.result], self._clock(), reply.result, text)

    def _asked(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        missing = next((each for each in ("kind", "identifier") if each not in parameters), None)
        if missing is not None:
            raise self._wrong("missing_parameter", f"has no {missing}")
        unknown = sorted(parameters.keys() - _PARAMETERS)
        if unknown:
            raise self._wrong("unknown_parameter", f"has {unknown[0]}, which the source is not to know")
        # By name alone in what is said of it: the value is a person's.
        kind: Kind | None = next((each for each in _PERSONS if each == parameters["kind"]), None)
        if kind is None:
            raise self._wrong("wrong_parameter", "has a kind that the source does not know")
        number = parameters["identifier"]
        if fault(kind, number) is not None:
            raise self._wrong("wrong_parameter", "has an identifier that is not of its kind")
        asked: dict[str, Any] = {"person": {_PERSONS[kind]: number}}
        if "name" in parameters:
            asked["name"] = parameters["name"]
        if "born" in parameters:
            asked["birthDate"] = self._day(parameters["born"])
        return asked

    def _day(self, written: str) -> date:
        try:
            # Python also reads weeks and dates without dashes.
            return date.fromisoformat(written if _DAY.fullmatch(written) else "")
        except ValueError:
            raise self._wrong("wrong_parameter", "has a day of birth that is none") from None

    def _check(self, reply: Any, values: Mapping[str, Any]) -> None:
        if reply.messageId != values["messageId"] or reply.requestKey != values["requestKey"]:
            raise self._no_answer("not_ours", "The reply is to another message than ours.")
        about = {name: getattr(reply.person, name) for name in _PERSONS.values()}
        if {name: number for name, number in about.items() if number is not None} != values["person"]:
            raise self._no_answer("not_ours", "The reply is about another person than was asked for.")

    def _meant(self, signed: SignedFault, message: str) -> BackendUnavailable | BackendRejection:
        said = {} if signed.detail is None else _said(signed.detail)
        if said.get("messageId") != message:
            return self._no_answer("not_ours", "The fault is of another message than ours.")
        meant = FAULTS[said["code"]]
        if meant.rejects:
            return failures.rejection(self._name, meant.reason, meant.message)
        return self._no_answer(meant.reason, meant.message)

    def _wrong(self, reason: str, what: str) -> BackendRejection:
        return failures.rejection(self._name, reason, f"The question to the identity source {what}.")

    def _no_answer(self, reason: str, message: str) -> BackendUnavailable:
        return failures.unavailable(self._name, reason, message)


def _said(detail: etree._Element) -> dict[str, str]:
    # As its schema has it: the contract declares one detail, and it was validated.
    return {etree.QName(child).localname: child.text or "" for child in detail}


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The identity source of a section of the settings.

    Raises:
        SettingsError: a file that the section names cannot be used, or it names a way of signing.
    """
    if section.signed != "no":
        # Passed over, it would seem to be followed.
        raise SettingsError(
            "What the identity source says is always signed, by WS-Security.",
            place=f"backends.{name}.signed",
            remedy=f"Leave out signed and answer_keys; keep its certificates as the secret "
            f"backend-{name}-certificates.",
        )
    trust = _trust(name, section)
    limits = Limits(section.timeout, section.whole_time, LARGEST_REPLY)
    key_name, certificates_name = f"backend-{name}-key", f"backend-{name}-certificates"

    def post(message: bytes, action: str) -> Received:
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
        if section.secret is not None:
            headers["Authorization"] = f"Bearer {_secret(name, secrets, section.secret)}"
        return exchange.post(section.url, message, headers, limits, trust)

    def key() -> SigningKey | None:
        if key_name not in secrets.names():
            return None
        try:
            return read_key(_secret(name, secrets, key_name), f"secret {key_name}")
        except InvalidInput as error:
            raise failures.unavailable(name, "credentials", error.message, remedy=error.remedy) from error

    def lookup(reference: KeyReference) -> bytes | None:
        if not isinstance(reference, ByCertificate):
            return None
        pem = _secret(name, secrets, certificates_name).encode()
        try:
            known = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(pem)]
        except ValueError:
            raise failures.unavailable(
                name,
                "credentials",
                f"The secret {certificates_name} holds no certificates in PEM.",
                remedy="Keep the certificates that the source signs by under this name.",
            ) from None
        return next((der for der in known if hashlib.sha256(der).digest() == reference.sha256), None)

    read = contract(_FOLDER / "identity.wsdl", _FOLDER / "identity.xsd")
    return IdentitySource(name, SoapClient(name, read, post, key, lookup, clock), clock)


def _secret(name: str, secrets: SecretFile, wanted: str) -> str:
    try:
        return secrets.get(wanted).reveal()
    except NotFound as error:
        raise failures.unavailable(name, "credentials", error.message, remedy=error.remedy) from error


def _trust(name: str, section: Section) -> ssl.SSLContext:
    try:
        if section.ca is not None:
            trust = ssl.create_default_context(cafile=str(section.ca))
        else:
            trust = httpx.create_ssl_context(trust_env=False)
        if section.certificate is not None:
            trust.load_cert_chain(section.certificate, section.key)
    except OSError as error:
        raise SettingsError(
            "A certificate or key of the back-end cannot be used.",
            place=f"backends.{name}",
            remedy="Check ca, certificate and key.",
        ) from error
    return trust
