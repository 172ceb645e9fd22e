"""A change of the story: shown before it is made, approved by another engineer, made once."""

from collections.abc import Iterator

from lab.municipality import Municipality
from lab.observing import Api, Observation, Step, contains, same

_WORDS = "صيانة الليلة من العاشرة. Maintenance tonight from ten."


class ChangeStory:
    """The step about a change.

    Args:
        lab: the running lab.
        api: its API.
    """

    def __init__(self, lab: Municipality, api: Api) -> None:
        self._lab, self._api = lab, api

    def steps(self) -> list[Step]:
        """These steps, from top to bottom."""
        return [Step("Show a change, approve it, make it", self._change)]

    def _change(self) -> Iterator[Observation]:
        lab, api = self._lab, self._api
        lab.ssh("rm", "-f", "notice")
        # Ansible takes ~ from passwd, and the lab's sessions have a home of their own.
        words = {"words": _WORDS, "file": str(lab.sshd.home / "notice")}
        asked = {"playbook": "notice", "limit": "lab-server", "parameters": words}
        number = api.post("/v1/plays/runs", "engineer", asked)["id"]
        where = f"/v1/plays/runs/{number}"
        run = api.until("the check", lambda: _in_state(api.get(where, "engineer"), "awaiting_approval"))
        shown = lab.rakeeza("play", "show", str(number), "--changes")
        contains("what would change", shown, f"+{_WORDS}")
        same("the notice before", lab.ssh("ls", "-A").split().count("notice"), 0)
        yield Observation("what would change is shown, and nothing did", "ssh", f"plan {run['plan'][:12]}")
        refused = api.refused(f"{where}/approve", "engineer", {"plan": run["plan"]}, status=403)
        yield Observation("who asked for it cannot approve it", "REST", str(refused["title"]))
        lab.rakeeza("play", "approve", str(number), "--plan", run["plan"][:12], "--follow")
        same("the notice", lab.ssh("cat", "notice").strip(), _WORDS)
        trail = lab.rakeeza("audit", "list", "--chain", f"play/{number}", "--format", "json")
        contains("the audit", trail, "play.approved")
        yield Observation("another engineer did, and it was made", "ssh", "the notice stands there")


def _in_state(run: dict[str, str], state: str) -> dict[str, str] | None:
    return run if run["state"] == state else None
