"""The state diagram of a procedure, drawn by graphviz: what a regulation says in pages, on one.

States are boxes with their title in Arabic and English and their deadline; actions are arrows with who takes
them, on what condition, and what they do to the bill and the licence. What the clock does is dashed.
"""

import subprocess
from html import escape
from pathlib import Path
from typing import Literal

from foundation.definitions import Bilingual
from foundation.errors import Conflict, Unavailable
from integrations.flow import Action, Deadline, Effect, Flow, State
from integrations.procedure import Check, Period
from integrations.service import Service

Format = Literal["dot", "svg", "png", "pdf"]

_PATIENCE = 60.0
_MOST_LOOPS = 2
_CLOCK, _BY_ITSELF = "◷", "⚙"
_ARABIC, _LATIN = "Amiri", "DejaVu Sans"
_GREY = "#5b6b7a"

# Fill, border and text of a box, by the kind of its state.
_COLOURS = {
    "start": ("#e3f0ea", "#1f6f54", "#0f3d2e"),
    "work": ("#ffffff", "#5b6b7a", "#1d2933"),
    "applicant": ("#fdf3dc", "#b7791f", "#5c3b07"),
    "final": ("#25343f", "#25343f", "#ffffff"),
}
_KINDS = {
    "start": Bilingual(ar="بداية", en="start"),
    "work": Bilingual(ar="لدى الأمانة", en="the municipality's turn"),
    "applicant": Bilingual(ar="لدى مقدم الطلب", en="the applicant's turn"),
    "final": Bilingual(ar="نهاية", en="end"),
}
_ROLES = {
    "administrator": Bilingual(ar="مدير المنصة", en="administrator"),
    "engineer": Bilingual(ar="مهندس", en="engineer"),
    "centre": Bilingual(ar="مركز الخدمة", en="service centre"),
    "reviewer": Bilingual(ar="المدقق", en="reviewer"),
    "inspector": Bilingual(ar="المراقب", en="inspector"),
    "payment": Bilingual(ar="جهة السداد", en="payment"),
    "finance": Bilingual(ar="المالية", en="finance"),
    "privacy": Bilingual(ar="مسؤول الخصوصية", en="privacy officer"),
    "kiosk": Bilingual(ar="جهاز الخدمة", en="kiosk"),
    "auditor": Bilingual(ar="مدقق المراجعة", en="auditor"),
}
_EFFECTS: dict[Effect, str] = {
    "quote": "quote",
    "invoice": "bill",
    "settle": "bill settled",
    "void_bill": "bill voided",
    "fulfil": "fulfilled",
}


