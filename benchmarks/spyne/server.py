"""spyne's side of `script/bench soap`: the same request, checked by spyne's own XSD and bound to its classes.

Runs in an environment of its own, made from requirements.lock; nothing of ours is imported here, and spyne
(LGPL) is only ever run as a process.
"""

from spyne import (  # type: ignore[import-not-found]
    Application,
    Boolean,
    ComplexModel,
    Decimal,
    Integer,
    ServiceBase,
    Unicode,
    XmlAttribute,
    rpc,
)
from spyne.protocol.soap import Soap11  # type: ignore[import-not-found]
from spyne.server.wsgi import WsgiApplication  # type: ignore[import-not-found]

NAMESPACE = "urn:rakeeza:licensing:1"
NAME = Unicode(pattern="[a-z][a-z0-9_]{0,62}")


class Field(ComplexModel):  # type: ignore[misc]
    """A field of a free object: its name, and one of the kinds of value."""

    __namespace__ = NAMESPACE
    _type_info = [  # noqa: RUF012 -- as spyne wants it
        ("name", XmlAttribute(Unicode(min_len=1), use="required")),
        ("text", Unicode(min_occurs=0)),
        ("number", Decimal(min_occurs=0)),
        ("flag", Boolean(min_occurs=0)),
    ]


class Fields(ComplexModel):  # type: ignore[misc]
    """A free object."""

    __namespace__ = NAMESPACE
    _type_info = [("field", Field.customize(max_occurs="unbounded"))]  # noqa: RUF012


class Bilingual(ComplexModel):  # type: ignore[misc]
    """A text in both languages."""

    __namespace__ = NAMESPACE
    _type_info = [("ar", Unicode), ("en", Unicode)]  # noqa: RUF012


class Case(ComplexModel):  # type: ignore[misc]
    """What is answered."""

    __namespace__ = NAMESPACE
    _type_info = [  # noqa: RUF012
        ("number", Unicode),
        ("service", NAME),
        ("procedure", NAME),
        ("procedure_title", Bilingual),
        ("state", NAME),
        ("state_title", Bilingual),
        ("final", Boolean),
        ("version", Integer),
        ("submitted_at", Unicode),
        ("changed_at", Unicode),
        ("promised_for", Unicode),
        ("due", Unicode),
        ("escalated", Boolean),
        ("place", Unicode),
        ("assignee", Unicode),
        ("etag", Unicode),
    ]


def _case() -> Case:
    return Case(
        number="SC-2026-000001",
        service="shop_licence",
        procedure="issue",
        procedure_title=Bilingual(ar="إصدار", en="Issue"),
        state="submitted",
        state_title=Bilingual(ar="مقدَّم", en="Submitted"),
        final=False,
        version=1,
        submitted_at="2026-11-22T10:00:00Z",
        changed_at="2026-11-22T10:00:00Z",
        promised_for="2026-11-29T10:00:00Z",
        due="2027-01-03T21:00:00Z",
        escalated=False,
        place="mall",
        assignee=None,
        etag='"1"',
    )


class Licensing(ServiceBase):  # type: ignore[misc]
    """The service."""

    @rpc(
        Unicode(pattern="[!-~]{1,128}", min_occurs=1),
        NAME.customize(min_occurs=1),
        NAME.customize(min_occurs=0),
        Fields.customize(min_occurs=0),
        Fields.customize(min_occurs=1),
        _returns=Case,
    )
    def Submit(  # type: ignore[no-untyped-def] # noqa: N802 -- the operation's name
        ctx,  # noqa: N805
        idempotencyKey,  # noqa: ARG002, N803
        service,
        procedure,  # noqa: ARG002
        applicant,  # noqa: ARG002
        form,
    ):
        """Opens a case."""
        assert service
        assert form.field
        return _case()


application = WsgiApplication(
    Application([Licensing], NAMESPACE, in_protocol=Soap11(validator="lxml"), out_protocol=Soap11())
)
