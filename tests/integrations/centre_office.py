"""A private centre for tests: a contract, clerks with keys, devices, a certificate of the real authority."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from sqlalchemy.orm import Session
from stdnum import luhn

from foundation import audit
from foundation.definitions import Bilingual, parse_yaml
from foundation.identity import ApiClient, Caller, Identity
from foundation.secret import SecretFile
from integrations.centres.authority import Authority
from integrations.centres.certificates import Certificates
from integrations.centres.contract import Contract
from tests.integrations.desk import FINANCE, INSPECTOR, REVIEWER, SYSTEM, Desk, message

CONTRACT = """\
reference: "1448/7"
first_day: 2026-01-01
last_day: 2028-12-31
services:
  shop_licence: {share: {percent: "12.50", fixed: "5.00"}}
branches:
  mall: {ar: المجمع, en: Mall}
  port: {ar: الميناء, en: Port}
"""
GROUNDS = {"grounds": "صدرت الرخصة لعنوان غير عنوان المحل."}
TITLE = Bilingual(ar="مركز سبعة", en="Centre seven")


@dataclass
class CentreOffice:
    """A centre in the office of a test.

    Args:
        keys: of its clerks, by id: the thumbprint.
    """

    desk: Desk
    code: str
    certificate: str = ""
    serial: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    def caller(self, clerk: str | None = "amal", device: str | None = None, **proof: str | None) -> Caller:
        """Its client, with the proof that its faces make of a signed message.

        Args:
            proof: what is otherwise in it; None leaves it out.
        """
        said: dict[str, str | None] = {
            "face": "rest",
            "centre": self.code,
            "clerk": clerk,
            "device": device,
            "message": _random(32),
            "created": self.desk.now[-1].isoformat(),
            "nonce": _random(16),
            "centre_key": self.certificate,
            "centre_signature": _random(64),
            "clerk_key": self.keys.get(clerk or ""),
            "clerk_signature": _random(64),
            **proof,
        }
        whole = {name: value for name, value in said.items() if value is not None}
        return Caller(self.code, "client", frozenset({"centre"}), clerk=clerk, proof=whole)

    def unsigned(self, clerk: str | None = None) -> Caller:
        """Its client as one who signs nothing."""
        return Caller(self.code, "client", frozenset({"centre"}), clerk=clerk)

    def clerk(
        self, clerk: str, branch: str = "mall", name: str = "أمل بنت سعد", national_id: str | None = None
    ) -> None:
        """Enrol a clerk with a key; a person of his own if it is not said who he is."""
        centres = self.desk.licensing.centres
        known = national_id or a_national_id(len(self.keys))
        centres.add_clerk(SYSTEM, self.code, clerk, name, branch, ("national_id", known))
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.keys[clerk] = centres.enrol_key(SYSTEM, self.code, clerk, pem)

    def device(self, device: str, branch: str = "mall") -> None:
        """Enrol a device."""
        self.desk.licensing.centres.add_device(SYSTEM, self.code, device, branch, device)


def contract(text: str = CONTRACT, **parts: Any) -> Contract:
    """A contract as its file has it, with other parts in the place of its own."""
    read = parse_yaml(text, "contract.yaml", Contract)
    return Contract.model_validate({**read.model_dump(), **parts}) if parts else read


def open_centre(
    desk: Desk, agreed: Contract | None = None, code: str = "centre-7", test: bool = False
) -> CentreOffice:
    """A centre with a certificate, two clerks (amal at the mall, badr at the port), two devices."""
    secrets = _secrets(desk)

    def make_client(session: Session) -> None:
        if session.get(ApiClient, code) is None:
            Identity(desk.database, secrets, 600).add_client(session, code, ["centre"], code)

    office = CentreOffice(desk, code)
    desk.licensing.centres.add(SYSTEM, code, TITLE, agreed or contract(), make_client, test)
    certify(office)
    office.clerk("amal")
    office.clerk("badr", "port", "بدر بن علي")
    office.device("pc-1")
    office.device("pc-2", "port")
    return office


def certify(office: CentreOffice, revoke_others: bool = False) -> None:
    """Give a centre a certificate, which it signs with from now on."""
    desk, key = office.desk, ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, office.code)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = desk.licensing.centres.certify(
        SYSTEM,
        office.code,
        request.public_bytes(Encoding.PEM).decode(),
        Certificates(Authority(desk.settings, _secrets(desk))),
        revoke_others=revoke_others,
    )
    made = x509.load_pem_x509_certificate(pem.encode())
    office.certificate = made.fingerprint(hashes.SHA256()).hex()
    office.serial = f"{made.serial_number:x}"


def a_national_id(number: int) -> str:
    """The national id of some person, with its check digit."""
    digits = f"10{number:07}"
    return digits + luhn.calc_check_digit(digits)


def licensed(office: CentreOffice, reference: str = "ref-1") -> tuple[str, str]:
    """A licence through the centre, paid; the numbers of case and licence."""
    desk = office.desk
    number = str(desk.do.submit(office.caller(), message()).body["number"])
    desk.do.quote(office.caller(), number)
    bill = desk.do.invoice(office.caller(), number).body
    desk.pay(bill["bill_number"], bill["amount"], reference)
    return number, str(desk.case(number)["licence"])


def void(desk: Desk, licence: str) -> None:
    """Let a licence never have been: its fees are owed back."""
    said = message(GROUNDS, applicant=None, procedure="void", licence=licence)
    desk.do.take(REVIEWER, str(desk.do.submit(INSPECTOR, said).body["number"]), "decide")


def balances(desk: Desk) -> dict[str, str]:
    """Balance of each account; the books balance."""
    found = desk.licensing.money.balance(FINANCE)
    assert found["debit"] == found["credit"]
    return {row["account"]: row["balance"] for row in found["accounts"]}


def riyadh(day: int, hour: int, minute: int = 0, second: int = 0, month: int = 11) -> datetime:
    """A moment of 2026 by the clock in Riyadh, in UTC; the kingdom has no summer time."""
    shifted = datetime(2026, month, day, hour, minute, second, tzinfo=UTC).timestamp() - 3 * 3600
    return datetime.fromtimestamp(shifted, UTC)


def details(desk: Desk, number: str, action: str) -> Mapping[str, Any]:
    """What the chain of a case holds of its first entry of an action."""
    with desk.database.transaction() as session:
        found = audit.entries(session, f"case/{number}")
        return next(entry.details for entry in found if entry.action == action)


def _secrets(desk: Desk) -> SecretFile:
    folder = desk.settings.platform.folder
    return SecretFile(folder / "secrets.json", folder / "secrets.key")


def _random(size: int) -> str:
    return base64.b64encode(os.urandom(size)).decode()
