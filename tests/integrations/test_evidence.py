"""What was kept of an act proves it: as long as nobody touches it, and no longer."""

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from foundation.caller import Caller
from foundation.errors import PermissionDenied
from integrations.centres import certificates
from integrations.centres.evidence import Examination
from integrations.centres.rules import proof_digest
from tests.integrations.desk import ADMINISTRATOR, AUDITOR, FORM, REVIEWER, Desk, message
from tests.integrations.signed_town import AMAL, CODE, KEYED, OTHER, Kit, Town, signed
from tests.integrations.soap.signed_soap import BADR, SoapTown, open_signed, submit

pytest_plugins = ["tests.integrations.signed_fixtures"]


@pytest.fixture
def soap(desk: Desk, tmp_path: Path) -> Iterator[SoapTown]:
    with open_signed(desk, tmp_path) as town:
        yield town


def opened(town: Town, kit: Kit) -> str:
    """Open a case, signed; its number."""
    body = json.dumps(message(FORM)).encode()
    request = town.request(kit, "POST", "/v1/cases", content=body, Idempotency_Key=str(uuid.uuid4()))
    response = town.http.send(signed(request, kit, KEYED))
    assert response.status_code == 201, response.text
    return str(response.json()["number"])


def examined(desk: Desk, code: str = CODE) -> Examination:
    """What an auditor finds."""
    return desk.licensing.centres.examine(AUDITOR, code)


def faults(desk: Desk, code: str = CODE) -> list[str]:
    """What does not hold."""
    return [each.why for each in examined(desk, code).unproven]


def change(desk: Desk, statement: str, **words: Any) -> None:
    """Write into the database as somebody who has its password."""
    with desk.database.transaction() as session:
        session.execute(text(statement), words)


def test_the_acts_of_two_centres_stay_proven_also_when_their_keys_are_revoked(town: Town, kit: Kit) -> None:
    opened(town, kit)
    opened(town, town.kits[OTHER])
    assert town.desk.count("act_proof") == 2
    town.desk.licensing.centres.revoke_key(ADMINISTRATOR, CODE, AMAL, kit.clerks[AMAL].thumbprint)
    with town.desk.database.transaction() as session:
        certificates.revoke(session, kit.serial, "superseded", datetime.now(UTC))
    for code in (CODE, OTHER):
        found = examined(town.desk, code)
        assert (found.proofs, found.unproven) == (1, [])
        assert found.entries >= 1


def test_a_licence_and_all_that_follows_from_it_by_itself_leaves_no_act_without_a_proof(
    town: Town, kit: Kit
) -> None:
    desk = town.desk
    number = opened(town, kit)
    for path in (f"/v1/cases/{number}/quote", f"/v1/cases/{number}/invoice"):
        request = town.request(kit, "POST", path, Idempotency_Key=str(uuid.uuid4()))
        assert town.http.send(signed(request, kit, KEYED)).status_code in (200, 201)
    bill = desk.case(number)["invoice"]
    desk.pay(bill["bill_number"], bill["amount"])
    desk.work_off()
    assert desk.case(number)["licence"] is not None
    found = examined(desk)
    assert (found.proofs, found.unproven) == (3, [])


def test_a_proof_that_somebody_touched_is_named(town: Town, kit: Kit) -> None:
    opened(town, kit)
    desk = town.desk
    with desk.database.transaction() as session:
        kept = dict(session.execute(text("SELECT proof FROM act_proof")).scalar_one())
    other = town.kits[OTHER]
    zeros = base64.b64encode(bytes(64)).decode()
    changed = {
        "The signature of the centre does not hold.": {"centre_signature": zeros},
        "The signature of the clerk does not hold.": {"clerk_digest": base64.b64encode(bytes(32)).decode()},
        "The key of the centre is not known.": {"centre_key": other.thumbprint},
        "The key of the clerk is not known.": {"clerk_key": other.clerks[AMAL].thumbprint},
        "The proof is another's.": {"clerk": "saad"},
    }
    for why, parts in changed.items():
        forged = {**kept, **parts}
        # Whoever can write into the table can reckon the hash too; the journal still has the old one.
        words = {"proof": json.dumps(forged), "digest": proof_digest(forged)}
        change(desk, "UPDATE act_proof SET proof = CAST(:proof AS jsonb), digest = :digest", **words)
        told = faults(desk)
        assert why in told
        assert {"The proof is not kept.", "No entry of the journal names the proof."} <= set(told)
        assert len(told) == 3
    words = {"proof": json.dumps({**kept, "nonce": "another nonce of these"}), "digest": proof_digest(kept)}
    change(desk, "UPDATE act_proof SET proof = CAST(:proof AS jsonb), digest = :digest", **words)
    assert faults(desk) == ["The proof is not the one of its hash."]


