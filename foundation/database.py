"""The database: one PostgreSQL, by URL or our private one; transactions, and the errors they end in."""

import contextlib
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import MetaData, event
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from foundation import migrations
from foundation.errors import (
    Conflict,
    DatabaseUnavailable,
    InvalidInput,
    RakeezaError,
    SettingsError,
    Unavailable,
)
from foundation.postgres import PrivatePostgres
from foundation.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

_POOL_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 10
# Seconds that an idle connection is believed in; after them it is asked before it is used.
_BELIEVED = 5.0
_LATER = "Try again."
_RUNNING = "Check that PostgreSQL runs: rakeeza doctor"


_NOT_NOW = (
    "The platform cannot do this now. Send the same request again.",
    "تعذّر تنفيذ الطلب الآن؛ أعد إرسال الطلب نفسه بعد قليل.",
)
# What callers are told: the server's own words name hosts, accounts and tables.
_TOLD: dict[type[RakeezaError], tuple[str, str]] = {
    DatabaseUnavailable: _NOT_NOW,
    Unavailable: _NOT_NOW,
    Conflict: (
        "A record with these values exists already. Use the existing one.",
        "يوجد سجل بهذه القيم من قبل؛ استخدم السجل القائم.",
    ),
    InvalidInput: ("A value cannot be stored. Correct it.", "في الطلب قيمة لا يمكن حفظها؛ صحّحها."),
}


class Base(DeclarativeBase):
    """Base of every table's model; constraints and indices are named by one convention."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


@dataclass(frozen=True)
class Row:
    """How one kind of the driver's errors is told: our kind, the sentence, the remedy."""

    kind: type[RakeezaError]
    message: str
    remedy: str


# The most specific class of the driver that stands here decides; what stands not here is a fault of ours and
# stays as it is. {detail} is the server's own first line, {constraint} and {table} are what it names.
ERRORS: dict[type[psycopg.Error], Row] = {
    psycopg.OperationalError: Row(DatabaseUnavailable, "PostgreSQL does not answer ({detail}).", _RUNNING),
    psycopg.errors.DiskFull: Row(
        DatabaseUnavailable, "PostgreSQL's disk is full.", "Free space where its data folder lies."
    ),
    psycopg.errors.ReadOnlySqlTransaction: Row(
        DatabaseUnavailable,
        "This PostgreSQL is a standby and takes no writes.",
        "Name the primary in database.url.",
    ),
    psycopg.errors.SerializationFailure: Row(Unavailable, "Two changes met at the same records.", _LATER),
    psycopg.errors.DeadlockDetected: Row(Unavailable, "Two changes waited for each other.", _LATER),
    psycopg.errors.LockNotAvailable: Row(Unavailable, "Another change holds these records.", _LATER),
    psycopg.errors.QueryCanceled: Row(Unavailable, "The database took too long ({detail}).", _LATER),
    psycopg.errors.UniqueViolation: Row(
        Conflict,
        "A record with these values exists already ({constraint}).",
        "Change it, or use the existing one.",
    ),
    psycopg.errors.ExclusionViolation: Row(
        Conflict, "A record that excludes this one exists already ({constraint}).", "Use the existing one."
    ),
    # A NUL character, a number or date out of range: what the caller sent, and no fault of ours.
    psycopg.DataError: Row(InvalidInput, "A value cannot be stored ({detail}).", "Correct it."),
}


def translated(error: BaseException, place: str) -> RakeezaError | None:
    """A driver's error as one of ours, by the table `ERRORS`.

    Args:
        error: of psycopg, or of SQLAlchemy around one.
        place: where the database is, for the reader.

    Returns:
        None if the table does not name it.
    """
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        busy = "All connections of this process are busy."
        return _kept_inside(Unavailable, busy, place, "Try again, or raise database.pool.")
    cause = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return None
    row = next((ERRORS[kind] for kind in type(cause).__mro__ if kind in ERRORS), None)
    if row is None:
        return None
    detail = next(iter(str(cause).strip().splitlines()), "no reason given").rstrip(".")
    words = {
        "detail": detail,
        "constraint": cause.diag.constraint_name or "",
        "table": cause.diag.table_name or "",
    }
    at = f"{place} {words['table']}".strip()
    return _kept_inside(row.kind, row.message.format(**words), at, row.remedy)


def _kept_inside(kind: type[RakeezaError], message: str, place: str, remedy: str) -> RakeezaError:
    told, arabic = _TOLD[kind]
    error = kind(message, place=place, remedy=remedy, message_ar=arabic)
    error.told = told
    return error


