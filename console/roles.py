"""The roles of the platform: what one process of it does until it is told to stop."""

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from console.bootstrap import Platform, open_platform
from console.web.app import create_api
from foundation import audit
from foundation.errors import InvalidInput, Unavailable
from foundation.settings import Settings
from foundation.telemetry import configure_logging
from monitoring import exporter

# A request gets this long to finish when the process is told to stop; an event stream is cut then.
_LAST_REQUESTS = 3
# What is written between two seals could be cut off unseen together with its chain's head.
_BETWEEN_ROUNDS = 60.0
_BETWEEN_LISTS = 2.0
# A database or a token of keys that is away would be told of thousands of times a day.
_AFTER_FAULT = 10.0
_BETWEEN_DELIVERERS = 5.0
# Jobs of one queue at the same time.
_AT_ONCE = 4

_Part = Callable[[Platform, threading.Event], None]

_log = logging.getLogger(__name__)


def _api(platform: Platform, stop: threading.Event) -> None:
    http = platform.settings.http
    ports = [http.port] if http.metrics_port is None else [http.port, http.metrics_port]
    _serve_http(create_api(platform), http.host, ports, stop, shared=True)


def _collector(platform: Platform, stop: threading.Event) -> None:
    section = platform.settings.collector
    _serve_http(exporter.create_app(platform.targets, platform.settings), section.host, [section.port], stop)


def _worker(platform: Platform, stop: threading.Event) -> None:
    # A worker for each queue: a back-end that hangs, or a long play, must not hold the papers.
    queues = [partial(_work, queue) for queue in platform.jobs.queues]
    _together([_make_rounds, _publish, _deliver, *queues], platform, stop)


def _work(queue: str, platform: Platform, stop: threading.Event) -> None:
    platform.jobs.work([queue], _AT_ONCE, stop.is_set)


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
        platform.plays.reconcile()
        platform.licensing.rounds(stop.is_set)
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


def _serve_http(
    app: ASGIApp, host: str, ports: Sequence[int], stop: threading.Event, *, shared: bool = False
) -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_LAST_REQUESTS,
        )
    )

    def wait() -> None:
        stop.wait()
        server.should_exit = True

    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_listener(host, port, shared)) for port in ports]
        threading.Thread(target=wait, daemon=True).start()
        server.run(sockets)


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
