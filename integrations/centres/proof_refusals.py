"""Why the signatures of a request are refused: each reason has an error and a problem type of its own.

::

    PermissionDenied
    ├── SignatureUnreadable    the headers are not those of RFC 9421
    ├── SignatureInsufficient  a part that has to be covered, or a parameter, is missing
    ├── SignatureExpired       it does not hold any more
    ├── SignatureFromFuture    it was made later than now
    ├── SignatureReused        its nonce was taken before
    ├── SignatureWrong         it is not one of this key over this message
    ├── AlgorithmNotTaken      it names an algorithm that is not taken, or not one of its key
    ├── CentreKeyUnknown       no certificate of ours has this thumbprint
    └── ClerkKeyUnknown        no clerk of this centre has enrolled this key

A certificate or a clerk's key that was revoked, and a request that is not signed at all, are refused as the
rules of centres do: `integrations.centres.refusals`.
"""

from typing import Literal

from foundation.errors import PermissionDenied

Label = Literal["centre", "clerk"]

_WHOSE = {"centre": "المركز", "clerk": "الموظف"}


class SignatureUnreadable(PermissionDenied):
    """The signature headers cannot be read, or could be read in two ways."""

    titles = ("Signature unreadable", "توقيع غير مقروء")

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The signatures cannot be read: {why.removesuffix('.')}.",
            remedy="Sign as RFC 9421 has it.",
            message_ar="تعذّرت قراءة توقيعات الطلب؛ وقّع وفق المعيار RFC 9421.",
        )


class SignatureInsufficient(PermissionDenied):
    """A signature leaves out a part of the request or a parameter that it has to have."""

    titles = ("Signature insufficient", "توقيع غير مكتمل")

    def __init__(self, label: Label, what: str) -> None:
        super().__init__(
            f"The signature {label!r} {what}.",
            remedy="See docs/centres.md for what it covers and says.",
            message_ar=f"توقيع {_WHOSE[label]} لا يشمل كل ما يجب أن يشمله.",
        )


class SignatureExpired(PermissionDenied):
    """A signature does not hold any more, or was made too long ago."""

    titles = ("Signature expired", "توقيع منتهي الصلاحية")

    def __init__(self, label: Label) -> None:
        super().__init__(
            f"The signature {label!r} has expired, or was made more than five minutes ago.",
            remedy="Sign each request when it is sent, and set the clock right.",
            message_ar=f"انتهت صلاحية توقيع {_WHOSE[label]}؛ وقّع الطلب عند إرساله وتأكد من ضبط الساعة.",
        )


class SignatureFromFuture(PermissionDenied):
    """A signature says that it was made later than now."""

    titles = ("Signature from the future", "توقيع بتاريخ مستقبلي")

    def __init__(self, label: Label) -> None:
        super().__init__(
            f"The signature {label!r} says that it was made more than a minute from now.",
            remedy="Set the clock right.",
            message_ar=f"تاريخ توقيع {_WHOSE[label]} لاحق للوقت الحالي؛ اضبط الساعة.",
        )


class SignatureReused(PermissionDenied):
    """The nonce of a signature was taken before."""

    titles = ("Signature used before", "توقيع مستخدم من قبل")

    def __init__(self) -> None:
        super().__init__(
            "A request with one of these nonces was taken before.",
            remedy="Sign anew with a new nonce; the Idempotency-Key makes it safe to send a write again.",
            message_ar="استُخدم هذا التوقيع من قبل؛ وقّع من جديد برقم فريد، ومفتاح الطلب يمنع التكرار.",
        )


class SignatureWrong(PermissionDenied):
    """A signature is not one of its key over this request."""

    titles = ("Signature wrong", "توقيع غير صحيح")

    def __init__(self, label: Label, target: str | None) -> None:
        super().__init__(
            f"The signature {label!r} is not one of its key over this request to {target}.",
            remedy="Sign the request as it is sent; every covered part has to be the same, byte for byte.",
            message_ar=f"توقيع {_WHOSE[label]} لا يطابق الطلب المرسل أو المفتاح المذكور.",
        )


class AlgorithmNotTaken(PermissionDenied):
    """A signature names an algorithm that is not taken, or that its key does not have."""

    titles = ("Algorithm not taken", "خوارزمية غير مقبولة")

    def __init__(self, label: Label, alg: str | None, taken: tuple[str, ...]) -> None:
        super().__init__(
            f"The signature {label!r} names the algorithm {alg!r}."
            if alg is not None
            else f"The signature {label!r} names no algorithm.",
            remedy=f"With this key, take {' or '.join(taken)}.",
            message_ar=f"خوارزمية توقيع {_WHOSE[label]} غير مقبولة لهذا المفتاح.",
        )


class CentreKeyUnknown(PermissionDenied):
    """No certificate that our authority issued has the thumbprint that is named."""

    titles = ("Certificate unknown", "شهادة غير معروفة")

    def __init__(self) -> None:
        super().__init__(
            "The keyid of the signature 'centre' is the thumbprint of no certificate that was issued here.",
            remedy="Name the SHA-256 of the certificate (DER), in small hexadecimal digits.",
            message_ar="الشهادة المذكورة في توقيع المركز غير معروفة.",
        )


class ClerkKeyUnknown(PermissionDenied):
    """The key that is named is not one of a clerk of this centre."""

    titles = ("Clerk's key unknown", "مفتاح الموظف غير معروف")

    def __init__(self, centre: str) -> None:
        super().__init__(
            f"The keyid of the signature 'clerk' is the thumbprint of no key of a clerk of {centre}.",
            remedy="Enrol the key: rakeeza centre clerk key",
            message_ar=f"المفتاح المذكور في توقيع الموظف غير مسجَّل لأي موظف في المركز {centre}.",
        )
