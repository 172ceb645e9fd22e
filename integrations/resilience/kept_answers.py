"""Answers that were got and may be given again for the same question, in this process's memory only.

Only what a driver lets be kept, only what a back-end really said, and each with its age. What was asked is
not kept, but a keyed hash of it.
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from integrations.backend import Nature, Question, Reply

MOST = 10_000
"""Answers of one back-end that are kept; of more, the one that was asked for longest ago is forgotten."""


class KeptAnswers:
    """The kept answers of one back-end. May be used by several threads.

    Args:
        nature: says by word how long an answer may be kept.
        seconds: that the settings let it be kept; 0 keeps none.
        monotonic: seconds that only grow.
        most: how many are kept.
    """

    def __init__(
        self,
        nature: Nature,
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
        most: int = MOST,
    ) -> None:
        self._keep = nature.keep
        self._seconds = seconds
        self._monotonic = monotonic
        self._most = most
        # Whoever reads this memory cannot try numbers against the hashes without it.
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._answers: OrderedDict[bytes, tuple[Reply, float]] = OrderedDict()

    def find(self, question: Question) -> Reply | None:
        """The answer to the same parameters with its age, if it is still good."""
        if not self._seconds:
            return None
        name, now = self._name(question), self._monotonic()
        with self._lock:
            found = self._answers.get(name)
            if found is None:
                return None
            reply, since = found
            if now - since >= self._longest(reply):
                del self._answers[name]
                return None
            self._answers.move_to_end(name)
        return replace(reply, age=timedelta(seconds=now - since))

    def keep(self, question: Question, reply: Reply) -> None:
        """Keep an answer, if it may be."""
        if not self._longest(reply):
            return
        name, now = self._name(question), self._monotonic()
        with self._lock:
            self._answers[name] = (reply, now)
            self._answers.move_to_end(name)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)

    def _longest(self, reply: Reply) -> float:
        return min(self._seconds, self._keep.get(reply.code, timedelta()).total_seconds())

    def _name(self, question: Question) -> bytes:
        asked = json.dumps([question.backend, sorted(question.parameters.items())])
        return hmac.digest(self._secret, asked.encode(), hashlib.sha256)
