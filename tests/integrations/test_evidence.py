"""What was kept of an act proves it: as long as nobody touches it, and no longer."""

import base64
import json
import uuid
from datetime import UTC, datetime

from sqlalchemy import text

from integrations.centres import certificates, evidence
from integrations.centres.rules import proof_digest
from tests.integrations.desk import ADMINISTRATOR, FORM, message
from tests.integrations.signed_town import AMAL, CODE, KEYED, OTHER, Kit, Town, signed

pytest_plugins = ["tests.integrations.signed_fixtures"]


def opened(town: Town, kit: Kit) -> None:
    """Open a case, signed."""
    body = json.dumps(message(FORM)).encode()
    request = town.request(kit, "POST", "/v1/cases", content=body, Idempotency_Key=str(uuid.uuid4()))
    response = town.http.send(signed(request, kit, KEYED))
    assert response.status_code == 201, response.text


def faults(town: Town) -> list[str]:
    """What does not hold."""
    with town.desk.database.transaction() as session:
        return [each.why for each in evidence.unproven(session)]


def test_the_acts_of_two_centres_stay_proven_also_when_their_keys_are_revoked(town: Town, kit: Kit) -> None:
    opened(town, kit)
    opened(town, town.kits[OTHER])
    assert town.desk.count("act_proof") == 2
    town.desk.licensing.centres.revoke_key(ADMINISTRATOR, CODE, AMAL, kit.clerks[AMAL].thumbprint)
    with town.desk.database.transaction() as session:
        certificates.revoke(session, kit.serial, "superseded", datetime.now(UTC))
    assert faults(town) == []


def test_a_proof_that_somebody_touched_is_named(town: Town, kit: Kit) -> None:
    opened(town, kit)
    with town.desk.database.transaction() as session:
        kept = dict(session.execute(text("SELECT proof FROM act_proof")).scalar_one())
    other = town.kits[OTHER]
    zeros = base64.b64encode(bytes(64)).decode()
    changed = {
        "The proof is not the one of its digest.": None,
        "The signature of the centre does not hold.": {"centre_signature": zeros},
        "The signature of the clerk does not hold.": {"clerk_digest": base64.b64encode(bytes(32)).decode()},
        "The key of the centre is not known.": {"centre_key": other.thumbprint},
        "The key of the clerk is not known.": {"clerk_key": other.clerks[AMAL].thumbprint},
        "The proof is another's.": {"clerk": "saad"},
    }
    for why, change in changed.items():
        forged = {**kept, **(change or {"nonce": "another nonce of these"})}
        # Whoever can write into the table can reckon the digest too; the journal still has the old one.
        digest = proof_digest(forged) if change else proof_digest(kept)
        words = {"proof": json.dumps(forged), "digest": digest}
        with town.desk.database.transaction() as session:
            session.execute(
                text("UPDATE act_proof SET proof = CAST(:proof AS jsonb), digest = :digest"), words
            )
        assert faults(town) == [why]
