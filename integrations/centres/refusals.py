"""Why a centre is refused: each rule has an error of its own, and the problem documents are called so.

::

    PermissionDenied
    ├── CentreSuspended       the municipality has stopped it
    ├── ContractNotInForce    its contract has not begun, has ended, or there is none
    ├── ServiceNotDelegated   its contract does not name the service or the procedure
    ├── BranchNotAllowed      its contract does not name the branch, for this service
    ├── ClerkNotAllowed       its clerk is unknown or was stopped
    ├── ClerkKeyRevoked       the clerk's key is not enrolled, or was revoked
    ├── CentreKeyRevoked      the centre's certificate is not valid (any more)
    ├── DeviceNotAllowed      its device is unknown or was stopped
    ├── CentreIsTest          it is a test centre, and what it asks for is real
    ├── ServiceIsTest         the service is for test centres, and it is none
    └── ProofMissing          the act is not signed by centre and clerk
    Conflict
    ├── QuotaExhausted        it has opened all the applications of the day or the month
    ├── ShiftNotOpen          its contract asks for shifts, and the clerk has none open on the device
    ├── ShiftOpen             the clerk or the device has an open shift already
    ├── ShiftClosed           the shift was closed before
    └── DrawerShort           more is taken out of a drawer than it should hold
"""

from datetime import date

from foundation.errors import Conflict, PermissionDenied, RakeezaError


class CentreSuspended(PermissionDenied):
    """The municipality has suspended the centre, or ended it for good."""

    titles = ("Centre suspended", "المركز موقوف")

    def __init__(self, centre: str, ended: bool = False) -> None:
        en = "was ended for good" if ended else "is suspended"
        ar = "أُنهي التعامل معه نهائيًا" if ended else "موقوف عن تقديم الخدمات"
        super().__init__(
            f"The centre {centre} {en}.",
            remedy="Ask the municipality.",
            message_ar=f"المركز {centre} {ar}؛ راجع الأمانة.",
        )


class ContractNotInForce(PermissionDenied):
    """No contract of the centre covers this day, by the date in Riyadh."""

    titles = ("No contract in force", "لا عقد ساريًا")

    def __init__(
        self,
        centre: str,
        first: date | None,
        last: date | None,
        ended: bool = False,
        today: date | None = None,
    ) -> None:
        if first is None or last is None:
            en, ar = "has no contract", "لا عقد له"
        elif today is not None and today < first:
            en, ar = f"has a contract that begins on {first}", f"يبدأ عقده في {first}"
        elif ended:
            en, ar = "had a contract, which was ended", "أُنهي عقده"
        else:
            en, ar = f"had a contract, which ended with {last}", f"انتهى عقده بنهاية يوم {last}"
        super().__init__(
            f"The centre {centre} {en}.",
            remedy="The municipality can agree on a new one.",
            message_ar=f"المركز {centre} {ar}؛ لا يقدّم الخدمات إلا بعقد سارٍ.",
        )


class ServiceNotDelegated(PermissionDenied):
    """The contract does not delegate this service, or this procedure of it."""

    titles = ("Service not delegated", "خدمة غير مسندة")

    def __init__(self, centre: str, service: str, procedure: str) -> None:
        super().__init__(
            f"The contract of the centre {centre} does not delegate {service}/{procedure}.",
            remedy="Send the applicant to an office of the municipality.",
            message_ar=f"لم تُسنَد الخدمة {service}/{procedure} إلى المركز {centre} في عقده؛ "
            "وجّه المستفيد إلى الأمانة.",
        )


class BranchNotAllowed(PermissionDenied):
    """The contract does not name the branch, or not for this service."""

    titles = ("Branch not allowed", "فرع غير مصرّح له")

    def __init__(self, centre: str, branch: str, service: str | None = None) -> None:
        what, ar = (f" for {service}", f" للخدمة {service}") if service else ("", "")
        super().__init__(
            f"The contract of the centre {centre} does not name its branch {branch}{what}.",
            remedy="Do it at a branch that the contract names.",
            message_ar=f"لا يشمل عقد المركز {centre} الفرع {branch}{ar}.",
        )


class ClerkNotAllowed(PermissionDenied):
    """The clerk is not known in this centre, or was stopped."""

    titles = ("Clerk not allowed", "موظف غير مصرّح له")

    def __init__(self, centre: str, clerk: str | None) -> None:
        super().__init__(
            f"The clerk {clerk} does not act for the centre {centre}."
            if clerk
            else "The message does not say which clerk acts.",
            remedy="Let a clerk whom the municipality has enrolled sign.",
            message_ar=f"الموظف {clerk} غير مصرّح له بالعمل في المركز {centre}."
            if clerk
            else "لم يُذكر في الرسالة الموظف الذي ينفذ الإجراء.",
        )


class ClerkKeyRevoked(PermissionDenied):
    """The key that the clerk signed with is not enrolled for him, or was revoked."""

    titles = ("Clerk's key revoked", "مفتاح الموظف ملغى")

    def __init__(self, centre: str, clerk: str) -> None:
        super().__init__(
            f"The key that {clerk} of the centre {centre} signed with is not enrolled, or was revoked.",
            remedy="Enrol a new one: rakeeza centre clerk key",
            message_ar=f"المفتاح الذي وقّع به الموظف {clerk} غير مسجَّل أو أُلغي؛ سجّل مفتاحًا جديدًا.",
        )


