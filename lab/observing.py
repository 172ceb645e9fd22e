"""What the story of the demo is told with: observations, the API as an outsider speaks to it, comparisons."""

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from foundation.errors import Refused, Unavailable
from lab.municipality import Municipality

PATIENCE = 120.0
"""Seconds that the story waits for what has to come."""


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Args:
        what: the fact, in one short sentence.
        seen_by: who saw it; never the platform itself.
        value: what was read.
    """

    what: str
    seen_by: str
    value: str


@dataclass(frozen=True)
class Step:
    """One step of the story."""

    title: str
    perform: Callable[[], Iterator[Observation]]


class Api:
    """The platform's API with the lab's accounts.

    Args:
        lab: the running lab.
    """

    def __init__(self, lab: Municipality) -> None:
        self._lab = lab
        self._client = httpx.Client(base_url=lab.faces.api, timeout=PATIENCE)
        self._tokens: dict[str, str] = {}
        # In a folder that was used before, the keys of then would be answered as they were then.
        self.telling = uuid.uuid4().hex[:12]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, path: str, account: str | None = None) -> Any:
        """What a read gives.

        Raises:
            Refused: it is refused.
        """
        return _accepted(self._client.get(path, headers=self._bearer(account))).json()

    def asked(self, url: str, account: str | None = None, **params: str) -> httpx.Response:
        """The answer to a read, whatever it is."""
        return self._client.get(url, params=params, headers=self._bearer(account))

    def post(self, path: str, account: str, body: Mapping[str, Any] | None = None, key: str = "") -> Any:
        """What a write gives, under this key or a new one.

        Raises:
            Refused: it is refused.
        """
        return _accepted(self._posted(path, account, body, key)).json()

    def refused(
        self, path: str, account: str, body: Mapping[str, Any] | None = None, *, status: int
    ) -> dict[str, Any]:
        """The problem that a write has to be refused with.

        Raises:
            Refused: it is not refused, or with another status.
        """
        answer = self._posted(path, account, body, "")
        same(f"the status of {path}", answer.status_code, status)
        problem: dict[str, Any] = answer.json()
        return problem

    def put(self, path: str, account: str, name: str, data: bytes) -> Any:
        """Hand in a document.

        Raises:
            Refused: it is refused.
        """
        headers = {
            **self._bearer(account),
            "Idempotency-Key": str(uuid.uuid4()),
            "Content-Type": "application/octet-stream",
        }
        return _accepted(self._client.put(path, params={"name": name}, content=data, headers=headers)).json()

    def streamed(self, path: str, account: str, last: str) -> list[str]:
        """Kinds of the events of a stream, up to the last.

        Raises:
            Refused: it ends without that.
        """
        kinds: list[str] = []
        with self._client.stream("GET", path, headers=self._bearer(account)) as answer:
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    kinds.append(line.removeprefix("event:").strip())
                    if kinds[-1] == last:
                        return kinds
        raise Refused(f"The event stream ended without {last}.", place=path)

    def until(self, what: str, look: Callable[[], Any]) -> Any:
        """What is seen once there is something to see.

        Raises:
            Unavailable: it did not come.
        """
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            seen = look()
            if seen:
                return seen
            time.sleep(0.1)
        raise Unavailable(
            f"Waited {PATIENCE:.0f} s for {what}.", remedy=f"Read the logs in {self._lab.faces.logs}."
        )

    def _posted(self, path: str, account: str, body: Mapping[str, Any] | None, key: str) -> httpx.Response:
        named = f"{self.telling}-{key}" if key else str(uuid.uuid4())
        headers = {**self._bearer(account), "Idempotency-Key": named}
        return self._client.post(path, json=dict(body) if body is not None else None, headers=headers)

    def _bearer(self, account: str | None) -> dict[str, str]:
        if account is None:
            return {}
        if account not in self._tokens:
            who = self._lab.accounts[account]
            grant = {"grant_type": "client_credentials"}
            answer = self._client.post("/v1/oauth/token", data=grant, auth=(who.client_id, who.secret))
            self._tokens[account] = str(_accepted(answer).json()["access_token"])
        return {"Authorization": f"Bearer {self._tokens[account]}"}


def output(*argv: str | Path) -> str:
    """What a program that is not ours prints.

    Raises:
        Refused: it fails.
    """
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise Refused(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def same(what: str, seen: object, wanted: object) -> None:
    """Compare what was seen with what has to be.

    Raises:
        Refused: they differ.
    """
    if seen != wanted:
        raise Refused(f"{what} is {seen!r} and not {wanted!r}.")


def contains(what: str, text: str, part: str) -> None:
    """See that a text holds a part.

    Raises:
        Refused: it does not.
    """
    if part not in text:
        raise Refused(f"{part!r} does not stand in {what}.")


def holding(part: str, text: str) -> str | None:
    """The text, if it holds the part."""
    return text if part in text else None


def _accepted(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise Refused(f"{answer.status_code}: {answer.text}", place=str(answer.url))
    return answer