class Database:
    """A PostgreSQL database, with its pool of connections; may be used by several threads.

    Args:
        url: libpq URL or connection string.
        pool: connections kept at most.
        role: what this process is; stands in `pg_stat_activity` as "rakeeza ROLE".
    """

    def __init__(self, url: str, *, pool: int = 10, role: str = "tool") -> None:
        try:
            given = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
        except psycopg.Error as error:
            # The text itself may hold a password.
            raise SettingsError(
                "database.url is no PostgreSQL URL.",
                remedy="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
            ) from error
        options = f"{given.pop('options', '')} -c TimeZone=UTC".strip()
        defaults = {"application_name": f"rakeeza {role}", "connect_timeout": _CONNECT_TIMEOUT}
        parameters: dict[str, Any] = {**defaults, **given, "options": options}
        self._connection_info = make_conninfo(**parameters)
        self.place = f"{given.get('host', 'localhost')}/{given.get('dbname', '')}"
        self.engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            connect_args=parameters,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT,
        )
        _check_idle_connections(self.engine)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @property
    def connection_info(self) -> str:
        """The libpq connection string for psycopg; it may hold a password."""
        return self._connection_info

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back by an error.

        Keep it short: readers of events see nothing of what began after the oldest open writing transaction.

        Raises:
            DatabaseUnavailable: no connection, or it was lost; whether a lost commit took place is not known.
            Unavailable: met another change; the same again may succeed.
            Conflict: a record with these values exists already.
            InvalidInput: a value that cannot be stored.
        """
        # Closing what was not committed rolls it back.
        with self.errors(), self._sessions() as session:
            yield session
            session.commit()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Translate the driver's errors in this block into ours."""
        try:
            yield
        except (sqlalchemy.exc.SQLAlchemyError, psycopg.Error) as error:
            ours = translated(error, self.place)
            if ours is None:
                raise
            raise ours from error

    def dispose(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()


def _check_idle_connections(engine: sqlalchemy.Engine) -> None:
    # Asking at every checkout would cost a round trip a transaction. A server that went away has closed the
    # sockets of this machine, which is seen without asking; what something between us and the server forgot
    # is seen only by asking. The pool answers InvalidatePoolError with new connections instead of all it has.
    def left(connection: psycopg.Connection[Any] | None, record: sqlalchemy.pool.ConnectionPoolEntry) -> None:
        # None if it is being given up.
        if connection is not None:
            record.info["idle_since"] = time.monotonic()

    def taken(
        connection: psycopg.Connection[Any], record: sqlalchemy.pool.ConnectionPoolEntry, _: object
    ) -> None:
        since = record.info.pop("idle_since", None)
        if since is None or (time.monotonic() - since < _BELIEVED and not _has_word(connection)):
            return
        try:
            engine.dialect.do_ping(connection)  # type: ignore[arg-type]  # the driver's own type
        except psycopg.Error as error:
            raise sqlalchemy.exc.InvalidatePoolError("The connection is gone.") from error

    event.listen(engine, "checkin", left)
    event.listen(engine, "checkout", taken)


def _has_word(connection: psycopg.Connection[Any]) -> bool:
    # Of an idle connection the server's end, or what it says before it.
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@contextlib.contextmanager
def open_database(settings: Settings, *, role: str = "tool") -> Iterator[Database]:
    """The database that the settings name; without a URL the private one, leased for this block.

    It does not migrate.

    Args:
        role: what this process is, for `pg_stat_activity`.

    Raises:
        SettingsError: the private PostgreSQL cannot be run as things are.
        DatabaseUnavailable: it does not become ready.
    """
    with contextlib.ExitStack() as stack:
        if settings.database.url is not None:
            url = settings.database.url.reveal()
        else:
            server = PrivatePostgres(
                settings.platform.folder / "postgres", max_connections=settings.database.max_connections
            )
            url = stack.enter_context(server.lease())
        database = Database(url, pool=settings.database.pool, role=role)
        stack.callback(database.dispose)
        yield database


def migrate(database: Database) -> None:
    """Bring the database to the shape that this program needs; harmless when several do so at once.

    Raises:
        SettingsError: the database is newer than the program.
        DatabaseUnavailable: it does not answer.
    """
    # Alembic takes long to import, and most commands never migrate.
    from alembic import command

    pending(database)
    config = _config()
    with database.errors(), database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def pending(database: Database) -> list[str]:
    """The steps that the database lacks, in order, as "0002 Records".

    Raises:
        SettingsError: the database is newer than the program.
        DatabaseUnavailable: it does not answer.
    """
    from alembic.runtime.migration import MigrationContext

    with database.errors(), database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": migrations.VERSION_TABLE})
        current = context.get_current_revision()
    steps = _steps()
    known = [revision for revision, _ in steps]
    if current is not None and current not in known:
        raise SettingsError(
            f"The database is at step {current}, which this program does not know.",
            place=database.place,
            remedy="Update the program; an older one must not write to a newer database.",
        )
    done = 0 if current is None else known.index(current) + 1
    return [f"{revision} {title}" for revision, title in steps[done:]]


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    # Alembic expands % in its options.
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


def _steps() -> list[tuple[str, str]]:
    from alembic.script import ScriptDirectory

    found = [
        (step.revision, step.doc.partition(":")[0].rstrip("."))
        for step in ScriptDirectory.from_config(_config()).walk_revisions()
    ]
    return found[::-1]
