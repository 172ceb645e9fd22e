"""What a change would do to a host's files: shown as a unified diff, and told from others by a digest.

Ansible's modules give the two sides whole; the digest is made of them, the shown text may be cut. What says
where or when a check was made (temporary files, times of access) is taken out of both, so that two checks
of an unchanged host are the same.

Imports the standard library only: it also runs in `ansible_process.py`.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.plays.masking import MASK, Masking

_CONTEXT = 3
# Lines on one side beyond which the lines that differ are not matched to one another: that takes the square.
_MATCHED = 3_000
_MOMENTS = ("atime", "mtime", "ctime")
_TEMPORARY = (
    (re.compile(r"ansible-tmp-[\d.]+-\d+-\d+"), "ansible-tmp"),
    (re.compile(r"\S*/ansible-local-[^/\s]+/tmp[^/\s]+"), "ansible-local"),
    (re.compile(r"ansible-local-[^/\s]+"), "ansible-local"),
    (re.compile(r"(/tmp/|\.ansible_)tmp[a-z0-9_]{8}"), r"\1tmp"),
    # The moments in the headers of a diff that a program made.
    (re.compile(r"^((?:---|\+\+\+) [^\t\n]+)\t.*$", re.MULTILINE), r"\1"),
)
_FLAGS = {
    "dst_binary": "The file on the host is binary",
    "src_binary": "The new file is binary",
    "dst_larger": "The file on the host is too large to be compared",
    "src_larger": "The new file is too large to be compared",
}


@dataclass(frozen=True)
class Difference:
    """What would change, or did.

    Args:
        text: a unified diff for people, whole.
        digest: SHA-256 over both sides, in hexadecimal.
    """

    text: str
    digest: str


def difference(result: Mapping[str, Any], masking: Masking) -> Difference | None:
    """The difference that a task's result tells of, without secrets; None if it tells of none.

    Args:
        result: of the task; `diff` in it is a list of Ansible's parts; `new_sha256` and `new_bytes` say what
            is known of a new file that the parts do not show.
        masking: what must not be shown, nor be guessed from the digest.
    """
    sides: list[Mapping[str, Any]] = []
    texts: list[str] = []
    for part in result.get("diff") or ():
        if isinstance(part, Mapping) and part:
            normal = _normal(part, result, masking)
            if shown := "\n".join(_shown(normal)):
                sides.append(normal)
                texts.append(shown)
    if not sides:
        return None
    whole = json.dumps(sides, sort_keys=True, separators=(",", ":"))
    return Difference("\n".join(texts), hashlib.sha256(whole.encode("ascii")).hexdigest())


def _normal(part: Mapping[str, Any], result: Mapping[str, Any], masking: Masking) -> dict[str, Any]:
    dest = result.get("dest") or result.get("path")
    name = part.get("before_header") or dest or part.get("after_header") or ""
    normal: dict[str, Any] = {"name": masking.text(_timeless(str(name)))}
    if "prepared" in part:
        normal["prepared"] = masking.text(_timeless(_plain(part["prepared"])))
    # A side that is missing is one that the module would not show; it is not an empty one.
    for side in ("before", "after"):
        if side in part:
            normal[side] = masking.text(_plain(part[side]))
    flags = [words for flag, words in _FLAGS.items() if part.get(flag)]
    odd = [side for side in ("before", "after") if not _is_text(normal.get(side, ""))]
    if flags or odd:
        normal["unseen"] = flags + [f"The side {side!r} is not UTF-8" for side in odd]
        normal["facts"] = {
            fact: str(result[fact]) for fact in ("new_sha256", "new_bytes") if result.get(fact) is not None
        }
        for side in ("before", "after"):
            if side in normal:
                data = normal.pop(side).encode("utf-8", "surrogateescape")
                normal["facts"][f"{side}_sha256"] = hashlib.sha256(data).hexdigest()
                normal["facts"][f"{side}_bytes"] = str(len(data))
    return normal


def _plain(side: Any) -> str:
    if side is None:
        return ""
    if isinstance(side, Mapping):
        side = {key: value for key, value in side.items() if key not in _MOMENTS}
    if isinstance(side, str):
        return side
    return _timeless(json.dumps(side, indent=1, sort_keys=True, default=str)) + "\n"


def _timeless(text: str) -> str:
    for pattern, instead in _TEMPORARY:
        text = pattern.sub(instead, text)
    return text


def _is_text(side: str) -> bool:
    if "\0" in side:
        return False
    try:
        side.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(normal: Mapping[str, Any]) -> Iterator[str]:
    name = normal["name"] or "(without a name)"
    if prepared := normal.get("prepared"):
        yield from (f"# {name}", prepared.rstrip("\n"))
    if "unseen" in normal:
        facts = ", ".join(f"{fact} {value}" for fact, value in sorted(normal["facts"].items()))
        yield f"# {name}: {'; '.join(normal['unseen'])}. {facts or 'Size and hash are not told'}."
        return
    before, after = _lines(normal.get("before", "")), _lines(normal.get("after", ""))
    if before != after:
        yield from (f"--- {name}", f"+++ {name}")
        yield from _hunks(before, after)


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    last = lines.pop()
    return [f"{line}\n" for line in lines] + ([last] if last else [])


def _hunks(before: list[str], after: list[str]) -> Iterator[str]:
    # What both begin and end with needs no matching, and is most of a large file.
    shorter = min(len(before), len(after))
    head = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    tail = next((i for i in range(shorter - head) if before[-1 - i] != after[-1 - i]), shorter - head)
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if max(len(old), len(new)) > _MATCHED:
        codes = [("replace", head, head + len(old), head, head + len(new))]
    else:
        matched = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        codes = [(tag, a + head, b + head, c + head, d + head) for tag, a, b, c, d in matched]
    for group in _groups(codes, len(before), len(after)):
        first, last = group[0], group[-1]
        yield f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        for tag, a, b, c, d in group:
            if tag == "equal":
                yield from _marked(" ", before[a:b])
            else:
                yield from _marked("-", _hidden(before[a:b], after[c:d]))
                yield from _marked("+", after[c:d])


_Code = tuple[str, int, int, int, int]


def _groups(codes: list[_Code], before: int, after: int) -> Iterator[list[_Code]]:
    """Changes with their context; those whose contexts touch are one group."""
    changes = [code for code in codes if code[0] != "equal"]
    group: list[_Code] = []
    for place, (tag, a, b, c, d) in enumerate(changes):
        room = min(_CONTEXT, a, c) if not group else a - group[-1][2]
        group += [("equal", a - room, a, c - room, c)] if room else []
        group.append((tag, a, b, c, d))
        following = changes[place + 1] if place + 1 < len(changes) else None
        if following is None or following[1] - b > 2 * _CONTEXT:
            room = min(_CONTEXT, before - b, after - d)
            yield group + ([("equal", b, b + room, d, d + room)] if room else [])
            group = []


def _range(start: int, end: int) -> str:
    length = end - start
    return f"{start + 1 if length else start},{length}" if length != 1 else f"{start + 1}"


def _hidden(old: list[str], new: list[str]) -> list[str]:
    """Lines that give way to a secret, without the secret that stood there: nobody told us that one."""
    heads = [line.partition(MASK)[0] for line in new if MASK in line]
    if not heads:
        return old
    return [_without(line, heads) for line in old]


def _without(line: str, heads: list[str]) -> str:
    if MASK in line:
        return line
    kept = max((head for head in heads if line.startswith(head)), key=len, default="")
    return f"{kept}{MASK}\n"


def _marked(sign: str, lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield sign + line.rstrip("\n").replace("\r", "\N{SYMBOL FOR CARRIAGE RETURN}")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"
