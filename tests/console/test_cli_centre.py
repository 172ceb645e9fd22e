"""`rakeeza centre`, run as a person runs it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from integrations.centres.authority import REASONS
from tests.console.rakeeza_types import Done, Rakeeza
from tests.integrations.centre_office import CONTRACT, a_national_id

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """A contract's file."""
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT, encoding="utf-8")
    return path


def _add(rakeeza: Rakeeza, contract: Path, code: str = "centre-7") -> Done:
    return rakeeza(
        "centre", "add", code, str(contract), "--title-ar", "مركز سبعة", "--title-en", "Centre seven"
    )


def _clerk(rakeeza: Rakeeza, name: str = "أمل", clerk: str = "amal", number: int = 1) -> Done:
    person = ("--kind", "national_id", "--identifier", a_national_id(number))
    told = ("--name", name, "--branch", "mall", *person)
    return rakeeza("centre", "clerk", "add", "centre-7", clerk, *told)


PERSON = ("--kind", "national_id", "--identifier", a_national_id(1))


def _request(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre-7")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    path = folder / "request.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def _public_key(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    path = folder / "clerk.pem"
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def test_a_centre_is_kept_with_its_contract_clerks_devices_and_keys(
    rakeeza: Rakeeza, contract: Path, tmp_path: Path
) -> None:
    added = _add(rakeeza, contract)
    assert added.code == 0, added.err
    assert "from 2026-01-01 to 2028-12-31" in added.out
    made = _clerk(rakeeza, "أمل بنت سعد")
    assert made.out.startswith("rkc_")
    key = rakeeza("centre", "clerk", "key", "centre-7", "amal", str(_public_key(tmp_path))).out.strip()
    assert len(key) == 64
    device = rakeeza("centre", "device", "add", "centre-7", "pc-1", "--branch", "mall", "--title", "Desk 1")
    assert device.code == 0
    first = rakeeza("centre", "rotate-key", "centre-7", str(_request(tmp_path)))
    certificate = x509.load_pem_x509_certificate(first.out.encode())
    out = tmp_path / "new.pem"
    asked = (str(_request(tmp_path)), "--out", str(out), "--revoke-old")
    assert rakeeza("centre", "rotate-key", "centre-7", *asked).code == 0
    assert x509.load_pem_x509_certificate(out.read_bytes()).serial_number != certificate.serial_number

    shown = rakeeza("centre", "show", "centre-7", "--json").rows
    assert shown["state"] == "active"
    assert [each["name"] for each in shown["clerks"]] == ["أمل بنت سعد"]
    assert shown["clerks"][0]["keys"] == [key]
    assert [each["code"] for each in shown["devices"]] == ["pc-1"]
    assert sorted(each["state"] for each in shown["certificates"]) == ["active", "revoked"]
    assert "amal" in rakeeza("centre", "show", "centre-7").out
    (listed,) = rakeeza("centre", "list", "--format", "json").rows
    assert (listed["code"], listed["contract"], listed["today"]) == ("centre-7", "1448/7", "0 of no limit")


def test_a_clerk_and_his_key_and_a_device_are_stopped(
    rakeeza: Rakeeza, contract: Path, tmp_path: Path
) -> None:
    _add(rakeeza, contract)
    secret = _clerk(rakeeza, "أمل").out
    assert rakeeza("centre", "clerk", "secret", "centre-7", "amal").out != secret
    key = rakeeza("centre", "clerk", "key", "centre-7", "amal", str(_public_key(tmp_path))).out.strip()
    rakeeza("centre", "device", "add", "centre-7", "pc-1", "--branch", "mall", "--title", "Desk 1")
    assert rakeeza("centre", "clerk", "revoke-key", "centre-7", "amal", key).code == 0
    assert rakeeza("centre", "clerk", "revoke-key", "centre-7", "amal", key).code == 66
    assert rakeeza("centre", "clerk", "stop", "centre-7", "amal").code == 0
    assert rakeeza("centre", "device", "stop", "centre-7", "pc-1").code == 0
    shown = rakeeza("centre", "show", "centre-7", "--json").rows
    assert (shown["clerks"][0]["active"], shown["clerks"][0]["keys"]) == (False, [])
    assert not shown["devices"][0]["active"]
    assert rakeeza("centre", "clerk", "enable", "centre-7", "amal").code == 0
    assert rakeeza("centre", "device", "enable", "centre-7", "pc-1").code == 0
    shown = rakeeza("centre", "show", "centre-7", "--json").rows
    assert shown["clerks"][0]["active"]
    assert shown["devices"][0]["active"]


def test_one_certificate_is_revoked_and_the_others_go_on(
    rakeeza: Rakeeza, contract: Path, tmp_path: Path
) -> None:
    _add(rakeeza, contract)
    stolen, kept = (
        x509.load_pem_x509_certificate(
            rakeeza("centre", "rotate-key", "centre-7", str(_request(tmp_path))).out.encode()
        )
        for _ in range(2)
    )
    asked = ("centre", "revoke-key", "centre-7", f"{stolen.serial_number:x}", "--reason")
    assert rakeeza(*asked, "because").code == 2
    assert rakeeza(*asked, "key-compromise").code == 0
    shown = rakeeza("centre", "show", "centre-7", "--json").rows["certificates"]
    assert {int(each["serial"], 16): each["state"] for each in shown} == {
        stolen.serial_number: "revoked",
        kept.serial_number: "active",
    }
    assert rakeeza("centre", "revoke-key", "centre-7", "ab", "--reason", "superseded").code == 66


def test_each_reason_of_the_list_of_revocations_can_be_given(
    rakeeza: Rakeeza, contract: Path, tmp_path: Path
) -> None:
    _add(rakeeza, contract)
    for reason in REASONS:
        pem = rakeeza("centre", "rotate-key", "centre-7", str(_request(tmp_path))).out.encode()
        serial = f"{x509.load_pem_x509_certificate(pem).serial_number:x}"
        asked = ("centre", "revoke-key", "centre-7", serial, "--reason", reason.replace("_", "-"))
        assert rakeeza(*asked).code == 0


def test_a_centre_is_suspended_resumed_and_ended(rakeeza: Rakeeza, contract: Path, tmp_path: Path) -> None:
    _add(rakeeza, contract)
    rakeeza("centre", "rotate-key", "centre-7", str(_request(tmp_path)))
    assert rakeeza("centre", "suspend", "centre-7", "--reason", "a complaint").code == 0
    assert "a complaint" in rakeeza("centre", "show", "centre-7").out
    assert rakeeza("centre", "suspend", "centre-7", "--reason", "again").code == 65
    assert rakeeza("centre", "resume", "centre-7", "--reason", "it was wrong").code == 0
    assert rakeeza("centre", "end", "centre-7", "--reason", "over", "--yes").code == 0
    shown = rakeeza("centre", "show", "centre-7", "--json").rows
    assert shown["state"] == "ended"
    assert shown["contracts"][0]["ended_at"] is not None
    assert [each["state"] for each in shown["certificates"]] == ["revoked"]
    refused = rakeeza("centre", "resume", "centre-7", "--reason", "please")
    assert refused.code == 65
    assert "ended" in refused.err
    contract.write_text(CONTRACT.replace("1448/7", "1451/1"), encoding="utf-8")
    assert "for good" in rakeeza("centre", "agree", "centre-7", str(contract)).err


def test_a_report_is_a_table_or_json(rakeeza: Rakeeza, contract: Path) -> None:
    _add(rakeeza, contract)
    day = datetime.now(UTC).date().isoformat()
    told = rakeeza("centre", "report", "centre-7", "--json").rows
    assert told["total"]["applications"] == 0
    assert told["owed"] == "0.00"
    assert told["from"] == told["to"][:8] + "01"
    table = rakeeza("centre", "report", "centre-7", "--from", "2026-01-01", "--to", day).out
    assert "centre-7, 2026-01-01 to" in table
    assert "Owed to it by the books today: 0.00; of this 0.00" in table
    assert rakeeza("centre", "report", "centre-8").code == 66
    late = rakeeza("centre", "report", "centre-7", "--from", "2026-02-01", "--to", "2026-01-01")
    assert late.code == 65


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("last_day: 2028-12-31", "last_day: 2025-12-31", "the last day is before the first"),
        ("shop_licence:", "no_such_service:", "There is no service 'no_such_service'"),
        ('percent: "12.50"', 'percent: "112.50"', "/services/shop_licence/share/percent"),
        ("branches:", "brunches:", "unknown key"),
        (
            "{share:",
            "{branches: [airport], share:",
            "shop_licence is delegated to the branch 'airport', which is not one of its",
        ),
        (
            "{share:",
            "{procedures: [void], share:",
            "'void' of shop_licence is not offered at service centres",
        ),
    ],
)
def test_a_contract_that_cannot_be_is_refused_with_its_reason(
    rakeeza: Rakeeza, contract: Path, wrong: str, right: str, said: str
) -> None:
    contract.write_text(CONTRACT.replace(wrong, right), encoding="utf-8")
    refused = _add(rakeeza, contract)
    assert refused.code in (65, 66)
    assert said in refused.err
    assert rakeeza("centre", "list", "--format", "json").rows == []
    # Nor is its client made.
    assert "centre-7" not in rakeeza("identity", "client", "list").out