def draw(service: Service, procedure: str, output: Format = "svg") -> bytes:
    """The state diagram of a procedure.

    Args:
        procedure: its name in the service.
        output: "dot" is graphviz's own text; the others are pictures.

    Raises:
        NotFound: the service has no such procedure.
        Unavailable: graphviz is not installed.
        Conflict: graphviz could not draw it.
    """
    text = dot(service, procedure)
    if output == "dot":
        return text.encode()
    try:
        drawn = subprocess.run(
            ("dot", f"-T{output}"), input=text.encode(), capture_output=True, timeout=_PATIENCE, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable(
            "The program dot is not installed; it draws the diagrams of services.",
            remedy="Install it with script/bootstrap (Debian's package graphviz), or ask for the format dot.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"dot did not draw the diagram within {_PATIENCE:.0f} seconds.", remedy="Try again."
        ) from error
    if drawn.returncode != 0:
        raise Conflict(
            f"dot could not draw {service.code}: {drawn.stderr.decode(errors='replace').strip()}.",
            remedy="Ask for the format dot and look at the text.",
        )
    return drawn.stdout


def format_of(path: Path) -> Format | None:
    """The format that a file's name asks for; None for any other."""
    known: dict[str, Format] = {".dot": "dot", ".svg": "svg", ".png": "png", ".pdf": "pdf"}
    return known.get(path.suffix.lower())


def dot(service: Service, procedure: str) -> str:
    """The diagram as graphviz's text. Raises `NotFound` as `draw` does."""
    asked = service.procedure(procedure)
    flow = service.flows[asked.flow]
    first = flow.opening.to
    lines = [
        f"digraph {_quoted(f'{service.code}.{procedure}')} {{",
        f'  graph [rankdir=TB, nodesep=0.5, ranksep=0.55, pad=0.4, bgcolor=white, fontname="{_LATIN}",'
        f" labelloc=t, labeljust=c, label=<{_heading(service, asked.title)}>];",
        f'  node [shape=plain, fontname="{_LATIN}", fontsize=11];',
        f'  edge [fontname="{_LATIN}", fontsize=9, color="#5b6b7a", fontcolor="#1d2933", arrowsize=0.7];',
        '  begin [shape=circle, style=filled, fillcolor="#1f6f54", color="#1f6f54", width=0.18, label=""];',
    ]
    for name, state in flow.states.items():
        inside = _inside(flow, name)
        lines.append(f"  {_quoted(name)} [label=<{_box(service, name, state, name == first, inside)}>];")
    lines += [_edge(service, "begin", flow.opening)]
    lines += [
        _edge(service, state, action)
        for action in flow.actions
        for state in action.from_
        if action not in _inside(flow, state)
    ]
    return "\n".join([*lines, "}"]) + "\n"


def role_title(service: Service, role: str) -> Bilingual:
    """What a role is called: the service's own word, or the platform's."""
    return service.roles.get(role) or _ROLES.get(role) or Bilingual(ar=role, en=role)


def span_text(span: Deadline | Period) -> Bilingual:
    """How long a state may last, or a party may take to answer."""
    if isinstance(span, Deadline) and span.periods is not None:
        return Bilingual(ar="آخر مهل الجهات", en="the last of the parties' periods")
    if span.working_days is not None:
        days = span.working_days
        return Bilingual(ar=f"{days} يوم عمل", en=f"{days} working day{'s' if days > 1 else ''}")
    hours = span.hours
    return Bilingual(ar=f"{hours} ساعة", en=f"{hours} hour{'s' if hours != 1 else ''}")


def _kind(state: State, first: bool) -> str:
    if state.final:
        return "final"
    return "start" if first else "applicant" if state.applicant else "work"


def _heading(service: Service, title: Bilingual) -> str:
    rows = (
        (_arabic(title.ar, 22), 6),
        (_latin(title.en, 14), 3),
        (_latin(f"{service.title.en}, version {service.version}", 9, _GREY), 3),
        (_legend(), 8),
    )
    cells = "".join(f'<TR><TD CELLPADDING="{padding}">{row}</TD></TR>' for row, padding in rows)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0">{cells}</TABLE>'


def _inside(flow: Flow, name: str) -> list[Action]:
    # Many arrows from a box to itself strike through one another's words: they stand in the box.
    staying = [action for action in flow.actions if name in action.from_ and action.to == name]
    return staying if len(staying) > _MOST_LOOPS else []


def _box(service: Service, name: str, state: State, first: bool, inside: list[Action]) -> str:
    fill, border, text = _COLOURS[_kind(state, first)]
    faint = "#b8c4cd" if state.final else border
    rows = [_arabic(state.title.ar, 15, text), _latin(state.title.en, 10.5, text), _latin(name, 8, faint)]
    rows += [_latin(f"asks: {_asked(service.checks[check])}", 8.5, text) for check in state.checks]
    if state.deadline is not None:
        rows.append(_latin(_deadline(service, state.deadline), 9, text))
    for action in inside:
        who = " / ".join(role_title(service, role).en for role in action.roles)
        rows.append(f"{_arabic(action.title.ar, 10.5, text)} {_latin(f'{action.title.en} ({who})', 8, text)}")
        told = " · ".join([*([f"[{action.when}]"] if action.when else []), *_asks(service, name, action)])
        if told:
            rows.append(_latin(told, 8, "#1f6f54"))
    return (
        f'<TABLE BORDER="{2 if first else 1}" STYLE="ROUNDED" CELLBORDER="0" CELLSPACING="0" CELLPADDING="6"'
        f' BGCOLOR="{fill}" COLOR="{border}"><TR><TD WIDTH="120">{_rows(rows)}</TD></TR></TABLE>'
    )


def _asked(check: Check) -> str:
    if check.periods is None:
        return check.title.en
    # The picture is of the definition and not of a day: the newest period is shown.
    span = span_text(check.periods[-1]).en
    return f"{check.title.en} ({_CLOCK} {span}, then {check.silence})"


def _deadline(service: Service, deadline: Deadline) -> str:
    span = span_text(deadline)
    if deadline.escalate is None:
        return f"{_CLOCK} {span.en}"
    return f"{_CLOCK} {span.en}, then shown to {role_title(service, deadline.escalate).en}"


def _edge(service: Service, start: str, action: Action) -> str:
    dashed = ', style=dashed, color="#b7791f", fontcolor="#7a4b07"' if action.timed else ""
    marked = ', color="#1f6f54", penwidth=1.6' if action.effect == "fulfil" else ""
    # Graphviz sets a label against its arrow: without room the arrow strikes through the words.
    room = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="6">'
    label = f"{room}<TR><TD>{_told(service, start, action)}</TD></TR></TABLE>"
    return f"  {_quoted(start)} -> {_quoted(action.to)} [label=<{label}>{dashed}{marked}];"


def _told(service: Service, start: str, action: Action) -> str:
    rows = [_arabic(action.title.ar, 11.5), _latin(action.title.en, 9)]
    # What was said on its first arrow is not said again on the others.
    if action.from_ and start != action.from_[0]:
        return _rows(rows)
    match action.taker:
        case "automatic":
            rows.append(_latin(f"{_BY_ITSELF} by itself", 8, _GREY))
        case "timed":
            rows.append(_latin(f"{_CLOCK} by the clock", 8, "#7a4b07"))
        case "role":
            who = " / ".join(role_title(service, role).en for role in action.roles)
            rows.append(_latin(f"{who}{' (not who opened it)' if action.four_eyes else ''}", 8, _GREY))
    if action.when is not None:
        rows.append(_latin(f"[{action.when}]", 8, "#8a1c4a"))
    if asks := _asks(service, start, action):
        rows.append(_latin(" · ".join(asks), 8, "#1f6f54"))
    return _rows(rows)


def _asks(service: Service, start: str, action: Action) -> list[str]:
    return [
        word
        for word, holds in (
            ("says why", action.comment == "required"),
            ("documents complete", action.complete),
            ("may change the form", bool(action.edits) and start != "begin"),
            (_answers(service, action), bool(action.answers)),
            (_extends(service, action), bool(action.extends)),
            (_EFFECTS.get(action.effect, "") if action.effect else "", action.effect is not None),
        )
        if holds
    ]


def _extends(service: Service, action: Action) -> str:
    parties = [service.checks[name].title.en for name in action.extends or ()]
    return f"more time for {', '.join(parties)}"


def _answers(service: Service, action: Action) -> str:
    given = action.answers or {}
    whose = "" if action.taker == "role" else "for who is not concerned, "
    return whose + ", ".join(f"{service.checks[name].title.en}: {said}" for name, said in given.items())


def _rows(rows: list[str]) -> str:
    cells = "".join(f'<TR><TD ALIGN="CENTER">{row}</TD></TR>' for row in rows)
    return f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{cells}</TABLE>'


def _legend() -> str:
    cells = "".join(
        f'<TD BGCOLOR="{fill}" BORDER="1" COLOR="{border}" CELLPADDING="4">'
        f"{_arabic(_KINDS[kind].ar, 10, text)} {_latin(_KINDS[kind].en, 8, text)}</TD>"
        for kind, (fill, border, text) in _COLOURS.items()
    )
    signs = _latin(f"{_CLOCK} deadline; dashed: the clock acts    {_BY_ITSELF} taken at once", 8, _GREY)
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4"><TR>{cells}</TR>'
        f'<TR><TD COLSPAN="4">{signs}</TD></TR></TABLE>'
    )


def _arabic(text: str, size: float, colour: str = "#1d2933") -> str:
    return f'<FONT FACE="{_ARABIC}" POINT-SIZE="{size}" COLOR="{colour}">{escape(text)}</FONT>'


def _latin(text: str, size: float, colour: str = "#1d2933") -> str:
    return f'<FONT FACE="{_LATIN}" POINT-SIZE="{size}" COLOR="{colour}">{escape(text)}</FONT>'


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
