"""What the command says of certificates that end soon."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from foundation.database import Database
from foundation.identity import Identity
from foundation.settings import load
from integrations.centres.authority import LIFETIME, Authority
from integrations.centres.certificates import Certificates
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.centre_keys import new_key, request_for

pytest_plugins = ["tests.console.rakeeza_command"]


def test_the_certificates_that_end_soon_are_listed(
    rakeeza: Rakeeza, settings_file: Path, database: Database
) -> None:
    settings, now = load(settings_file, {}), datetime.now(UTC)
    secrets = settings.secrets()
    certificates = Certificates(Authority(settings, secrets))
    with database.transaction() as session:
        for name, left in (("centre-7", 10), ("centre-8", 40)):
            Identity(database, secrets, 600).add_client(session, name, ["centre"], name)
            at = now - LIFETIME + timedelta(days=left)
            certificates.issue(session, name, request_for(new_key()), at)
    asked = ("identity", "client", "expiring", "--format", "json")
    (row,) = rakeeza(*asked).rows
    assert (row["client_id"], row["renewed"]) == ("centre-7", False)
    within = [each["client_id"] for each in rakeeza(*asked, "--within", "60").rows]
    assert within == ["centre-7", "centre-8"]
    assert rakeeza(*asked, "--within", "5").rows == []
    assert rakeeza(*asked, "--within", "-1").code == 2
    with database.transaction() as session:
        certificates.issue(session, "centre-7", request_for(new_key()), now)
    assert rakeeza(*asked).rows[0]["renewed"] is True
