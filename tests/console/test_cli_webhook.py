"""`rakeeza webhook`: what a client can do with its webhooks over REST, for whoever keeps the platform."""

import pytest

from console.cli.webhook import command
from integrations.contracts import licensing
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]

# An address of the public internet that nothing is sent to: there is no event.
_URL = "https://8.8.8.8/hook"
_COMMANDS = {
    "subscribe": "add",
    "list_webhooks": "list",
    "unsubscribe": "remove",
    "replay_webhook": "replay",
    "pause_webhook": "pause",
    "resume_webhook": "resume",
    "rotate_webhook_secret": "rotate-secret",
}


def test_each_thing_a_client_can_do_over_rest_has_its_command() -> None:
    methods = {"get", "put", "post", "delete", "patch"}
    operations = {
        operation["operationId"]
        for path, item in licensing()["paths"].items()
        for method, operation in item.items()
        if "/webhooks" in path and method in methods
    }
    assert operations == set(_COMMANDS)
    assert set(command.commands) == set(_COMMANDS.values())


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_new_secret_is_shown_once_and_the_one_before_signs_for_a_day(rakeeza: Rakeeza, output: str) -> None:
    made = rakeeza("webhook", "add", "centre-1", _URL, "--format", "json").rows
    done = rakeeza("webhook", "rotate-secret", str(made["id"]), "--format", output)
    assert done.code == 0
    (row,) = rakeeza("webhook", "list", "--format", "json").rows
    assert row["secret_version"] == 2
    assert row["previous_until"] in done.out
    if output == "json":
        secret = done.rows["secret"]
        assert (done.rows["id"], done.rows["previous_until"]) == (made["id"], row["previous_until"])
    else:
        secret = next(line.split()[1] for line in done.out.splitlines() if line.startswith("Secret:"))
        assert "It is shown only now" in done.out
    assert secret.startswith("whsec_")
    assert secret != made["secret"]
    assert secret not in rakeeza("webhook", "list", "--format", "json").out


def test_a_webhook_that_is_not_there_gets_no_new_secret(rakeeza: Rakeeza) -> None:
    assert rakeeza("webhook", "rotate-secret", "404").code == 66