def test_no_two_contracts_cover_a_day(rakeeza: Rakeeza, contract: Path) -> None:
    _add(rakeeza, contract)
    assert _add(rakeeza, contract).code == 65
    more = CONTRACT.replace("1448/7", "1451/1")
    contract.write_text(more, encoding="utf-8")
    refused = rakeeza("centre", "agree", "centre-7", str(contract))
    assert (refused.code, "1448/7 of centre-7 covers days of this one" in refused.err) == (65, True)
    later = more.replace("2026-01-01", "2029-01-01").replace("2028-12-31", "2031-12-31")
    contract.write_text(later, encoding="utf-8")
    assert rakeeza("centre", "agree", "centre-7", str(contract)).code == 0
    shown = rakeeza("centre", "show", "centre-7", "--json").rows
    assert [each["reference"] for each in shown["contracts"]] == ["1448/7", "1451/1"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("clerk", "add", "centre-7", "Amal", "--name", "x", "--branch", "mall", *PERSON), 65),
        (("clerk", "add", "centre-7", "amal", "--name", "x", "--branch", "airport", *PERSON), 65),
        (("clerk", "add", "centre-7", "amal", "--name", "x", "--branch", "mall"), 2),
        (("clerk", "add", "centre-7", "amal", "--name", "x", "--branch", "mall", *PERSON[:3], "1"), 65),
        (("clerk", "move", "centre-7", "nobody", "port"), 66),
        (("device", "add", "centre-7", "pc.1", "--branch", "mall", "--title", "x"), 65),
        (("settle", "centre-9", "--until", "2026-01-01"), 66),
        (("settle", "centre-7", "--until", "2999-01-01"), 65),
        (("transferred", "centre-7", "1", "--reference", "T", "--day", "2026-01-01"), 66),
        (("statement", "centre-7", "1"), 66),
        (("statements", "centre-9"), 66),
        (("evidence", "centre-9"), 66),
        (("clerk", "stop", "centre-7", "nobody"), 66),
        (("clerk", "secret", "centre-7", "nobody"), 66),
        (("device", "stop", "centre-7", "nothing"), 66),
        (("close-shift", "centre-7", "1", "--counted", "1.00"), 66),
        (("close-shift", "centre-7", "1", "--counted", "1.001"), 2),
        (("suspend", "centre-9", "--reason", "x"), 66),
        (("suspend", "centre-7", "--reason", " "), 65),
    ],
)
def test_what_cannot_be_is_told(
    rakeeza: Rakeeza, contract: Path, arguments: tuple[str, ...], code: int
) -> None:
    _add(rakeeza, contract)
    assert rakeeza("centre", *arguments).code == code


