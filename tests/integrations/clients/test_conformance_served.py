"""The conformance suite against the API as it is served: in its own process, over TLS."""

import json
from pathlib import Path

from click.testing import CliRunner

from console.conformance import command
from integrations.centres.conformance import CHECKS
from integrations.centres.conformance.acts import TAKEN
from tests.integrations.clients.counter import Counter
from tests.integrations.signed_town import AMAL, CODE, pem


def test_the_api_as_it_is_served_conforms(counter: Counter, tmp_path: Path) -> None:
    told = counter.environment
    clerk_key, secret = tmp_path / "clerk.key", tmp_path / "clerk.secret"
    clerk_key.write_bytes(pem(counter.kit.clerks[AMAL].key))
    secret.write_text(told["CLERK_SECRET"], encoding="utf-8")
    centre = ["--centre", CODE, "--key", told["CENTRE_KEY"], "--certificate", told["CENTRE_CERT"]]
    clerk = ["--clerk-key", str(clerk_key), "--clerk", AMAL, "--clerk-secret-file", str(secret)]
    done = CliRunner().invoke(command, [told["API"], *centre, *clerk, "--ca", told["CA"], "--json"])
    report = json.loads(done.output)
    assert [each for each in report["checks"] if each["result"] == "failed"] == []
    assert done.exit_code == 0
    applying = {each.name for each in CHECKS if each.name == TAKEN or TAKEN in each.needs}
    left = {each["name"] for each in report["checks"] if each["result"] == "left out"}
    assert left == {*applying, "A device that the signature does not cover is refused"}
