"""What people and programs are told of plays: that one awaits approval, what became of it, what went wrong.

A check's differences, a host's messages and what Ansible said hold configuration, and are never told: a
notice says who, what, where and how much, and by which command to look.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from foundation.bidi import isolated, plain
from foundation.chain import JSON
from foundation.definitions import Bilingual
from foundation.events import StoredEvent
from foundation.notice_recipients import recipients_of
from foundation.notices import Circle, Telling
from foundation.outgoing import Outgoing
from foundation.settings import Settings

READER = "plays"
APPROVAL, TROUBLE, SUCCESS = "approval", "trouble", "success"
TOPICS = {
    APPROVAL: "a run awaits approval, was approved or rejected, or its approval is void",
    TROUBLE: "a run failed, was interrupted, cancelled or an emergency; a schedule was missed or failed",
    SUCCESS: "a run was successful",
}
"""What a recipient may ask for by `#on=…`, and what it is."""
USUAL = frozenset({APPROVAL, TROUBLE})
"""What is told to a recipient who does not say."""

_SUBJECT = re.compile(r"play/([1-9][0-9]{0,17})")
_NAMED_HOSTS = 10
# To programs; the numbers are told in any case.
_TOLD_HOSTS = 100
_DIGITS = 12

# Kinds of events, and of the last one also its state: topic, and what happened in a few words.
_WORDS: dict[str, tuple[str, Bilingual]] = {
    "play.planned": (APPROVAL, Bilingual(ar="بانتظار الموافقة", en="awaits approval")),
    "play.approved": (APPROVAL, Bilingual(ar="تمت الموافقة", en="was approved")),
    "play.rejected": (APPROVAL, Bilingual(ar="رُفض التشغيل", en="was rejected")),
    "play.approval_voided": (APPROVAL, Bilingual(ar="بطلت الموافقة", en="lost its approval")),
    "play.emergency": (TROUBLE, Bilingual(ar="تشغيل طارئ", en="is an emergency")),
    "play.finished failed": (TROUBLE, Bilingual(ar="فشل التشغيل", en="failed")),
    "play.finished interrupted": (TROUBLE, Bilingual(ar="انقطع التشغيل", en="was interrupted")),
    "play.finished cancelled": (TROUBLE, Bilingual(ar="أُلغي التشغيل", en="was cancelled")),
    "play.finished successful": (SUCCESS, Bilingual(ar="نجح التشغيل", en="was successful")),
    "play.schedule_missed": (TROUBLE, Bilingual(ar="فات موعد مجدول", en="missed its moment")),
    "play.schedule_failed": (TROUBLE, Bilingual(ar="تعذّر تشغيل مجدول", en="could not ask for its run")),
}
_STATES = {
    "failed": "فشل",
    "unreachable": "تعذّر الوصول إليه",
    "interrupted": "انقطع",
    "untouched": "لم يُمسّ",
}
_RUN = text(
    """
    SELECT id, playbook, requested_by, targets, site, risk, check_mode, plan, reason, approved_by,
        decided_reason, emergency, cancelled_by, cancel_reason, schedule
    FROM play_run WHERE id = :id
    """
)
_UNWELL = text(
    """
    SELECT host, state FROM play_host_result
    WHERE run_id = :id AND state IN ('failed', 'unreachable', 'interrupted', 'untouched') ORDER BY host
    """
)


@dataclass
class _Lines:
    # Facts in both languages, and the commands by which to look.
    arabic: list[str] = field(default_factory=list)
    latin: list[str] = field(default_factory=list)

    def add(self, arabic: str, latin: str, value: object) -> None:
        if value is not None and value != "":
            self.arabic.append(f"{arabic}: {isolated(value)}")
            self.latin.append(f"{latin}: {plain(value)}")

    def say(self, arabic: str, latin: str) -> None:
        self.arabic.append(arabic)
        self.latin.append(latin)

    def look(self, *commands: str) -> None:
        self.say("", "")
        self.say("للاطلاع:", "To look:")
        for command in commands:
            self.command(command)

    def command(self, words: str) -> None:
        self.say(f"    rakeeza play {words}", f"    rakeeza play {words}")

    def text(self) -> Bilingual:
        return Bilingual(ar="\n".join(self.arabic), en="\n".join(self.latin))


def circle_of(settings: Settings, outgoing: Outgoing) -> Circle:
    """Who is told of plays, by the setting `plays.notify`.

    Args:
        settings: of this process.
        outgoing: by which webhooks are posted.

    Raises:
        SettingsError: one of them is nobody who can be told.
    """
    recipients = recipients_of(
        settings.plays.notify, topics=TOPICS, usual=USUAL, outgoing=outgoing, place="plays.notify"
    )
    return Circle(READER, "play.", recipients, tell)


def tell(session: Session, event: StoredEvent) -> Telling | None:
    """What one event of plays is to people; None if it is nothing to tell of."""
    kind = event.kind
    if kind == "play.finished":
        kind = f"{kind} {event.payload['state']}"
    known = _WORDS.get(kind)
    if known is None:
        return None
    topic, words = known
    if kind.startswith("play.schedule_"):
        return _schedule(topic, words, event.payload)
    named = _SUBJECT.fullmatch(event.subject)
    number = int(named[1]) if named else 0
    run = session.execute(_RUN, {"id": number}).mappings().one_or_none()
    if run is None:
        raise LookupError(f"There is no run {event.subject}.")
    unwell = []
    if event.kind == "play.finished":
        unwell = [(row.host, row.state) for row in session.execute(_UNWELL, {"id": number})]
    return _run(topic, words, event, run, unwell)


def _run(
    topic: str, words: Bilingual, event: StoredEvent, run: RowMapping, unwell: Sequence[tuple[str, str]]
) -> Telling:
    payload, number, playbook = event.payload, run["id"], run["playbook"]
    hosts = [str(host) for host in payload.get("hosts") or run["targets"]]
    lines = _Lines()
    lines.say(
        f"{words.ar}: التشغيل {isolated(number)} من {isolated(playbook)}.",
        f"Run {number} of {plain(playbook)} {words.en}.",
    )
    lines.say("", "")
    lines.add("طلبه", "Asked for by", payload.get("requested_by") or run["requested_by"])
    lines.add("الجدول", "Schedule", run["schedule"])
    lines.add("الأجهزة", "Hosts", _named(hosts))
    lines.add("الموقع", "Site", run["site"])
    if run["check_mode"]:
        lines.say("فحص فقط، دون أي تغيير.", "A check only, which changes nothing.")
    _particulars(lines, event, run)
    if unwell:
        lines.add("أجهزة لم تنجح", "Hosts that are not well", len(unwell))
        for host, state in unwell[:_NAMED_HOSTS]:
            lines.say(f"- {isolated(host)}: {_STATES[state]}", f"- {plain(host)}: {state}")
    plan = payload.get("plan") or run["plan"]
    if event.kind == "play.planned" and plan:
        lines.look(f"show {number} --changes")
        lines.say("ثم للموافقة:", "Then to approve:")
        lines.command(f"approve {number} --plan {plan[:_DIGITS]}")
    else:
        lines.look(f"show {number}", f"log {number}")
    title = Bilingual(
        ar=f"{words.ar}: {isolated(playbook)}، التشغيل {isolated(number)}",
        en=f"{plain(playbook)}, run {number}: {words.en}",
    )
    return Telling(topic, title, lines.text(), _data(event, run, hosts, unwell))


def _particulars(lines: _Lines, event: StoredEvent, run: RowMapping) -> None:
    payload = event.payload
    by = payload.get("by")
    plan = payload.get("plan") or run["plan"]
    if event.kind in ("play.planned", "play.approval_voided"):
        lines.add("عدد التغييرات", "Changes", payload.get("changes"))
        lines.add("أجهزة ستتغير", "Hosts that change", payload.get("hosts_changed"))
    if event.kind in ("play.planned", "play.approved", "play.approval_voided"):
        lines.add("بصمة الخطة", "Plan", plan[:_DIGITS] if plan else None)
    if event.kind == "play.approved":
        lines.add("وافق عليه", "Approved by", run["approved_by"] or by)
    elif event.kind == "play.rejected":
        lines.add("رفضه", "Rejected by", by)
    elif event.kind == "play.approval_voided":
        lines.add("سبق أن وافق عليه", "Had been approved by", payload.get("approved_by"))
    if event.kind in ("play.approved", "play.rejected"):
        lines.add("السبب", "Reason", payload.get("reason") or payload.get("comment"))
    elif event.kind == "play.emergency":
        lines.add("السبب", "Reason", payload.get("reason") or run["emergency"])
    elif event.kind == "play.finished" and payload["state"] == "cancelled":
        lines.add("ألغاه", "Cancelled by", run["cancelled_by"])
        lines.add("السبب", "Reason", run["cancel_reason"])
    elif event.kind == "play.finished" and payload["state"] == "interrupted":
        # Ours, of hosts and tasks; a failed run's may be Ansible's own words.
        lines.add("أين", "Where", payload.get("reason"))
        lines.say("لا يُعاد تشغيله تلقائيًا.", "It is not run again by itself.")
    statistics = payload.get("statistics") or {}
    if event.kind == "play.finished" and statistics:
        lines.add("أجهزة تغيّرت", "Hosts changed", statistics.get("hosts_changed"))


def _schedule(topic: str, words: Bilingual, payload: Mapping[str, Any]) -> Telling:
    name, playbook = payload["schedule"], payload["playbook"]
    lines = _Lines()
    lines.say(
        f"{words.ar}: الجدول {isolated(name)} من {isolated(playbook)}.",
        f"Schedule {plain(name)} of {plain(playbook)} {words.en}.",
    )
    lines.say("", "")
    lines.add("الموعد", "Moment", payload.get("moment"))
    lines.add("عدد المواعيد", "Moments", payload.get("count"))
    lines.add("الموعد التالي", "Next moment", payload.get("next_at"))
    lines.add("أنشأه", "Made by", payload.get("created_by"))
    lines.look("schedule list")
    title = Bilingual(
        ar=f"{words.ar}: {isolated(name)}، {isolated(playbook)}",
        en=f"Schedule {plain(name)} of {plain(playbook)} {words.en}",
    )
    known = ("schedule", "playbook", "moment", "count", "next_at", "created_by")
    return Telling(topic, title, lines.text(), {key: payload.get(key) for key in known})


def _data(
    event: StoredEvent, run: RowMapping, hosts: Sequence[str], unwell: Sequence[tuple[str, str]]
) -> dict[str, JSON]:
    # By name, one by one: what comes into an event later must not go out by itself.
    payload = event.payload
    return {
        "run": run["id"],
        "playbook": run["playbook"],
        "state": payload.get("state"),
        "requested_by": run["requested_by"],
        "by": payload.get("by"),
        "schedule": run["schedule"],
        "site": run["site"],
        "risk": run["risk"],
        "check": run["check_mode"],
        "hosts": len(hosts),
        "host_names": tuple(hosts[:_TOLD_HOSTS]),
        "unwell": len(unwell),
        "unwell_hosts": tuple({"host": host, "state": state} for host, state in unwell[:_TOLD_HOSTS]),
        "plan": payload.get("plan") or run["plan"],
        "changes": payload.get("changes"),
        "hosts_changed": payload.get("hosts_changed"),
    }


def _named(hosts: Sequence[str]) -> str:
    some = ", ".join(hosts[:_NAMED_HOSTS])
    more = f" (+{len(hosts) - _NAMED_HOSTS})" if len(hosts) > _NAMED_HOSTS else ""
    return f"{len(hosts)}: {some}{more}"
