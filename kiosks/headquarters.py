"""The terminal as a REST client of headquarters."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from urllib.parse import quote

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from foundation.errors import (
    Malformed,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RakeezaError,
    Refused,
    Unavailable,
)
from foundation.secret import Secret
from foundation.wire.credential import KeySet
from foundation.wire.status_list import ListRefused, StatusLists, open_list
from kiosks.keeping import Keeping
from kiosks.licence import Licence

# A token is renewed while a tenth of its life is left: one that expires on the way costs a round trip.
_USABLE = 0.9
_LARGEST_ANSWER = 1_000_000


class _Token(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    access_token: str
    expires_in: float


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int = Field(ge=0)
    uri: str
    version: int
    made_at: AwareDatetime


class _Index(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    lists: tuple[_List, ...] = Field(max_length=2_048)


class Headquarters:
    """Asks headquarters for licences, keys and status lists.

    Args:
        url: base URL of the API.
        client_id: our API client.
        secret: its secret.
        timeout: seconds one request may take.
        keeping: where keys and lists outlast a power cut; None keeps them in memory.
        clock: the present moment, aware.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        secret: Secret,
        timeout: float = 10.0,
        keeping: Keeping | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url.rstrip("/")
        self._client_id = client_id
        self._secret = secret
        # No proxy or credentials from the environment: a terminal speaks to headquarters and to nobody else.
        # Packed answers are not asked for: what they would unpack to is not known before.
        self._client = httpx.AsyncClient(
            base_url=self._url, timeout=timeout, trust_env=False, headers={"accept-encoding": "identity"}
        )
        self._token: Secret | None = None
        self._token_ends = 0.0
        self._keeping = keeping
        self._clock = clock
        self._keys = None if keeping is None else keeping.keys()
        self.lists = StatusLists()
        if keeping is not None and self._keys is not None:
            self.lists = keeping.lists(self._keys)

    async def licence(self, number: str) -> Licence:
        """One licence.

        Raises:
            NotFound: no licence has this number.
            Unavailable: headquarters does not answer, or is not well; trying again can help.
            NotAuthenticated, PermissionDenied: our API client is not accepted.
            Refused: headquarters answers something that is no licence.
        """
        answer = await self._get(f"/v1/licences/{quote(number, safe='')}")
        try:
            return Licence.model_validate_json(answer.content)
        except ValidationError as error:
            raise Refused("The answer is no licence.", place=self._url) from error

    async def keys(self, *, fresh: bool = False) -> KeySet:
        """The public keys of the credentials; kept once they are known.

        Args:
            fresh: ask again, because a key may be new, or revoked.

        Raises:
            Unavailable: headquarters does not answer.
            Refused: it answers something that is no key set.
        """
        if self._keys is None or fresh:
            answer = await self._send("GET", "/.well-known/rakeeza-keys.json")
            try:
                keys = KeySet.from_json(_checked(answer).text, self._url)
            except Malformed as error:
                raise Refused(error.message, place=self._url, remedy=error.remedy) from error
            changed = self._keys is None or keys.to_json() != self._keys.to_json()
            self._keys, self.lists = keys, self.lists.trusted_by(keys)
            if changed and self._keeping is not None:
                await asyncio.to_thread(self._keeping.keep_keys, keys)
            return keys
        return self._keys

    @property
    def known_keys(self) -> KeySet:
        """The public keys held; none before headquarters was asked for them."""
        return KeySet([]) if self._keys is None else self._keys

    async def refresh_lists(self) -> int:
        """Get the newest keys, and the status lists that are not held in `lists`.

        Returns:
            How many lists are newer than before.

        Raises:
            Unavailable: headquarters does not answer.
            Refused: it answers something else, a list that no key of its own signed, or one older than held;
                the other lists are held nevertheless.
        """
        # Each time, whatever the lists are: a key that was revoked changes none of them.
        keys = await self.keys(fresh=True)
        answer = _checked(await self._send("GET", "/.well-known/rakeeza-status.json"))
        try:
            index = _Index.model_validate_json(answer.content)
        except ValidationError as error:
            raise Refused("The answer is no index of status lists.", place=self._url) from error
        held = {(each.uri, each.version, each.issued_at) for each in self.lists}
        newer, refused = 0, None
        for each in index.lists:
            if (each.uri, each.version, each.made_at) in held:
                continue
            try:
                await self._take(each, keys)
                newer += 1
            except (Refused, NotFound) as error:
                # One that is not accepted must not keep the others away.
                refused = error
        if refused is not None:
            raise refused
        return newer

    async def _take(self, wanted: _List, keys: KeySet) -> None:
        token = _checked(await self._send("GET", f"/v1/status-lists/{wanted.number}")).content
        now = self._clock()
        try:
            self.lists.hold(open_list(token, keys, wanted.uri), now)
        except ListRefused as error:
            raise Refused(error.message, place=self._url, remedy=error.remedy) from error
        if self._keeping is not None:
            await asyncio.to_thread(self._keeping.keep_list, token, keys, now)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> "Headquarters":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _get(self, path: str) -> httpx.Response:
        answer = await self._send("GET", path, token=await self._bearer())
        if answer.status_code == 401:
            # Headquarters may have restarted with new keys: one new token, then its answer stands.
            self._token = None
            answer = await self._send("GET", path, token=await self._bearer())
        return _checked(answer)

    async def _bearer(self) -> Secret:
        if self._token is None or time.monotonic() >= self._token_ends:
            answer = _checked(await self._send("POST", "/v1/oauth/token", form=True))
            try:
                token = _Token.model_validate_json(answer.content)
            except ValidationError as error:
                raise Refused("The answer is no access token.", place=self._url) from error
            self._token = Secret(token.access_token)
            self._token_ends = time.monotonic() + token.expires_in * _USABLE
        return self._token

    async def _send(
        self, method: str, path: str, *, token: Secret | None = None, form: bool = False
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        data = {"grant_type": "client_credentials"} if form else None
        login = (self._client_id, self._secret.reveal()) if form else None
        try:
            async with self._client.stream(
                method, path, headers=headers, data=data, auth=login or httpx.USE_CLIENT_DEFAULT
            ) as answer:
                return await self._whole(answer)
        except (httpx.HTTPError, UnicodeError) as error:
            # UnicodeError: a name that no name server could be asked for.
            raise Unavailable(
                f"Headquarters does not answer ({type(error).__name__}).",
                place=self._url,
                remedy="Check the network and headquarters' url in terminal.toml.",
            ) from error

    async def _whole(self, answer: httpx.Response) -> httpx.Response:
        content = bytearray()
        async for part in answer.aiter_bytes():
            content += part
            if len(content) > _LARGEST_ANSWER:
                raise Refused("The answer is larger than any of ours.", place=self._url)
        return httpx.Response(answer.status_code, content=bytes(content), request=answer.request)


_FACES: dict[int, tuple[type[RakeezaError], str, str]] = {
    401: (NotAuthenticated, "Headquarters does not know this terminal.", "Check client_id and its secret."),
    400: (NotAuthenticated, "Headquarters refuses this terminal's login.", "Check client_id and its secret."),
    403: (
        PermissionDenied,
        "Headquarters does not let this terminal ask.",
        "Give its client the role kiosk.",
    ),
    404: (NotFound, "No licence has this number.", ""),
    422: (NotFound, "No licence can have this number.", ""),
    429: (Unavailable, "Headquarters asks for patience.", ""),
}


def _checked(answer: httpx.Response) -> httpx.Response:
    place = str(answer.request.url.copy_with(path="/", query=None))
    if answer.status_code in _FACES:
        kind, message, remedy = _FACES[answer.status_code]
        raise kind(message, place=place, remedy=remedy)
    if answer.status_code >= 500:
        raise Unavailable(f"Headquarters answers {answer.status_code}.", place=place)
    if answer.status_code != 200:
        raise Refused(f"Headquarters answers {answer.status_code}.", place=place)
    return answer