class CentreKeyRevoked(PermissionDenied):
    """The certificate or key that the centre signed with was revoked, has expired, or is not its own."""

    titles = ("Centre's key revoked", "مفتاح المركز ملغى")

    def __init__(self, centre: str) -> None:
        super().__init__(
            f"The certificate that the centre {centre} signed with is not valid for it.",
            remedy="Sign with the certificate that was issued last: rakeeza centre rotate-key",
            message_ar=f"الشهادة التي وقّع بها المركز {centre} غير صالحة له؛ استخدم آخر شهادة أُصدرت له.",
        )


class DeviceNotAllowed(PermissionDenied):
    """The device is not known in this centre, was stopped, or is needed and not named."""

    titles = ("Device not allowed", "جهاز غير مصرّح به")

    def __init__(self, centre: str, device: str | None) -> None:
        super().__init__(
            f"The device {device} does not act for the centre {centre}."
            if device
            else "The message does not say at which device it is done.",
            remedy="Work at a device that the municipality has enrolled.",
            message_ar=f"الجهاز {device} غير مصرّح به في المركز {centre}."
            if device
            else "لم يُذكر في الرسالة الجهاز الذي يُنفَّذ عليه الإجراء.",
        )


class CentreIsTest(PermissionDenied):
    """A test centre asks for something real."""

    titles = ("Test centre", "مركز تجريبي")

    def __init__(self, centre: str) -> None:
        super().__init__(
            f"{centre} is a test centre, and this is not for tests.",
            remedy="Use a test service.",
            message_ar=f"المركز {centre} تجريبي، وهذا الإجراء ليس للتجربة؛ استخدم خدمة تجريبية.",
        )


class ServiceIsTest(PermissionDenied):
    """A test service is asked for by somebody who is no test centre."""

    titles = ("Test service", "خدمة تجريبية")

    def __init__(self, service: str) -> None:
        super().__init__(
            f"The service {service} is for test centres alone.",
            remedy="Take the real service.",
            message_ar=f"الخدمة {service} تجريبية ولا تُتاح إلا لمركز تجريبي؛ اختر الخدمة الفعلية.",
        )


class ProofMissing(PermissionDenied):
    """The act is not signed by the centre and its clerk, or by others than who acts."""

    titles = ("Not signed", "غير موقَّع")

    def __init__(self, centre: str) -> None:
        super().__init__(
            f"Every act of the centre {centre} is signed by it and its clerk; this message is not.",
            remedy="Sign it as the contract of the interface says.",
            message_ar=f"كل إجراء للمركز {centre} يوقّعه المركز وموظفه، وهذه الرسالة غير موقّعة منهما.",
        )


class QuotaExhausted(Conflict):
    """All applications that the contract allows in a day or a month were opened."""

    titles = ("Quota exhausted", "استُنفدت الحصة")

    def __init__(self, centre: str, period: str, quota: int, service: str = "") -> None:
        # A day is 2026-11-23, a month 2026-11.
        day = period.count("-") > 1
        en, ar = (f" for {service}", f" لخدمة {service}") if service else ("", "")
        super().__init__(
            f"The centre {centre} has opened all {quota} applications{en} of {period} by its contract.",
            remedy="Open it tomorrow." if day else "Open it next month.",
            message_ar=f"استنفد المركز {centre} حصته من الطلبات{ar} ({quota}) في {period}؛ "
            + ("أعد المحاولة غدًا." if day else "أعد المحاولة في الشهر القادم."),
        )


class ShiftNotOpen(Conflict):
    """The contract asks for shifts, and the clerk has none open on the device."""

    titles = ("No shift open", "لا وردية مفتوحة")

    def __init__(self, clerk: str, device: str) -> None:
        super().__init__(
            f"The clerk {clerk} has no shift open on the device {device}.",
            remedy="Open a shift with its float first.",
            message_ar=f"لا وردية مفتوحة للموظف {clerk} على الجهاز {device}؛ "
            "افتح وردية برصيدها الافتتاحي أولًا.",
        )


class ShiftOpen(Conflict):
    """The clerk has an open shift, or the device has."""

    titles = ("Shift open already", "وردية مفتوحة من قبل")

    def __init__(self, clerk: str, device: str) -> None:
        super().__init__(
            f"The clerk {clerk} has a shift open on the device {device}.",
            remedy="Close it first: a clerk and a device have one open shift.",
            message_ar=f"للموظف {clerk} وردية مفتوحة على الجهاز {device}؛ أغلقها أولًا.",
        )


class ShiftClosed(Conflict):
    """The shift was closed before."""

    titles = ("Shift closed", "وردية مغلقة")

    def __init__(self, shift: int) -> None:
        super().__init__(
            f"The shift {shift} is closed.",
            remedy="Open a new one.",
            message_ar=f"الوردية {shift} مغلقة؛ افتح وردية جديدة.",
        )


class DrawerShort(Conflict):
    """More is taken out of a drawer than it should hold."""

    titles = ("Drawer short", "رصيد الدرج لا يكفي")

    def __init__(self, shift: int, expected: str) -> None:
        super().__init__(
            f"The drawer of the shift {shift} should hold {expected} SAR, and no more can be taken out.",
            remedy="Count it; then close the shift.",
            message_ar=f"رصيد درج الوردية {shift} هو {expected} ريال، ولا يُسحب أكثر منه.",
        )


REFUSALS: tuple[type[RakeezaError], ...] = (
    CentreSuspended,
    ContractNotInForce,
    ServiceNotDelegated,
    BranchNotAllowed,
    ClerkNotAllowed,
    ClerkKeyRevoked,
    CentreKeyRevoked,
    DeviceNotAllowed,
    CentreIsTest,
    ServiceIsTest,
    ProofMissing,
    QuotaExhausted,
    ShiftNotOpen,
    ShiftOpen,
    ShiftClosed,
    DrawerShort,
)
"""Every refusal by a rule of the contract."""
