"""Payments that a real payment system tells a real server of ours, and what is not believed to be one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from foundation.errors import InvalidInput, NotAuthenticated
from foundation.http import create_app
from foundation.secret import SecretFile
from foundation.settings import Settings
from foundation.wire.content_digest import content_digest
from foundation.wire.http_signature import Message, asked, sign
from integrations.backends import sadad
from integrations.bill_presentment import Request, open_presenter
from integrations.cases import bill_uploads
from integrations.desks.bills import BillsDesk
from integrations.entrypoints import bill_notices
from tests.foundation.http_face import served
from tests.integrations.backends.payment_system import PaymentSystem, keep_token, section_of
from tests.integrations.money_office import AMOUNT, AUDITOR, MoneyOffice


@dataclass
class _Listening:
    bills: BillsDesk
    url: str
    seconds: list[float]


@pytest.fixture
def listening(house: MoneyOffice, system: PaymentSystem, tmp_path: Path) -> Iterator[_Listening]:
    """Our server; its clock goes wrong by `seconds`."""
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    keep_token(secrets)
    wrong = [0.0]

    def clock() -> datetime:
        # A signature is of the moment of this machine, whatever day the office has.
        return datetime.now(UTC) + timedelta(seconds=wrong[-1])

    settings = Settings(backends={"bills": section_of(system, tmp_path)})
    bills = BillsDesk(house.money.desk, house.money, open_presenter(settings, secrets, clock))
    app = create_app("Notices", max_body=10_000)
    app.include_router(bill_notices.router(bills))
    with served(app) as url:
        system.told("answer", notices=f"{url}{bill_notices.PATH}")
        yield _Listening(bills, url, wrong)


def test_a_payment_that_the_system_tells_of_settles_its_bill(
    house: MoneyOffice, listening: _Listening, system: PaymentSystem
) -> None:
    number, bill = house.billed()
    listening.bills.upload()
    at = house.now[-1].isoformat()
    paid = system.pay(bill, AMOUNT, paid_at=at)
    assert paid["status"] == 201
    assert (house.bill(bill)["state"], house.state(number)) == ("settled", "paid")
    # The payment system has taken it down itself, and agrees when it is told so.
    assert listening.bills.upload() == 1
    assert house.events(bill_uploads.DISCREPANCY) == []
    again = system.pay(bill, AMOUNT, paid_at=at, reference=paid["reference"], settled=False)
    assert again["status"] == 201
    assert house.sum("SELECT count(*) FROM case_payment") == 1
    other = system.pay(bill, "1.00", paid_at=at, reference=paid["reference"], settled=False)
    assert other["status"] == 409


def test_a_payment_may_be_refused_by_its_bank_and_made_then(
    house: MoneyOffice, listening: _Listening, system: PaymentSystem
) -> None:
    _, bill = house.billed()
    listening.bills.upload()
    at = house.now[-1].isoformat()
    assert system.pay(bill, AMOUNT, paid_at=at, reference="SD-7", status="refused")["status"] == 201
    assert house.bill(bill)["state"] == "open"
    assert system.pay(bill, AMOUNT, paid_at=at, reference="SD-7")["status"] == 201
    assert house.bill(bill)["state"] == "settled"


def test_a_notice_that_the_payment_system_did_not_sign_just_now_is_refused(
    house: MoneyOffice, listening: _Listening, system: PaymentSystem
) -> None:
    _, bill = house.billed()
    at = house.now[-1].isoformat()
    for by in ("stranger", "nobody"):
        assert system.pay(bill, AMOUNT, paid_at=at, by=by)["status"] == 401
    for seconds in (400.0, -120.0):
        listening.seconds.append(seconds)
        assert system.pay(bill, AMOUNT, paid_at=at)["status"] == 401
    listening.seconds.append(0.0)
    assert house.sum("SELECT count(*) FROM case_payment") == 0
    assert system.pay(bill, AMOUNT, paid_at=at)["status"] == 201


def test_what_is_changed_of_a_signed_notice_is_noticed(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, tmp_path: Path
) -> None:
    _, bill = house.billed()
    pem, body = generate_key(tmp_path), json.dumps(_said(bill)).encode()
    presenter = sadad.open_presenter(
        "bills",
        section_of(system, tmp_path).model_copy(update={"answer_keys": pem.public}),
        SecretFile(tmp_path / "bills.json", tmp_path / "bills.key"),
        lambda: house.now[-1],
    )
    good = _request(pem.key, house, body)
    assert presenter.notice(good).bill_number == bill
    changed = (
        replace(good, body=body.replace(b"SD-9", b"SD-8")),
        replace(good, method="PUT"),
        replace(good, path="/bills/elsewhere"),
        replace(good, fields=[]),
        replace(good, fields=[each for each in good.fields if each[0] != "Content-Digest"]),
        _request(pem.key, house, body, covered=("@method", "content-digest")),
        _request(pem.key, house, body, covered=("@method", "@path")),
    )
    for request in changed:
        with pytest.raises(NotAuthenticated) as caught:
            presenter.notice(request)
        assert caught.value.message_ar
    assert bills.unfinished(AUDITOR)["uploads"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "0.00"},
        {"amount": "-5.00"},
        {"amount": 115.58},
        {"paid_at": "2026-11-22T07:00:00"},
        {"paid_at": 1_800_000_000},
        {"reference": "=1+1"},
        {"reference": ""},
        {"status": "perhaps"},
        {"bill_number": "26-1"},
    ],
)
def test_a_signed_notice_that_tells_of_no_payment_is_refused(
    house: MoneyOffice, system: PaymentSystem, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    pem = generate_key(tmp_path)
    section = section_of(system, tmp_path).model_copy(update={"answer_keys": pem.public})
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    presenter = sadad.open_presenter("bills", section, secrets, lambda: house.now[-1])
    body = json.dumps({**_said("2600000000013"), **wrong}).encode()
    with pytest.raises(InvalidInput) as caught:
        presenter.notice(_request(pem.key, house, body))
    assert caught.value.place == f"/{next(iter(wrong))}"


@dataclass(frozen=True)
class _Pem:
    key: ec.EllipticCurvePrivateKey
    public: Path


def generate_key(folder: Path) -> _Pem:
    """A key, and the file with its public half."""
    key = ec.generate_private_key(ec.SECP256R1())
    file = folder / "notices.pem"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return _Pem(key, file)


def _said(bill: str) -> dict[str, Any]:
    at = "2026-11-22T10:00:00+03:00"
    return {"bill_number": bill, "reference": "SD-9", "amount": AMOUNT, "paid_at": at, "status": "paid"}


def _request(
    key: ec.EllipticCurvePrivateKey,
    house: MoneyOffice,
    body: bytes,
    covered: tuple[str, ...] = ("@method", "@path", "content-digest"),
) -> Request:
    fields = [("Content-Digest", content_digest(body))]
    path = "/bills/notices"
    message = Message("POST", f"https://localhost{path}", fields)
    headers = sign(message, "sig", asked(covered, created=house.now[-1]), key)
    return Request("POST", path, [*fields, *headers.items()], body)