def test_a_key_that_is_none_of_a_clerk_is_refused(rakeeza: Rakeeza, contract: Path, tmp_path: Path) -> None:
    _add(rakeeza, contract)
    _clerk(rakeeza, "x")
    _clerk(rakeeza, "y", "badr", 2)
    other = tmp_path / "other.pem"
    big = ec.generate_private_key(ec.SECP384R1()).public_key()
    other.write_bytes(big.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert rakeeza("centre", "clerk", "key", "centre-7", "amal", str(other)).code == 65
    other.write_bytes(b"nothing of a key")
    assert rakeeza("centre", "clerk", "key", "centre-7", "amal", str(other)).code == 65
    shared = str(_public_key(tmp_path))
    assert rakeeza("centre", "clerk", "key", "centre-7", "amal", shared).code == 0
    assert rakeeza("centre", "clerk", "key", "centre-7", "badr", shared).code == 65


def test_a_person_is_one_clerk_of_a_centre_whatever_he_is_called(rakeeza: Rakeeza, contract: Path) -> None:
    _add(rakeeza, contract)
    assert _clerk(rakeeza, "أمل بنت سعد").code == 0
    again = _clerk(rakeeza, "أمل الأخرى", "amal2")
    assert (again.code, "is the clerk amal of centre-7 already" in again.err) == (65, True)
    rakeeza("centre", "clerk", "stop", "centre-7", "amal")
    # Nor when he was stopped: it would be a second name for one person.
    assert _clerk(rakeeza, "أمل الأخرى", "amal2").code == 65
    moved = rakeeza("centre", "clerk", "move", "centre-7", "amal", "port")
    assert moved.out == "amal of centre-7 works at port.\n"
    assert rakeeza("centre", "show", "centre-7", "--json").rows["clerks"][0]["branch"] == "port"


def test_a_contract_takes_the_place_of_another_from_tomorrow_on(rakeeza: Rakeeza, contract: Path) -> None:
    _add(rakeeza, contract)
    more = CONTRACT.replace("1448/7", "1449/2")
    contract.write_text(more, encoding="utf-8")
    begun = rakeeza("centre", "agree", "centre-7", str(contract), "--instead-of", "1448/7")
    assert (begun.code, "begins tomorrow or later" in begun.err) == (65, True)
    contract.write_text(more.replace("2026-01-01", "2028-01-01"), encoding="utf-8")
    stranger = rakeeza("centre", "agree", "centre-7", str(contract), "--instead-of", "1447/1")
    assert (stranger.code, "has no contract '1447/1'" in stranger.err) == (65, True)
    assert rakeeza("centre", "agree", "centre-7", str(contract), "--instead-of", "1448/7").code == 0
    days = [
        (each["reference"], each["first_day"], each["last_day"])
        for each in rakeeza("centre", "show", "centre-7", "--json").rows["contracts"]
    ]
    assert days == [("1448/7", "2026-01-01", "2027-12-31"), ("1449/2", "2028-01-01", "2028-12-31")]


def test_settling_what_is_not_there_says_so_and_lists_nothing(rakeeza: Rakeeza, contract: Path) -> None:
    _add(rakeeza, contract)
    nothing = rakeeza("centre", "settle", "centre-7", "--until", "2026-01-31")
    assert (nothing.code, nothing.out) == (0, "centre-7: nothing is left to settle up to 2026-01-31.\n")
    (still,) = rakeeza("centre", "statements", "centre-7", "--format", "json").rows
    assert (still["state"], still["total"]) == ("not settled", "0.00")


def test_the_evidence_of_a_centre_that_did_nothing_holds(rakeeza: Rakeeza, contract: Path) -> None:
    _add(rakeeza, contract)
    found = rakeeza("centre", "evidence", "centre-7")
    assert (found.code, "0 proofs, named by 0 entries of the journal: all hold" in found.out) == (0, True)
    assert rakeeza("centre", "evidence", "centre-7", "--format", "json").rows == []
