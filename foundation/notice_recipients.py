"""Who is told: readers as the settings write them.

`mailto:NAME@HOST` or the https URL of a webhook, and behind a # what is ours and is sent to nobody: `on`,
which topics, joined by commas, or `all`; `secret`, the name of the secret that signs for this URL. As in
`mailto:noc@example.sa#on=all` and `https://chat.example.sa/in/7#secret=notify-chat`.

Source: RFC 6068 (mailto), RFC 3986, section 3.5 (a fragment is not sent to the server).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from foundation.errors import InvalidInput, SettingsError
from foundation.letter import check_address
from foundation.outgoing import Outgoing

ALL = "all"
SECRET = "notify-webhook"
"""Name of the secret that signs for a URL which names none."""

Channel = Literal["mail", "webhook"]


@dataclass(frozen=True)
class Recipient:
    """One reader.

    Args:
        channel: how he is told.
        address: mail address, or URL.
        topics: what he is told of.
        secret: name of the secret that signs for him; of mail it is of no use.
    """

    channel: Channel
    address: str
    topics: frozenset[str]
    secret: str = SECRET

    @property
    def shown(self) -> str:
        """The address as it may stand in logs and events: a URL's path is often as good as a password."""
        return shown(self.channel, self.address)


def shown(channel: str, address: str) -> str:
    """An address as it may stand in logs and events; see `Recipient.shown`."""
    if channel == "mail":
        return address
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def recipients_of(
    written: Sequence[str], *, topics: Collection[str], usual: Collection[str], outgoing: Outgoing, place: str
) -> tuple[Recipient, ...]:
    """The readers that a setting names.

    Args:
        written: the setting.
        topics: that there are.
        usual: of them what is told to who does not say.
        outgoing: judges URLs, by their text alone.
        place: name of the setting.

    Raises:
        SettingsError: one of them is no address, names a topic that there is not, or stands there twice.
    """
    found: list[Recipient] = []
    for each in written:
        try:
            recipient = _recipient(each, frozenset(topics), frozenset(usual), outgoing)
        except InvalidInput as error:
            told = shown("webhook", each) if "//" in each else each
            raise SettingsError(
                f"{told[:80]!r} is nobody who can be told: {error.message}",
                place=place,
                remedy=error.remedy or f"Topics: {', '.join(sorted(topics))}, {ALL}.",
            ) from error
        if recipient.address in {other.address for other in found}:
            raise SettingsError(
                f"{recipient.shown} stands there twice.", place=place, remedy="Name all topics at once."
            )
        found.append(recipient)
    return tuple(found)


def _recipient(written: str, topics: frozenset[str], usual: frozenset[str], outgoing: Outgoing) -> Recipient:
    address, _, fragment = written.partition("#")
    try:
        pairs = parse_qsl(fragment, keep_blank_values=True, strict_parsing=True) if fragment else []
    except ValueError as error:
        raise InvalidInput("What stands behind # is no list of name=value.") from error
    options = dict(pairs)
    if len(options) < len(pairs) or set(options) - {"on", "secret"}:
        raise InvalidInput("Behind # may stand on=… and secret=…, each once.")
    wanted = frozenset(options["on"].split(",")) if "on" in options else usual
    wanted = topics if wanted == {ALL} else wanted
    if wanted - topics:
        raise InvalidInput(f"There is no topic {', '.join(sorted(wanted - topics))!r}.")
    if address.startswith("mailto:"):
        if "secret" in options:
            raise InvalidInput("A letter is not signed: secret=… is for webhooks.")
        name = unquote(address.removeprefix("mailto:"))
        check_address(name)
        return Recipient("mail", name, wanted)
    outgoing.parts(address)
    if not options.get("secret", SECRET):
        raise InvalidInput("secret= names no secret.")
    return Recipient("webhook", address, wanted, options.get("secret", SECRET))
