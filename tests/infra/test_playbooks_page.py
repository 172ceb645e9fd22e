"""docs/playbooks.md: what it shows works."""

import re
from pathlib import Path

from foundation.database import Database
from lab.sshd import SshServer
from tests.infra.test_plays import World

PAGE = Path(__file__).parents[2] / "docs" / "playbooks.md"


def test_the_example_is_one_file_and_runs(database: Database, tmp_path: Path, server: SshServer) -> None:
    text = PAGE.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n# \S*/(\w+\.yml)\n(.*?)```", text, re.DOTALL)
    assert example is not None
    folder = tmp_path / "playbooks"
    folder.mkdir()
    (folder / example[1]).write_text(example[2], encoding="utf-8")
    world = World(database, tmp_path / "platform", folder)
    remote = server.home / "of-the-page"
    remote.mkdir()
    world.add("lab-server", {**server.attributes(), "ansible_remote_tmp": str(remote)})
    run = world.ran("greeting", parameters={"repeat": "3"})
    assert run.state == "successful", run.reason
    assert (remote / "greeting").read_text(encoding="utf-8") == "Hello. Hello. Hello. \n"
    again = world.ran("greeting", parameters={"repeat": "3"})
    assert world.hosts(again.id)["lab-server"].changed == 0


def test_every_playbook_of_the_product_says_what_is_verified_from_outside() -> None:
    folder = PAGE.parents[1] / "playbooks"
    for path in folder.glob("*.yml"):
        head = path.read_text(encoding="utf-8").partition("\n- ")[0]
        assert "verifies from outside" in head, path
