"""The error tree, and the two tables that carry an error to its reader.

::

    RakeezaError
    ├── InvalidInput               the caller sent something that can never succeed as it is
    │   ├── Malformed              it could not even be parsed
    │   ├── TooLarge               it is over a stated limit
    │   └── DefinitionError        a definition file is wrong, with file and line
    ├── SettingsError              rakeeza.toml or the environment is wrong
    ├── NotAuthenticated           no credentials, or credentials that do not hold
    ├── PermissionDenied           known, and not allowed
    ├── NotFound
    ├── Conflict                   the state of the record does not allow it
    │   ├── IdempotencyMismatch    the key was used before with another request
    │   └── Stale                  it was changed since the caller read it
    ├── Refused                    a peer answered, and its answer is no
    ├── Damaged                    bytes that should verify do not
    └── Unavailable                a part does not answer now; the same request may succeed later
        ├── DatabaseUnavailable
        └── DeviceUnreachable

Each error says what happened in one sentence, where (`place`), and what to do about it (`remedy`). Foreign
errors are translated into this tree where they enter. `retryable` tells a job whether trying again can help.
"""

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldError:
    """One wrong field of an input.

    Args:
        pointer: JSON Pointer to the field (RFC 6901); "" is the whole document.
        detail: what is wrong with it, in one sentence.
        line: line in the definition file, where the input is one.
        detail_ar: the same sentence in Arabic, where people read it.
    """

    pointer: str
    detail: str
    line: int | None = None
    detail_ar: str = ""


class RakeezaError(Exception):
    """Root of every error the platform raises on purpose.

    Args:
        message: one clear sentence.
        place: the file and line, address, record or field it happened at.
        remedy: what the reader can do now.
        fields: the single wrong fields, where the input has several.
        message_ar: the message in Arabic, where people read it.
    """

    retryable: ClassVar[bool] = False
    titles: ClassVar[tuple[str, str] | None] = None
    """In English and Arabic, of an error that speaks under its own name with its parent's status."""

    told: str = ""
    """What strangers are told in the place of message, place and remedy, where these name what is inside."""

    def __init__(
        self,
        message: str,
        *,
        place: str = "",
        remedy: str = "",
        fields: tuple[FieldError, ...] = (),
        message_ar: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy
        self.fields = fields
        self.message_ar = message_ar

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        return f"{text} {self.remedy}" if self.remedy else text


class InvalidInput(RakeezaError):
    """The caller sent something that can never succeed as it is."""


class Malformed(InvalidInput):
    """The input could not be parsed at all."""


class TooLarge(InvalidInput):
    """The input is over a stated limit."""


class DefinitionError(InvalidInput):
    """A definition file (service, device model, playbook, terminal) is wrong."""


class SettingsError(RakeezaError):
    """rakeeza.toml, the environment or a key file is wrong."""


class NotAuthenticated(RakeezaError):
    """No credentials were given, or they do not hold."""


class PermissionDenied(RakeezaError):
    """The caller is known and is not allowed to do this."""


class NotFound(RakeezaError):
    """What was named does not exist."""


class Conflict(RakeezaError):
    """The state of the record does not allow it."""


class IdempotencyMismatch(Conflict):
    """An Idempotency-Key was used before with another request."""


class Stale(Conflict):
    """The record was changed since the caller read it."""


class Refused(RakeezaError):
    """A peer answered, and its answer is no; asking again changes nothing."""


class Damaged(RakeezaError):
    """Bytes that should verify do not."""


class Unavailable(RakeezaError):
    """A part does not answer now; the same request may succeed later."""

    retryable = True


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer."""


class DeviceUnreachable(Unavailable):
    """A device does not answer."""


@dataclass(frozen=True)
class _Face:
    status: int
    exit_code: int
    title: str
    title_ar: str


# One table for HTTP (RFC 9457) and the command line. Exit codes follow sysexits.h where it has a word for it.
_FACES: dict[type[RakeezaError], _Face] = {
    RakeezaError: _Face(500, 70, "Internal error", "خطأ داخلي"),
    InvalidInput: _Face(422, 65, "Invalid input", "بيانات غير صحيحة"),
    Malformed: _Face(400, 65, "Malformed input", "تعذّرت قراءة البيانات المرسلة"),
    TooLarge: _Face(413, 65, "Input too large", "حجم البيانات أكبر من الحد المسموح"),
    DefinitionError: _Face(500, 65, "Faulty definition", "خلل في ملف التعريف"),
    SettingsError: _Face(500, 78, "Faulty settings", "خلل في الإعدادات"),
    NotAuthenticated: _Face(401, 77, "Not authenticated", "لم يتم التحقق من الهوية"),
    PermissionDenied: _Face(403, 77, "Permission denied", "ليس لديك صلاحية لهذا الإجراء"),
    NotFound: _Face(404, 66, "Not found", "غير موجود"),
    Conflict: _Face(409, 65, "Conflict with the current state", "لا تسمح الحالة الحالية بهذا الإجراء"),
    IdempotencyMismatch: _Face(422, 65, "Idempotency key reused", "مفتاح الطلب مستخدم في طلب آخر"),
    # RFC 9110, section 15.5.13: what If-Match asked for does not hold.
    Stale: _Face(412, 65, "Changed since it was read", "تغيّر السجل بعد قراءته"),
    Refused: _Face(502, 76, "Refused by a peer", "رفضت الجهة الأخرى الطلب"),
    Damaged: _Face(422, 65, "Damaged or forged", "تالف أو مزوّر"),
    Unavailable: _Face(503, 75, "Temporarily unavailable", "الخدمة غير متاحة مؤقتًا"),
    DatabaseUnavailable: _Face(503, 75, "Database unavailable", "قاعدة البيانات غير متاحة مؤقتًا"),
    DeviceUnreachable: _Face(504, 75, "Device unreachable", "الجهاز لا يستجيب"),
}


def _face(error: RakeezaError) -> _Face:
    # The most specific class that the table names: a new error without a row speaks as its parent.
    return next(_FACES[kind] for kind in type(error).__mro__ if kind in _FACES)


def _name(error: RakeezaError) -> tuple[type[RakeezaError], str, str]:
    # A title that a class inherits names the class that gave it.
    for kind in type(error).__mro__:
        if kind in _FACES:
            return kind, _FACES[kind].title, _FACES[kind].title_ar
        own: tuple[str, str] | None = kind.__dict__.get("titles")
        if own is not None:
            return kind, *own
    raise AssertionError("the root has a row")


def exit_code(error: RakeezaError) -> int:
    """Exit code of the command line for an error.

    Source: sysexits.h (BSD).
    """
    return _face(error).exit_code


def problem(error: RakeezaError) -> dict[str, Any]:
    """The error as a problem document.

    Returns:
        The members of an `application/problem+json` body; `title_ar` and `detail_ar` are our extension.

    Source: RFC 9457, section 3.
    """
    face = _face(error)
    kind, title, title_ar = _name(error)
    document: dict[str, Any] = {
        "type": f"urn:rakeeza:problem:{_slug(kind.__name__)}",
        "title": title,
        "title_ar": title_ar,
        "status": face.status,
        "detail": error.told or (str(error) if face.status < 500 or error.retryable else error.message),
    }
    if error.message_ar:
        document["detail_ar"] = error.message_ar
    if error.fields:
        document["errors"] = [_wrong_field(field) for field in error.fields]
    return document


def _wrong_field(field: FieldError) -> dict[str, str]:
    entry = {"pointer": field.pointer, "detail": field.detail}
    return {**entry, "detail_ar": field.detail_ar} if field.detail_ar else entry


def _slug(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
