"""What an application asks of a request beside its token: named once, for all of its routes.

`foundation.http.authenticated` asks the witness of the application that a request came to. A wing knows what
has to be shown (its partners' signatures, say); the ground floor only when.
"""

from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request

from foundation.caller import Caller


class Witness(Protocol):
    """Looks at a request before its token is read, and vouches for its caller after."""

    async def look(self, request: Request) -> None:
        """Note in the request's scope what it shows, as `foundation.confirmation.show_signature` does.

        Raises:
            RakeezaError: it shows what does not hold.
        """
        ...

    async def vouch(self, request: Request, caller: Caller) -> Caller:
        """The caller, with what the request shows of the act.

        Raises:
            RakeezaError: the caller has to show more, or shows what is another's.
        """
        ...


def call(app: Starlette, witness: Witness) -> None:
    """Let a witness look at every request to an application whose caller is asked for."""
    app.state.witness = witness


def called(app: Starlette) -> Witness | None:
    """The witness of an application; None if it has none."""
    witness: Witness | None = getattr(app.state, "witness", None)
    return witness
