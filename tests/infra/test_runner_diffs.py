"""Diffs of a run: what people are shown, and the digest that an approval is bound to."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from infra.plays.differences import Difference, difference
from infra.plays.masking import Masking
from lab.sshd import SshServer
from tests.infra.conftest import MakeAsset, WritePlaybook
from tests.infra.test_runner import Outcome, order

NOTHING = Masking(())


def of(before: object, after: object, masking: Masking = NOTHING, **part: Any) -> Difference:
    parts = [{"before": before, "after": after, "before_header": "/etc/motd", **part}]
    found = difference({"diff": parts}, masking)
    assert found is not None
    return found


def test_a_diff_keeps_the_order_and_lines_that_stand_twice() -> None:
    before, after = "a\nb\na\nb\n", "b\na\nb\na\nb\nb\n"
    assert of(before, after).text.splitlines() == [
        "--- /etc/motd",
        "+++ /etc/motd",
        "@@ -1,4 +1,6 @@",
        "+b",
        " a",
        " b",
        " a",
        "+b",
        " b",
    ]


def applied(before: str, shown: str) -> str:
    """What a shown diff makes of a text: as patch(1) does, with no leeway."""
    old, new, place, last = before.splitlines(keepends=True), list[str](), 0, ""
    for line in shown.splitlines(keepends=True)[2:]:
        if line.startswith("@@"):
            start, _, length = line.split()[1][1:].partition(",")
            first = int(start) - (length != "0")
            new += old[place:first]
            place = first
        elif line.startswith("\\"):
            new[-1:] = [new[-1].rstrip("\n")] if last != "-" else new[-1:]
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            assert old[place].rstrip("\n") == line[1:].rstrip("\n")
            new += [line[1:]] if line.startswith(" ") else []
            place += 1
        last = line[0]
    return "".join([*new, *old[place:]])


@pytest.mark.parametrize("seed", range(40))
def test_a_shown_diff_makes_the_one_side_into_the_other(seed: int) -> None:
    chance = random.Random(seed)
    lines = [chance.choice("abcdef") * 3 for _ in range(chance.randrange(1, 60))]
    changed = [line for line in lines if chance.random() > 0.1]
    for _ in range(chance.randrange(1, 6)):
        changed.insert(chance.randrange(len(changed) + 1), chance.choice("xyz"))
    before = "\n".join(lines) + chance.choice(["", "\n"])
    after = "\n".join(changed) + chance.choice(["", "\n"])
    assert applied(before, of(before, after).text + "\n") == after


def test_every_changed_byte_gives_another_digest_also_far_from_the_change() -> None:
    lines = [f"line {number}" for number in range(200)]
    new = "\n".join([*lines, "added"])
    digests = {of("\n".join(lines), new).digest}
    for number in range(0, 200, 7):
        other = [*lines[:number], lines[number] + ".", *lines[number + 1 :]]
        digests.add(of("\n".join(other), new).digest)
    digests |= {of("\n".join(lines) + "\n", new).digest, of("\r\n".join(lines), new).digest}
    assert len(digests) == 1 + 29 + 2


def test_what_says_where_and_when_a_check_was_made_is_in_no_digest() -> None:
    def touched(moment: float, folder: str) -> Difference:
        before = {"path": "/etc/motd", "mode": "0600", "mtime": moment, "atime": moment}
        prepared = f"--- /etc/a\t2026-11-23 18:00:{moment:02.0f} +0300\n+++ {folder}/tmpab3_d5fg/a\n"
        parts: list[dict[str, object]] = [
            {"before": before, "after": {**before, "mode": "0644", "mtime": moment + 1}},
            {"before": "", "after": "x\n", "after_header": f"{folder}/ansible-local-{moment}abc/tmpq1/t.j2"},
            {"prepared": prepared},
        ]
        found = difference({"diff": parts}, NOTHING)
        assert found is not None
        return found

    one, other = touched(10.0, "/tmp"), touched(59.0, "/tmp")
    assert one == other
    assert "mtime" not in one.text
    assert '+ "mode": "0644"' in one.text


def test_equal_sides_and_empty_parts_are_no_difference() -> None:
    moments = {"before": {"mtime": 1.0}, "after": {"mtime": 2.0}}
    for part in ({}, None, {"before": "x", "after": "x"}, moments, {"prepared": ""}):
        assert difference({"diff": [part]}, NOTHING) is None


def test_the_lines_of_a_huge_diff_are_not_matched_and_are_all_in_its_digest() -> None:
    before = "".join(f"{number}\n" for number in range(60_000))
    after = "".join(f"{number * 7 % 60_000}\n" for number in range(60_000))
    # Matching these lines with one another would take minutes.
    found = of(before, after)
    assert found.text.count("\n-") == found.text.count("\n+") - 1
    assert of(before, after[:-1] + "\r").digest != found.digest


def test_bytes_that_are_no_text_are_told_by_hash_and_size() -> None:
    found = of("caf\udce9\n", "caf\udce8\n")
    assert hashlib.sha256(b"caf\xe9\n").hexdigest() in found.text
    assert "before_bytes 5" in found.text
    assert of("caf\udcea\n", "caf\udce8\n").digest != found.digest
    binary = difference({"dest": "/bin/x", "diff": [{"dst_binary": 1, "src_binary": 1}]}, NOTHING)
    assert binary is not None
    assert binary.text.startswith("# /bin/x: The file on the host is binary; The new file is binary.")


def test_a_secret_that_gives_way_to_another_is_not_shown_either() -> None:
    masking = Masking({"the-new-password"})
    shown = of(
        "user: app\npassword: the-old-one\nport: 1\n",
        "user: app\npassword: the-new-password\nport: 2\n",
        masking,
    ).text
    assert shown.splitlines()[3:] == [
        " user: app",
        "-password: <secret>",
        "-<secret>",
        "+password: <secret>",
        "+port: 2",
    ]
    assert "the-" not in shown


def test_two_checks_of_an_unchanged_host_have_one_digest_and_a_changed_byte_another(
    write_playbook: WritePlaybook, asset: MakeAsset, server: SshServer, tmp_path: Path
) -> None:
    home = server.home
    (home / "digest").write_text("old\nkept\n", encoding="utf-8")
    (home / "digest.bin").write_bytes(b"\0\1")
    tasks = f"""
