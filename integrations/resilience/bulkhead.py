"""The bulkhead: a back-end has so many questions under way and no more, each for so long and no longer."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from integrations.backend import BackendUnavailable

Result = TypeVar("Result")


class Bulkhead:
    """The places of one back-end. May be used by several threads.

    A question that takes too long is given up by who asked it, and holds its place until its driver has ended
    too: a back-end never has more of our threads than it has places.

    Args:
        name: of the back-end.
        places: questions at once.
    """

    def __init__(self, name: str, places: int) -> None:
        self._name = name
        self._places = threading.BoundedSemaphore(places)

    def run(self, act: Callable[[], Result], seconds: float) -> Result:
        """What `act` returns or raises, in a thread of its own.

        Raises:
            BackendUnavailable: every place is taken ("busy"), or it took too long ("timeout").
        """
        if not self._places.acquire(blocking=False):
            raise self._unavailable("busy", "As many questions as may be are under way to the back-end.")
        errand = _Errand(act, self._places.release)
        try:
            # A daemon: a back-end that hangs must not hold up the end of the process.
            thread = threading.Thread(target=errand.run, name=f"backend {self._name}", daemon=True)
            thread.start()
        except RuntimeError:
            # No thread can be had.
            self._places.release()
            raise self._unavailable("busy", "This process has no thread left for the question.") from None
        if not errand.ended.wait(seconds):
            raise self._unavailable("timeout", "The back-end did not answer in the time for a question.")
        return errand.result()

    def _unavailable(self, reason: str, message: str) -> BackendUnavailable:
        return BackendUnavailable(
            message, reason=reason, place=f"backend {self._name}", remedy="It is asked again later."
        )


class _Errand(Generic[Result]):
    def __init__(self, act: Callable[[], Result], release: Callable[[], None]) -> None:
        self._act = act
        self._release = release
        self._returned: list[Result] = []
        self._raised: BaseException | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self._returned.append(self._act())
        except BaseException as error:  # noqa: BLE001 -- raised again where it is waited for
            self._raised = error
        finally:
            # The place first: whoever is told of the end may ask again at once.
            self._release()
            self.ended.set()

    def result(self) -> Result:
        if self._raised is not None:
            raise self._raised
        return self._returned[0]
