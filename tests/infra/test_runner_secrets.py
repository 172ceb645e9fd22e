"""Secrets of a run: used by real tasks, and found nowhere afterwards or meanwhile."""

import base64
import json
import os
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import InvalidInput
from foundation.secret import Secret
from infra.plays.masking import MASK, Masking
from infra.plays.runner import Order, run
from infra.plays.secrets import PlaySecrets
from infra.plays.vault_format import seal
from lab.sshd import SshServer
from tests.infra.conftest import MakeAsset, WritePlaybook
from tests.infra.test_runner import left, order

MARKER = 'mArKeR/of+the & "vault"-7f3a91'
KEY = "-----BEGIN KEY-----\nc2VjcmV0LWxpbmUtb25l\nc2VjcmV0LWxpbmUtdHdv\n-----END KEY-----\n"
PASSWORD = "the-password-of-the-vault"


def sealed(**variables: object) -> PlaySecrets:
    content = seal(json.dumps(variables).encode(), Secret(PASSWORD), "site")
    values = frozenset(str(value) for value in variables.values())
    return PlaySecrets({"group_vars/all/vault.yml": content}, {"site": Secret(PASSWORD)}, values)


def traces(data: bytes) -> list[bytes]:
    """Pieces of the secrets within some bytes, as they stand or encoded."""
    text = MARKER.encode()
    pieces = [text[:12], text[-12:], base64.b64encode(text)[4:20], PASSWORD.encode()]
    pieces += [urllib.parse.quote(MARKER, safe="").encode()[:16], *KEY.encode().splitlines()[1:3]]
    return [piece for piece in pieces if piece in data]


def processes(folder: Path, private: Path) -> list[bytes]:
    """Command line and environment of every process of this machine that knows the run's folders."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
        except OSError:
            continue
        if entry.name != str(os.getpid()) and (os.fsencode(folder) in words or os.fsencode(private) in words):
            found.append(words)
    return found


TASKS = """
- name: The template of {{ marker }}
  ansible.builtin.template: {dest: "HOME/filled", src: filled.j2}
- name: The key
  ansible.builtin.copy: {dest: "HOME/key", content: "{{ key }}"}
- name: Fails
  ansible.builtin.shell: cat >&2; exit 1
  args: {stdin: "{{ marker }}"}
  ignore_errors: true
- name: Encodes
  ansible.builtin.shell: read -r word; printf %s "x$word" | base64; exit 3
  args: {stdin: "{{ marker }}"}
  ignore_errors: true
- name: Says
  ansible.builtin.debug: {msg: ["{{ marker }}", {of: "{{ key }}"}, "{{ marker | urlencode }}"]}
- name: Loops
  ansible.builtin.debug: {msg: "{{ item }}"}
  loop: ["{{ marker }}", "{{ marker | b64encode }}", "{{ key }}"]
- name: Warns
  ansible.builtin.debug: {msg: "{{ marker | loud }}"}
- name: Fails to fill in
  ansible.builtin.debug: {msg: "{{ marker | of_no_one }}"}
  ignore_errors: true
- name: Waits
  ansible.builtin.shell: cat > /dev/null; sleep 1
  args: {stdin: "{{ marker }}"}
"""
FILTER = b"""
import sys
from ansible.utils.display import Display

def loud(text):
    Display().warning(f"loud {text}")
    Display().display(f"plain {text}")
    return text

class FilterModule:
    def filters(self):
        return {"loud": loud}
