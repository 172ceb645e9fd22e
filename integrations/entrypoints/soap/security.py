"""Who sends a message: what its WS-Security header proves, asked of our own records.

A message without that header is its bearer token's, as over REST; the route looks at it.
"""

from typing import Protocol

from starlette.types import Scope

from foundation.caller import Caller
from integrations.entrypoints.soap.envelope import Envelope
from integrations.ws_security.names import SECURITY


class Authenticator(Protocol):
    """Knows who sends signed messages."""

    def authenticated(self, envelope: Envelope, scope: Scope, /) -> Caller:
        """Who sends a message that has a Security header; called in a thread, once a message.

        What is executed then is `envelope.request`, in the very Body that was verified.

        Args:
            envelope: attachments are in their places.
            scope: of ASGI, with the TLS client certificate where there is one.

        Raises:
            NotAuthenticated: the header does not hold, or proves nobody whom we know.
            PermissionDenied: he is known and may not act now.
            DatabaseUnavailable: nothing is known.
        """


def is_signed(envelope: Envelope) -> bool:
    """Whether a message has a Security header, for whomever."""
    return envelope.header is not None and any(block.tag == SECURITY for block in envelope.header)
