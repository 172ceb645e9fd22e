"""What a verifier tells of a licence: the answers, and their words in both languages.

The phone's page says the same words: `lab.credential_vectors` writes them down for it.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from foundation.definitions import Bilingual

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_HOURS_TO = timedelta(hours=48)


class Answer(StrEnum):
    """What a verifier says of a licence's code; all but the first are a no."""

    VALID = "valid"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    REPLACED = "replaced"
    LIST_TOO_OLD = "list_too_old"
    LIST_MISSING = "list_missing"
    NOT_OURS = "not_ours"
    DAMAGED = "damaged"
    OVERSIZED = "oversized"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    WRONG_SIGNATURE = "wrong_signature"
    OTHER_MUNICIPALITY = "other_municipality"
    KEY_OUT_OF_PERIOD = "key_out_of_period"
    CLOCK_WRONG = "clock_wrong"
    NOT_REGISTERED = "not_registered"


UNDECIDED = frozenset({Answer.LIST_TOO_OLD, Answer.LIST_MISSING, Answer.UNKNOWN_KEY, Answer.CLOCK_WRONG})
"""Answers that say nothing against the licence: the verifier lacks something, and may get it."""

LAPSED = frozenset({Answer.NOT_YET_VALID, Answer.EXPIRED, Answer.SUSPENDED, Answer.REVOKED, Answer.REPLACED})
"""Answers of a licence that is genuine, and does not hold today."""

BY_REGISTER = frozenset({Answer.NOT_REGISTERED})
"""Answers that only the municipality's own register can give, and no verifier without a network."""


@dataclass(frozen=True)
class Words:
    """What is said of an answer.

    Args:
        title: a heading.
        sentence: what was found.
        remedy: what to do now.
    """

    title: Bilingual
    sentence: Bilingual
    remedy: Bilingual


def _words(title: tuple[str, str], sentence: tuple[str, str], remedy: tuple[str, str]) -> Words:
    return Words(*(Bilingual(en=en, ar=ar) for en, ar in (title, sentence, remedy)))


_ASK = (
    "Do not accept it; ask the municipality by the licence number.",
    "لا تعتمدها، واستعلم لدى الجهة المصدرة برقم الرخصة.",
)