def test_a_proof_that_is_gone_and_an_entry_that_was_changed_are_named(town: Town, kit: Kit) -> None:
    number = opened(town, kit)
    desk = town.desk
    found = examined(desk)
    change(desk, "UPDATE audit SET details = details || '{\"clerk\": \"badr\"}' WHERE details ? 'proof'")
    assert set(faults(desk)) == {"The entry of the journal was changed."}
    change(desk, "UPDATE audit SET details = details || '{\"clerk\": \"amal\"}' WHERE details ? 'proof'")
    assert faults(desk) == []
    change(desk, "DELETE FROM act_proof")
    (lost,) = examined(desk).unproven
    assert lost.why == "The proof is not kept."
    # An act in the centre's name that nobody has signed.
    change(desk, "UPDATE audit SET details = details - 'proof' WHERE details ? 'proof'")
    unsigned = examined(desk).unproven
    assert len(unsigned) == found.entries
    assert {each.why[:8] for each in unsigned} == {"The act "}
    assert f"case/{number}:1" in {each.what for each in unsigned}


def test_acts_over_soap_are_proven_again_also_after_the_clerk_has_another_secret(soap: SoapTown) -> None:
    desk = soap.desk
    curved = soap.town.certify(CODE, ec.generate_private_key(ec.SECP256R1()))
    assert soap.send(soap.signed(*submit())).name == "SubmitResponse"
    assert soap.send(soap.signed(*submit(), kit=curved)).name == "SubmitResponse"
    assert (examined(desk).proofs, faults(desk)) == (2, [])
    later = desk.licensing.centres.new_secret(ADMINISTRATOR, CODE, BADR).reveal()
    assert soap.send(soap.signed(*submit(), secret=later)).name == "SubmitResponse"
    assert (examined(desk).proofs, faults(desk)) == (3, [])
    with desk.database.transaction() as session:
        rows = session.execute(text("SELECT digest, proof FROM act_proof")).all()
    (row,) = [each for each in rows if each.proof["centre_key"] == curved.thumbprint]
    signed_info = base64.b64decode(row.proof["centre_signed"])
    other = base64.b64encode(signed_info.replace(b"DigestValue>", b"DigestValue> ", 1)).decode()
    zeros = base64.b64encode(bytes(20)).decode()
    for why, parts in {
        "What the centre signed is not kept.": {"centre_signed": other},
        "The signature of the centre does not hold.": {
            "centre_signature": next(each.proof for each in rows if each != row)["centre_signature"]
        },
        "The clerk's token does not hold.": {"clerk_signature": zeros},
    }.items():
        forged = {**row.proof, **parts}
        digest = proof_digest(forged)
        words = {"proof": json.dumps(forged), "digest": digest, "old": row.digest}
        change(
            desk,
            "UPDATE act_proof SET proof = CAST(:proof AS jsonb), digest = :digest WHERE digest = :old",
            **words,
        )
        assert why in faults(desk)
        back = {"proof": json.dumps(dict(row.proof)), "digest": row.digest, "old": digest}
        change(
            desk,
            "UPDATE act_proof SET proof = CAST(:proof AS jsonb), digest = :digest WHERE digest = :old",
            **back,
        )
    assert faults(desk) == []


def test_only_an_administrator_and_an_auditor_examine(town: Town, kit: Kit) -> None:
    own = Caller(kit.code, "client", frozenset({"centre"}))
    for caller in (REVIEWER, own):
        with pytest.raises(PermissionDenied):
            town.desk.licensing.centres.examine(caller, CODE)