"""


def using_secrets(write_playbook: WritePlaybook, asset: MakeAsset, server: SshServer) -> Order:
    path = write_playbook("using", TASKS.replace("HOME", str(server.home)))
    play = order(path, asset("host"), diff=True, secrets=sealed(marker=MARKER, key=KEY))
    more = {
        "templates/filled.j2": b"first\npassword = {{ marker }}\nlast\n",
        "filter_plugins/loud.py": FILTER,
    }
    return replace(play, files={**play.files, **more})


def test_secrets_are_used_and_found_in_no_file_event_command_line_or_environment(
    write_playbook: WritePlaybook, asset: MakeAsset, server: SshServer, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    (server.home / "filled").write_text("first\npassword = an-older-secret\nlast\n", encoding="utf-8")
    events: list[dict[str, Any]] = []
    looked = 0
    private = None
    for batch in run(folder, using_secrets(write_playbook, asset, server)):
        events += batch
        private = private or Path(json.loads((folder / "run.json").read_text(encoding="utf-8"))["sockets"])
        for words in processes(folder, private):
            looked += 1
            assert traces(words) == []
        for path in folder.rglob("*"):
            if path.is_file():
                assert traces(path.read_bytes()) == [], path
    assert events[-1] == {"event": "end", "status": "successful", "code": 0}
    assert looked > 20
    assert private is not None
    assert not private.exists()
    assert left(folder) == []
    # They were there: the host has them.
    assert (server.home / "filled").read_text(encoding="utf-8") == f"first\npassword = {MARKER}\nlast\n"
    assert (server.home / "key").read_text(encoding="utf-8") == KEY

    assert traces(json.dumps(events, ensure_ascii=False).encode()) == []
    told = {event.get("task"): event for event in events if event["event"].startswith("runner_on_")}
    assert told[f"The template of {MASK}"]["diff"].splitlines()[3:6] == [
        " first",
        f"-password = {MASK}",
        f"+password = {MASK}",
    ]
    assert told["Fails"]["message"].endswith(MASK)
    assert [event["item"].strip() for event in events if event["event"] == "runner_item_on_ok"] == [MASK] * 3
    texts = [event["text"] for event in events if "text" in event]
    assert any(f"loud {MASK}" in text for text in texts)
    assert any(f"plain {MASK}" in text for text in texts)
    for path in [*folder.rglob("*"), *folder.parent.glob("*.log")]:
        if path.is_file():
            assert traces(path.read_bytes()) == [], path
    log = (folder / "output.log").read_text(encoding="utf-8")
    assert f"TASK [The template of {MASK}]" in log


def test_a_traceback_of_the_runs_own_process_holds_no_secret(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    secrets = replace(sealed(marker=MARKER), values=frozenset({MARKER, "ansible_process.py"}))
    play = order(write_playbook("ping", "- ansible.builtin.ping:"), asset("host"), secrets=secrets)
    folder = tmp_path / "run"
    stream = run(folder, play)
    (folder / "output.log").mkdir(parents=True)
    with pytest.raises(Exception, match=MASK) as caught:
        list(stream)
    assert "ansible_process.py" not in str(caught.value)
    assert "ansible_process.py" not in (folder / "process.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("passwords", [{}, {"site": Secret("another")}, {"other": Secret("another")}])
def test_a_vault_without_its_key_fails_before_any_host_is_touched(
    passwords: dict[str, Secret], write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = "- ansible.builtin.ping:\n- ansible.builtin.debug: {msg: '{{ marker }}'}"
    secrets = replace(sealed(marker=MARKER), passwords=passwords)
    play = order(write_playbook("sealed", tasks), asset("host"), secrets=secrets)
    with pytest.raises(InvalidInput, match="vault id 'site'") as caught:
        list(run(tmp_path / "run", play))
    assert caught.value.place == "group_vars/all/vault.yml:1"
    assert "rakeeza secret set" in caught.value.remedy
    assert not (tmp_path / "run").exists()


def test_a_sealed_variable_within_a_playbook_is_looked_at_too(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    lines = seal(b"inner", Secret(PASSWORD), "site").decode().split()
    value = "\n".join(f"      {line}" for line in lines)
    tasks = f"- ansible.builtin.debug: {{msg: '{{{{ inner }}}}'}}\n  vars:\n    inner: !vault |\n{value}\n"
    play = order(write_playbook("inner", tasks), asset("host"))
    with pytest.raises(InvalidInput, match="no vault password is at hand") as caught:
        list(run(tmp_path / "1", play))
    assert caught.value.place.startswith("inner.yml:")
    known = PlaySecrets(passwords={"site": Secret(PASSWORD)})
    events = [event for batch in run(tmp_path / "2", replace(play, secrets=known)) for event in batch]
    assert "inner" in [event.get("message") for event in events]


def test_an_order_that_is_printed_shows_no_secret() -> None:
    from infra.plays.inventory import Inventory

    play = Order("x", {}, Inventory([]), secrets=sealed(marker=MARKER))
    assert traces(repr(play).encode()) == []


WRITTEN = {
    "as it stands": MARKER,
    "JSON": json.dumps(MARKER),
    "JSON in JSON": json.dumps(json.dumps({"a": MARKER})),
    "repr": repr({"a": MARKER}),
    "a URL": urllib.parse.quote(MARKER, safe=""),
    "a form": urllib.parse.urlencode({"a": MARKER}),
    "hexadecimal": MARKER.encode().hex(),
    "HTML": "mArKeR/of+the &amp; &quot;vault&quot;-7f3a91",
    "broken by an end of line": MARKER[:14] + "\n    " + MARKER[14:],
    "broken base64": "\n".join(
        base64.b64encode(MARKER.encode()).decode()[at : at + 19] for at in range(0, 60, 19)
    ),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_secret_is_hidden_however_it_is_written(how: str) -> None:
    text = f"before {WRITTEN[how]} after"
    hidden = Masking({MARKER}).text(text)
    assert MASK in hidden
    assert traces("".join(hidden.split()).encode()) == []
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("after", range(3))
def test_a_secret_within_something_encoded_is_hidden_at_any_place(before: int, after: int) -> None:
    data = b"p" * before + MARKER.encode() + b"s" * after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        hidden = Masking({MARKER}).text(encode(data).decode())
        assert MASK in hidden
        # What shares a group with its neighbours may stay: two bytes at each end at most.
        assert len(hidden.replace(MASK, "")) <= 4 * ((before + 2) // 3 + (after + 2) // 3 + 1)


def test_each_line_of_a_key_is_hidden_and_the_frame_that_every_key_has_is_not() -> None:
    masking = Masking({KEY})
    indented = "".join(f"  | {line}\n" for line in KEY.splitlines())
    assert masking.text(indented).splitlines() == [
        "  | -----BEGIN KEY-----",
        f"  | {MASK}",
        f"  | {MASK}",
        "  | -----END KEY-----",
    ]
    assert masking.text(f"x{KEY}y") == f"x{MASK}\ny"


def test_a_text_that_is_cut_through_a_secret_shows_no_half_of_it() -> None:
    masking = Masking({MARKER})
    for length in range(1, 60):
        shown = masking.beginning("a" * 20 + MARKER * 40 + "b" * 500, length)
        assert "mArK" not in shown
    assert masking.beginning("short", 100) == "short"
    assert masking.beginning("b" * 5_000, 100)[:100] == "b" * 100


def test_a_secret_of_three_characters_is_hidden_only_where_it_stands_alone() -> None:
    masking = Masking({"no", "", "  "})
    assert masking.text("no") == MASK
    assert masking.text("nothing") == "nothing"
    assert masking.text("") == ""


def test_the_passwords_pipe_takes_more_than_a_pipe_holds(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    values = frozenset(f"{number:06}-{'x' * 90}" for number in range(5_000))
    secrets = replace(sealed(marker=MARKER), values=values | {MARKER})
    play = order(
        write_playbook("many", "- ansible.builtin.debug: {msg: '{{ marker }}'}"),
        asset("host"),
        secrets=secrets,
    )
    events = [event for batch in run(tmp_path / "run", play) for event in batch]
    assert MASK in [event.get("message") for event in events]
