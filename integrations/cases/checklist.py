"""What papers a case still has to have: told before an action is refused for want of one.

A requirement stands in the definition with its condition; whether it is asked of a case depends on whether an
action that wants the checklist complete can still come. An immediate activity is licensed without papers, and
its applicant must not be sent home to fetch them.
"""

from collections.abc import Collection
from typing import Any

from integrations.cases import facts, files
from integrations.cases.case import Work
from integrations.cases.conditions import Condition, Facts

# They change without anybody editing the form: by a quote, by the clock, by what another case does.
_CHANGING = frozenset({"quote.free", "licence.status", "licence.days_late", "licence.excused"})
_EITHER = frozenset({True, False})


def needed(work: Work) -> frozenset[str]:
    """Codes of the documents that an action on this case will yet ask for, by its form as it stands."""
    if not asks(work):
        return frozenset()
    return frozenset(each.code for each in files.needed(work))


def told(work: Work, items: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    """The checklist, as `files.listed` gives it, with what is needed and what is there.

    Returns:
        Each item with `needed` (an action will refuse without it) and `present` (one is handed in).
    """
    wanted = needed(work)
    return [
        {**item, "needed": item["code"] in wanted, "present": item["document"] is not None} for item in items
    ]


def asks(work: Work) -> bool:
    """Whether an action that wants the checklist complete can still come.

    Every way on is followed that the form allows. What a back-end will answer, what somebody will do and what
    the clock brings is not known, and behind an action that edits the form neither is the form.
    """
    known = facts.of(work)
    waiting, seen = [(work.case.state, False)], {(work.case.state, False)}
    while waiting:
        state, edited = waiting.pop()
        for action in work.flow.actions:
            if state not in action.from_ or not may_come(action.when, known, edited):
                continue
            if action.complete:
                return True
            reached = (action.to, edited or bool(action.edits))
            if reached not in seen:
                seen.add(reached)
                waiting.append(reached)
    return False


def may_come(when: Condition | None, known: Facts, edited: bool = False) -> bool:
    """Whether a condition can yet hold, as far as the form tells.

    Args:
        edited: the form may be changed before.
    """
    return when is None or True in _possible(when, known, edited)


def _possible(when: Condition, known: Facts, edited: bool) -> frozenset[bool]:
    # The truths that a condition can yet have.
    if when.not_ is not None:
        return frozenset(not truth for truth in _possible(when.not_, known, edited))
    for parts, decides in ((when.all_, False), (when.any_, True)):
        if parts is not None:
            found = [_possible(part, known, edited) for part in parts]
            if frozenset({decides}) in found:
                return frozenset({decides})
            rest = frozenset({not decides})
            return rest if all(each == rest for each in found) else _EITHER
    if when.field is None or when.field in _CHANGING or edited:
        return _EITHER
    return frozenset({when.holds(known)})
