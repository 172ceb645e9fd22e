"""The roles of the platform: what one process of it does until it is told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from console.bootstrap import Platform, open_platform
from console.web.app import create_api
from foundation import audit
from foundation.errors import InvalidInput, RakeezaError, SettingsError, Unavailable
from foundation.mail import MailServer
from foundation.notices import Notices
from foundation.outgoing import Outgoing
from foundation.secret import Secret
from foundation.settings import Settings
from foundation.telemetry import configure_logging
from foundation.tls import Contexts, Material, Protocol, abandon
from infra.plays import worker
from infra.plays.notices import circle_of
from infra.plays.queue import CENTRAL
from infra.plays.schedules import Schedules
from integrations.cases.calling import QUEUE as CALLS
from integrations.centres import certificates
from monitoring import exporter

# A request gets this long to finish when the process is told to stop; an event stream is cut then.
_LAST_REQUESTS = 3
# What is written between two seals could be cut off unseen together with its chain's head.
_BETWEEN_ROUNDS = 60.0
_BETWEEN_LISTS = 2.0
# A database or a token of keys that is away would be told of thousands of times a day.
_AFTER_FAULT = 10.0
_BETWEEN_DELIVERERS = 5.0
_BETWEEN_RENEWALS = 60.0
# How late a schedule's run is asked for, and how long a run that lost its worker stays "running".
_BETWEEN_LOOKS = 3.0
# Jobs of one queue at the same time; of the calls to back-ends as many as have a place, and one more.
_AT_ONCE = 4

_Part = Callable[[Platform, threading.Event], None]

_log = logging.getLogger(__name__)


def _api(platform: Platform, stop: threading.Event) -> None:
    http = platform.settings.http
    ports = [http.port] if http.metrics_port is None else [http.port, http.metrics_port]
    app, tls = create_api(platform), platform.settings.tls
    if tls.port is None:
        _serve_http(app, http.host, ports, stop, shared=True)
        return
    contexts = Contexts(lambda: _tls_material(platform))
    renewing = threading.Thread(target=_renew, args=(contexts, stop), daemon=True)
    renewing.start()
    secured = _Secured(tls.host, tls.port, contexts)
    _serve_http(app, http.host, ports, stop, shared=True, secured=secured)


def _renew(contexts: Contexts, stop: threading.Event) -> None:
    # A certificate that its operator replaced, or that our authority has to issue anew, without a restart.
    while not stop.wait(_BETWEEN_RENEWALS):
        try:
            if contexts.renew():
                _log.info("The API's TLS certificate was loaded anew.")
        except (RakeezaError, OSError) as error:
            _log.warning("The API's TLS certificate stays as it is: %s", error)


def _tls_material(platform: Platform) -> Material:
    tls, trusted = platform.settings.tls, platform.authority.certificate_pem()
    if tls.certificate is None:
        own = platform.authority.server_pem(tls.names, datetime.now(UTC))
        return Material(own, trusted, "tls.names")
    files = [tls.certificate] if tls.key is None else [tls.certificate, tls.key]
    try:
        own = Secret("\n".join(file.read_text(encoding="utf-8") for file in files))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The certificate or key of the API cannot be read ({error}).",
            place="tls.certificate, tls.key",
            remedy="Name files that this user can read.",
        ) from error
    return Material(own, trusted, str(tls.certificate))


def _collector(platform: Platform, stop: threading.Event) -> None:
    section = platform.settings.collector
    _serve_http(exporter.create_app(platform.targets, platform.settings), section.host, [section.port], stop)


def _worker(platform: Platform, stop: threading.Event) -> None:
    # A worker for each queue: a back-end that hangs, or a long play, must not hold the papers.
    queues = [partial(_work, queue) for queue in platform.jobs.queues if queue != CENTRAL]
    parts: list[_Part] = [_make_rounds, _publish, _deliver, _play, _look_after_plays, _notify, *queues]
    _together(parts, platform, stop)


def _work(queue: str, platform: Platform, stop: threading.Event) -> None:
    threads = platform.licensing.outside.threads if queue == CALLS else _AT_ONCE
    platform.jobs.work([queue], threads, stop.is_set)


def _play(platform: Platform, stop: threading.Event) -> None:
    worker.work(platform.database, platform.jobs, platform.assets, platform.settings.plays, stop.is_set)


def _look_after_plays(platform: Platform, stop: threading.Event) -> None:
    plays = platform.plays
    schedules = Schedules(platform.database, plays, plays.calendar.place)

    def look() -> None:
        plays.reconcile()
        schedules.due(datetime.now(UTC), stop.is_set)

    _repeatedly(look, _BETWEEN_LOOKS, "Looking after plays", stop)


def _notify(platform: Platform, stop: threading.Event) -> None:
    settings = platform.settings
    if not settings.plays.notify:
        stop.wait()
        return
    outgoing = Outgoing(settings.webhooks.allow_private, settings.webhooks.timeout)
    mail = MailServer(settings.mail, platform.secrets)
    circles = [circle_of(settings, outgoing)]
    Notices(platform.database, circles, mail, outgoing, platform.secrets).serve(stop.is_set)


def _deliver(platform: Platform, stop: threading.Event) -> None:
    # A fault of one delivery is the desk's to keep; one of the deliverer itself must not end all others.
    while not stop.is_set():
        try:
            platform.licensing.outside.deliver(stop.is_set)
        except Unavailable as error:
            _log.warning("Webhooks wait: %s", error)
        except Exception:  # noqa: BLE001 -- logged with its trace
            _log.exception("The delivery of webhooks failed.")
        stop.wait(_BETWEEN_DELIVERERS)


def _make_rounds(platform: Platform, stop: threading.Event) -> None:
    # Not a job: a round must be made also while every job waits, and one that is missed is made by the next.
    def make() -> None:
        platform.licensing.rounds(stop.is_set)
        with platform.database.transaction() as session:
            certificates.watch(session, datetime.now(UTC))
        with platform.database.transaction() as session:
            audit.seal(session)

    _repeatedly(make, _BETWEEN_ROUNDS, "This round", stop)


def _publish(platform: Platform, stop: threading.Event) -> None:
    # A licence that was revoked must not pass for valid until the next round.
    lists = platform.licensing.licences.lists
    _repeatedly(lists.rebuild, _BETWEEN_LISTS, "Publishing the status lists", stop)


def _repeatedly(act: Callable[[], object], seconds: float, what: str, stop: threading.Event) -> None:
    while True:
        pause = max(seconds, _AFTER_FAULT)
        try:
            act()
            pause = seconds
        except Unavailable as error:
            _log.warning("%s could not be done: %s", what, error)
        except Exception:  # noqa: BLE001 -- logged with its trace
            # A fault met once must not end the times to come.
            _log.exception("%s failed.", what)
        if stop.wait(pause):
            return


_ROLES: dict[str, _Part] = {
    "api": _api,
    "worker": _worker,
    "collector": _collector,
}


def run_roles(settings: Settings, roles: tuple[str, ...]) -> None:
    """Run roles in this process until SIGINT or SIGTERM, or until one of them fails.

    Raises:
        InvalidInput: there is no such role.
    """
    for role in roles:
        if role not in _ROLES:
            raise InvalidInput(f"There is no role {role!r}.", remedy=f"Known: {', '.join(_ROLES)}.")
    name = "+".join(roles)
    configure_logging(settings.log.level, name)
    with _stopping() as stop, open_platform(settings, name) as platform:
        _together([_ROLES[role] for role in roles], platform, stop)


def _together(parts: Sequence[_Part], platform: Platform, stop: threading.Event) -> None:
    with ThreadPoolExecutor(len(parts)) as threads:
        running = [threads.submit(_run, part, platform, stop) for part in parts]
        for ended in running:
            ended.result()


def _run(part: _Part, platform: Platform, stop: threading.Event) -> None:
    try:
        part(platform, stop)
    finally:
        # One that ends takes the others with it: whoever started this process then starts it whole again.
        stop.set()


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    stop = threading.Event()
    previous = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class _Secured:
    host: str
    port: int
    contexts: Contexts


def _serve_http(
    app: ASGIApp,
    host: str,
    ports: Sequence[int],
    stop: threading.Event,
    *,
    shared: bool = False,
    secured: _Secured | None = None,
) -> None:
    faces = [(_config(app, "httptools"), host, ports)]
    if secured is not None:
        context = secured.contexts.context
        config = _config(app, Protocol, lifespan="off", ssl_context_factory=lambda _config, _default: context)
        faces.append((config, secured.host, [secured.port]))
    servers = [uvicorn.Server(config) for config, _, _ in faces]

    def wait() -> None:
        stop.wait()
        for server in servers:
            server.should_exit = True

    async def serve(sockets: Sequence[list[socket.socket]]) -> None:
        await asyncio.gather(*map(uvicorn.Server.serve, servers, sockets))
        for server in servers:
            abandon(server)
        # What was dropped is told in the next turn of the loop.
        await asyncio.sleep(0)

    with contextlib.ExitStack() as stack:
        sockets = [
            [stack.enter_context(_listener(place, port, shared)) for port in ports]
            for _, place, ports in faces
        ]
        threading.Thread(target=wait, daemon=True).start()
        # One loop for both faces: what the application holds belongs to a loop.
        with asyncio.Runner(loop_factory=faces[0][0].get_loop_factory()) as runner:
            runner.run(serve(sockets))


def _config(app: ASGIApp, http: Any, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=http,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_REQUESTS,
        **more,
    )


def _listener(host: str, port: int, shared: bool) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        # Several processes listen, and the kernel deals the connections out among them.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            f"The port cannot be listened on ({error.strerror}).",
            place=f"{host}:{port}",
            remedy="End what holds it, or choose another port.",
        ) from error
    return listener