- ansible.builtin.copy: {{dest: {home}/digest, content: "new\\nkept\\n"}}
- ansible.builtin.template: {{dest: {home}/absent, src: word.j2}}
- ansible.builtin.copy: {{dest: {home}/digest.bin, src: new.bin}}
- ansible.builtin.file: {{path: {home}/digest, state: touch, mode: "0600"}}
- ansible.builtin.lineinfile: {{path: {home}/digest, line: "{{{{ item }}}}"}}
  loop: [one, two]
"""
    play = order(write_playbook("digests", tasks), asset("host"), check=True, diff=True)
    files = {**play.files, "templates/word.j2": b"{{ word }}\n", "files/new.bin": b"\0\2new"}
    play = order(write_playbook("digests", tasks), asset("host"), check=True, diff=True, files=files)

    def digests(folder: str) -> list[str]:
        told = Outcome(tmp_path / folder, play).reports
        return [payload["diff_digest"] for report in told if "diff_digest" in (payload := report.payload)]

    first = digests("1")
    assert len(first) == 6
    assert digests("2") == first
    (home / "digest").write_text("old\nkept \n", encoding="utf-8")
    third = digests("3")
    assert [one == other for one, other in zip(first, third, strict=True)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    binary = next(
        report.payload["diff"]
        for report in Outcome(tmp_path / "4", play).reports
        if "binary" in report.payload.get("diff", "")
    )
    assert hashlib.sha256(b"\0\2new").hexdigest() in binary
    assert str(home / "digest.bin") in binary
