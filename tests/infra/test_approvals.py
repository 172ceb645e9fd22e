"""Runs that another engineer has to approve: what is shown, what is bound, what voids it."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from foundation import audit
from foundation.assets import Asset, Kind
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, PermissionDenied, Stale
from infra.plays import decisions
from infra.plays.records import PlayChange, PlayRun, changes_of, get_run
from lab.sshd import SshServer
from tests.infra.conftest import WritePlaybook
from tests.infra.test_plays import World

WRITE = """
- name: Write the word
  ansible.builtin.copy: {dest: "%s/word", content: "{{ word }}\\n"}
- name: Look at it
  ansible.builtin.command: cat %s/word
  changed_when: false
"""


@pytest.fixture
def world(database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer) -> World:
    path = write_playbook("write", WRITE.strip() % (server.home, server.home))
    needs_approval(path)
    (server.home / "word").write_text("old\n", encoding="utf-8")
    made = World(database, tmp_path / "platform", path.parent)
    made.add("good", server.attributes())
    return made


def needs_approval(path: Path) -> None:
    given = path.read_text(encoding="utf-8")
    path.write_text(given.replace("approval: none", "approval: needed"), encoding="utf-8")


def checked(world: World, word: str = "new") -> PlayRun:
    """A run that was checked and awaits its approval."""
    run_id = world.request("write", parameters={"word": word}, enqueue=False)
    world.plays.perform(run_id)
    run = world.run(run_id)
    assert run.state == "awaiting_approval", run.reason
    return run


def approve(world: World, run: PlayRun, by: str = "person/omar") -> None:
    with world.database.transaction() as session:
        assert run.plan is not None
        world.plays.approve(session, run.id, by=by, plan=run.plan[:12])


def changes(world: World, run: PlayRun) -> list[PlayChange]:
    with world.database.transaction() as session:
        return changes_of(session, run.id)


def kinds(world: World, run: PlayRun) -> list[str]:
    dull = ("task_started", "host_ok", "host_changed", "host_skipped")
    names = [event.kind.removeprefix("play.") for event in world.events(run.id)]
    return [name for name in names if name not in dull]


def test_what_is_shown_is_approved_by_another_and_done(world: World, server: SshServer) -> None:
    run = checked(world)
    word = server.home / "word"
    assert word.read_text(encoding="utf-8") == "old\n"
    (change,) = changes(world, run)
    assert (change.host, change.number, change.task) == ("good", 1, "Write the word")
    assert "-old" in change.diff
    assert "+new" in change.diff

    approve(world, run)
    world.plays.perform(run.id)
    done = world.run(run.id)
    assert (done.state, done.approved_by, done.approved_plan) == ("successful", "person/omar", run.plan)
    assert word.read_text(encoding="utf-8") == "new\n"
    assert world.hosts(run.id)["good"].changed == 1
    assert kinds(world, run) == [
        "requested", "checking", "planned", "approved", "checking", "started", "finished",
    ]  # fmt: skip
    with world.database.transaction() as session:
        trail = [(entry.actor, entry.action) for entry in audit.entries(session, f"play/{run.id}")]
        assert world.plays.locks.held(session) == []
    assert ("person/sara", "play.requested") in trail
    assert ("person/omar", "play.approved") in trail


@pytest.mark.parametrize("by", ["person/sara", "cli/sara", "cli/SARA", "client/cli-sara"])
def test_nobody_approves_what_he_asked_for(world: World, by: str) -> None:
    run = checked(world)
    with pytest.raises(PermissionDenied, match="asked for run"):
        approve(world, run, by=by)
    assert world.run(run.id).state == "awaiting_approval"


def test_the_database_itself_takes_no_approval_of_ones_own(world: World) -> None:
    run = checked(world)
    with (
        pytest.raises(IntegrityError, match="ck_play_run_two_people"),
        world.database.transaction() as session,
    ):
        session.execute(
            text(
                "UPDATE play_run SET state = 'approved', approved_by = 'cli/sara', approved_plan = plan, "
                "approved_at = now() WHERE id = :id"
            ),
            {"id": run.id},
        )


def test_a_host_that_changed_meanwhile_voids_the_approval(world: World, server: SshServer) -> None:
    run = checked(world)
    approve(world, run)
    (server.home / "word").write_text("somebody else's\n", encoding="utf-8")
    world.plays.perform(run.id)
    again = world.run(run.id)
    assert (again.state, again.approved_by) == ("awaiting_approval", None)
    assert again.plan != run.plan
    assert "another change than the one person/omar approved" in str(again.decided_reason)
    assert "-somebody else's" in changes(world, again)[0].diff
    assert (server.home / "word").read_text(encoding="utf-8") == "somebody else's\n"
    with pytest.raises(Stale, match="The plan of run"):
        approve(world, run)
    approve(world, again)
    world.plays.perform(run.id)
    assert world.run(run.id).state == "successful"
    assert (server.home / "word").read_text(encoding="utf-8") == "new\n"
    assert "approval_voided" in kinds(world, run)


def test_a_host_that_joins_meanwhile_voids_the_approval(world: World, server: SshServer) -> None:
    run = checked(world)
    approve(world, run)
    world.add("second", server.attributes())
    world.plays.perform(run.id)
    assert (world.run(run.id).state, world.run(run.id).targets) == ("queued", ["good", "second"])
    world.plays.perform(run.id)
    again = world.run(run.id)
    assert (again.state, again.approved_by) == ("awaiting_approval", None)
    assert {change.host for change in changes(world, again)} == {"good", "second"}
    assert (server.home / "word").read_text(encoding="utf-8") == "old\n"


def test_a_variable_of_a_host_that_changed_voids_the_approval(world: World, server: SshServer) -> None:
    run = checked(world)
    approve(world, run)
    with world.database.transaction() as session:
        attributes = {**server.attributes(), "ansible_remote_tmp": str(server.home / "other")}
        asset = Asset("good", Kind.HOST, Bilingual(ar="good", en="good"), attributes=attributes)
        world.assets.edit(session, asset, actor="test")
    world.plays.perform(run.id)
    assert world.run(run.id).state == "awaiting_approval"
    assert (server.home / "word").read_text(encoding="utf-8") == "old\n"


def test_a_playbook_that_changed_is_neither_checked_nor_done(world: World, server: SshServer) -> None:
    run = checked(world)
    approve(world, run)
    path = world.settings.plays.folders[0] / "write.yml"
    path.write_text(path.read_text(encoding="utf-8") + "# one more line\n", encoding="utf-8")
    world.plays.perform(run.id)
    ended = world.run(run.id)
    assert ended.state == "failed"
    assert "The playbook was changed after the run was requested" in str(ended.reason)
    assert "Nothing was changed." in str(ended.reason)
    assert (server.home / "word").read_text(encoding="utf-8") == "old\n"


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [("abc", InvalidInput, "first 12 characters"), ("0" * 64, Stale, "and not 000000000000")],
)
def test_another_digest_approves_nothing(world: World, plan: str, error: type[Exception], words: str) -> None:
    run = checked(world)
    with pytest.raises(error, match=words), world.database.transaction() as session:
        world.plays.approve(session, run.id, by="person/omar", plan=plan)
    assert world.run(run.id).state == "awaiting_approval"


def test_a_rejected_run_ends_with_its_reason(world: World, server: SshServer) -> None:
    run = checked(world)
    with world.database.transaction() as session:
        decisions.reject(session, run.id, by="person/omar", reason="Not this week.")
    ended = world.run(run.id)
    assert (ended.state, ended.reason) == ("rejected", "person/omar rejected it: Not this week.")
    with pytest.raises(Conflict, match="nothing to approve"):
        approve(world, run)
    world.plays.perform(run.id)
    assert (server.home / "word").read_text(encoding="utf-8") == "old\n"


def test_a_run_that_awaits_its_approval_is_cancelled_at_once(world: World) -> None:
    run = checked(world)
    with world.database.transaction() as session:
        decisions.cancel(session, run.id, by="person/sara", reason="mistaken")
    ended = world.run(run.id)
    assert (ended.state, ended.cancelled_by) == ("cancelled", "person/sara")
    assert "It was cancelled by person/sara (mistaken). Nothing was changed." in str(ended.reason)
    with world.database.transaction() as session, pytest.raises(Conflict, match="has ended already"):
        decisions.cancel(session, run.id, by="person/sara")


def test_a_check_that_fails_is_shown_to_nobody_for_approval(world: World, server: SshServer) -> None:
    world.add("closed", {**server.attributes(), "ansible_port": 1})
    run_id = world.request("write", parameters={"word": "new"}, enqueue=False)
    world.plays.perform(run_id)
    ended = world.run(run_id)
    assert (ended.state, ended.plan) == ("failed", None)
    assert "The check failed. Not well: closed (unreachable)" in str(ended.reason)
    assert "Nothing was changed." in str(ended.reason)


def test_a_mere_check_keeps_what_it_shows_and_needs_nobody(world: World) -> None:
    run = world.ran("write", parameters={"word": "new"}, check=True, diff=True)
    assert (run.state, run.approval_needed) == ("successful", False)
    assert "+new" in changes(world, run)[0].diff
    assert run.plan == checked(world).plan


def test_an_emergency_says_why_and_still_needs_another_engineer(
    world: World, write_playbook: WritePlaybook
) -> None:
    write_playbook("ping", "- ansible.builtin.ping:")
    run_id = world.request("ping", emergency="The data centre burns", enqueue=False)
    world.plays.perform(run_id)
    assert world.run(run_id).state == "awaiting_approval"
    assert "emergency" in kinds(world, world.run(run_id))
    with pytest.raises(InvalidInput, match="needs its reason"):
        world.request("ping", emergency=" ")


def test_what_is_approved_is_put_before_the_workers_once(world: World) -> None:
    run = checked(world)
    approve(world, run)
    with world.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")) == 1
        assert get_run(session, run.id).job_id is not None
    with pytest.raises(Conflict, match=r"run \d+ is approved"):
        approve(world, run)