WORDS: dict[Answer, Words] = {
    Answer.VALID: _words(
        ("Valid", "سارية"),
        ("The licence is genuine and holds today.", "الرخصة صحيحة وسارية اليوم."),
        (
            "Compare what it says with the place in front of you.",
            "طابق بياناتها بالنشاط والموقع الذي أمامك.",
        ),
    ),
    Answer.NOT_YET_VALID: _words(
        ("Not yet valid", "لم تبدأ صلاحيتها بعد"),
        (
            "The licence is genuine, and its first day is yet to come.",
            "الرخصة صحيحة، لكن أول أيام سريانها لم يحن.",
        ),
        ("Accept it from its first day on.", "تعتمد ابتداءً من أول يوم في مدتها."),
    ),
    Answer.EXPIRED: _words(
        ("Expired", "منتهية الصلاحية"),
        ("The licence is genuine, and its last day has passed.", "الرخصة صحيحة، لكن مدتها انتهت."),
        ("Ask the holder for the renewed licence.", "اطلب من صاحبها الرخصة المجددة."),
    ),
    Answer.SUSPENDED: _words(
        ("Suspended", "موقوفة"),
        ("The municipality has suspended the licence.", "أوقفت الجهة المصدرة هذه الرخصة مؤقتًا."),
        ("It does not hold until it is reinstated.", "لا يعتد بها حتى يُرفع الإيقاف."),
    ),
    Answer.REVOKED: _words(
        ("Revoked", "ملغاة"),
        (
            "The licence was revoked, closed or declared void.",
            "سُحبت هذه الرخصة أو أُلغيت أو عُدّت باطلة.",
        ),
        ("Do not accept it.", "لا تعتمدها."),
    ),
    Answer.REPLACED: _words(
        ("Replaced", "مستبدلة"),
        (
            "A newer version or copy of this licence was issued; this paper no longer counts.",
            "صدر إصدار أحدث أو نسخة بديلة من هذه الرخصة، ولم تعد هذه الوثيقة معتمدة.",
        ),
        ("Ask the holder for the newest paper.", "اطلب من صاحبها أحدث وثيقة."),
    ),
    Answer.LIST_TOO_OLD: _words(
        ("Not known: the list is too old", "تعذّر الحكم: القائمة قديمة"),
        (
            "The signature and dates are right, but the list of suspended and revoked licences is too old.",
            "التوقيع والتواريخ صحيحة، لكن قائمة الرخص الموقوفة والملغاة أقدم من أن يُعتمد عليها.",
        ),
        ("Connect to the network once to get the newest list.", "اتصل بالشبكة مرة لتنزيل أحدث قائمة."),
    ),
    Answer.LIST_MISSING: _words(
        ("Not known: there is no list", "تعذّر الحكم: لا توجد قائمة"),
        (
            "The signature and dates are right; whether it was suspended or revoked since is not known here.",
            "التوقيع والتواريخ صحيحة، ولا يُعلم هنا هل أُوقفت الرخصة أو أُلغيت بعد صدورها.",
        ),
        (
            "Get the municipality's list, or ask for the licence by its number.",
            "نزّل قائمة الجهة المصدرة، أو استعلم عن الرخصة برقمها.",
        ),
    ),
    Answer.NOT_OURS: _words(
        ("Not a licence code", "ليس رمز رخصة"),
        ("This is no licence code of Rakeeza.", "هذا الرمز ليس رمز رخصة صادرة عن ركيزة."),
        ("Scan the square code at the foot of the licence.", "امسح الرمز المربّع أسفل الرخصة."),
    ),
    Answer.DAMAGED: _words(
        ("Damaged", "رمز تالف"),
        ("The licence code is damaged or incomplete.", "رمز الرخصة تالف أو ناقص."),
        ("Scan it again, flat and in better light.", "امسحه من جديد وهو مستوٍ وفي إضاءة أفضل."),
    ),
    Answer.OVERSIZED: _words(
        ("Too large", "أكبر من رمز رخصة"),
        ("The code is larger than that of any licence.", "الرمز أكبر من أن يكون رمز رخصة."),
        ("Scan the code on the licence, and no other.", "امسح الرمز المطبوع على الرخصة دون غيره."),
    ),
    Answer.UNKNOWN_KEY: _words(
        ("Not known: the key is not known here", "تعذّر الحكم: المفتاح غير معروف"),
        (
            "The key that signed the licence is not among those held here.",
            "المفتاح الذي وُقعت به الرخصة غير معروف هنا.",
        ),
        (
            "Get the municipality's newest keys; if it is still unknown, do not accept the licence.",
            "نزّل أحدث مفاتيح الجهة المصدرة؛ فإن بقي المفتاح مجهولًا فلا تعتمد الرخصة.",
        ),
    ),
    Answer.REVOKED_KEY: _words(
        ("The key was revoked", "مفتاح التوقيع ملغى"),
        (
            "The key that signed the licence was revoked; anybody may have used it.",
            "أُلغي المفتاح الذي وُقعت به الرخصة، فلا يعتد بتوقيعه.",
        ),
        (
            "Do not accept it; its holder gets a new paper from the municipality.",
            "لا تعتمدها؛ ولصاحبها أن يطلب وثيقة جديدة من الجهة المصدرة.",
        ),
    ),
    Answer.WRONG_SIGNATURE: _words(
        ("Forged or changed", "مزورة أو معدلة"),
        (
            "The signature does not hold: the licence was changed or forged.",
            "التوقيع غير صحيح: الرخصة معدلة أو مزورة.",
        ),
        _ASK,
    ),
    Answer.OTHER_MUNICIPALITY: _words(
        ("Signed by another municipality", "موقعة من جهة أخرى"),
        (
            "The licence names one municipality and is signed with the key of another.",
            "تذكر الرخصة جهة مصدرة، وهي موقعة بمفتاح جهة أخرى.",
        ),
        ("Do not accept it; tell both municipalities.", "لا تعتمدها، وأبلغ الجهتين."),
    ),
    Answer.KEY_OUT_OF_PERIOD: _words(
        ("The key was not in use", "المفتاح خارج مدته"),
        (
            "The licence says it was issued when its key was not in use.",
            "تاريخ إصدار الرخصة خارج مدة استعمال المفتاح الذي وُقعت به.",
        ),
        _ASK,
    ),
    Answer.CLOCK_WRONG: _words(
        ("Not known: the clock is wrong", "تعذّر الحكم: الساعة غير مضبوطة"),
        (
            "The licence or its list was made later than the clock of this device says it is now.",
            "صدرت الرخصة أو قائمتها في وقت لاحق لما تشير إليه ساعة هذا الجهاز.",
        ),
        ("Set the date and time of this device, and verify again.", "اضبط تاريخ الجهاز ووقته ثم أعد التحقق."),
    ),
    Answer.NOT_REGISTERED: _words(
        ("Not in the register", "غير مقيّدة في السجل"),
        (
            "The signature is right, and the municipality's register does not have this licence.",
            "التوقيع صحيح، لكن سجل الجهة المصدرة لا يتضمن هذه الرخصة.",
        ),
        (
            "Do not accept it; tell the municipality: its key may be in other hands.",
            "لا تعتمدها، وأبلغ الجهة المصدرة؛ فقد يكون مفتاح توقيعها في يد غيرها.",
        ),
    ),
}


def age_words(age: timedelta | None) -> Bilingual:
    """How old the list is, in a sentence; to be shown with every verdict.

    Args:
        age: of the list; None without one.
    """
    if age is None:
        return Bilingual(
            en="No list of suspended and revoked licences is held here.",
            ar="لا توجد هنا قائمة بالرخص الموقوفة والملغاة.",
        )
    if age < _HOUR:
        en, ar = "less than an hour", "أقل من ساعة"
    elif age < _HOURS_TO:
        en, ar = _counted(age // _HOUR, "hour", ("ساعة واحدة", "ساعتان", "ساعات", "ساعة"))
    else:
        en, ar = _counted(age // _DAY, "day", ("يوم واحد", "يومان", "أيام", "يومًا"))
    return Bilingual(
        en=f"The list of suspended and revoked licences is {en} old.",
        ar=f"عمر قائمة الرخص الموقوفة والملغاة {ar}.",
    )


def _counted(count: int, unit: str, arabic: tuple[str, str, str, str]) -> tuple[str, str]:
    one, two, few, many = arabic
    if count == 1:
        ar = one
    elif count == 2:
        ar = two
    else:
        # 3 to 10 take the plural, 11 to 99 the singular in the accusative, round hundreds the bare singular.
        last = count % 100
        ar = f"{count} {few if 3 <= last <= 10 else many if last > 10 else many.removesuffix('ًا')}"
    return f"{count} {unit}{'' if count == 1 else 's'}", ar
