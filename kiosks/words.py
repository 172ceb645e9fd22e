"""What a terminal says to a citizen, on the screen and on paper, in both languages."""

from foundation.definitions import Bilingual

LANGUAGES = ("ar", "en")

WORDS: dict[str, Bilingual] = {
    # The screen.
    "welcome": Bilingual(ar="مرحبًا بك", en="Welcome"),
    "scan_prompt": Bilingual(ar="قرّب رمز رخصتك من القارئ", en="Hold the code of your licence to the reader"),
    "scan_hint": Bilingual(
        ar="تجد الرمز المربّع أسفل الرخصة. يمكنك بعدها طباعة نسخة مختصرة منها.",
        en="It is the square code at the foot of the licence. You can then print a summary of it.",
    ),
    "reading": Bilingual(ar="جارٍ البحث عن رخصتك", en="Looking up your licence"),
    "wait": Bilingual(ar="لحظة من فضلك", en="One moment, please"),
    "your_licence": Bilingual(ar="بيانات الرخصة", en="Your licence"),
    "number": Bilingual(ar="رقم الرخصة", en="Licence number"),
    "since": Bilingual(ar="الحالة منذ", en="Status since"),
    "valid_from": Bilingual(ar="سارية من", en="Valid from"),
    "valid_to": Bilingual(ar="سارية إلى", en="Valid to"),
    "print": Bilingual(ar="اطبع الملخص", en="Print the summary"),
    "finish": Bilingual(ar="إنهاء", en="Finish"),
    "printing": Bilingual(ar="جارٍ طباعة الملخص", en="Printing the summary"),
    "printed": Bilingual(ar="خذ الورقة من الطابعة", en="Please take your paper"),
    "printed_hint": Bilingual(
        ar="تُمسح بياناتك من الشاشة بعد لحظات.", en="Your details will be cleared from the screen shortly."
    ),
    "again": Bilingual(ar="حاول مرة أخرى", en="Try again"),
    "language": Bilingual(ar="العربية", en="English"),
    "no_connection": Bilingual(
        ar="توقّفت الشاشة. انتظر لحظة من فضلك.", en="The screen has stopped. Please wait."
    ),
    # Troubles: a title and a sentence.
    "refused": Bilingual(ar="تعذّرت قراءة هذا الرمز", en="This code cannot be read"),
    "refused_hint": Bilingual(
        ar="استخدم الرمز المطبوع على رخصتك البلدية.", en="Use the code printed on your municipal licence."
    ),
    "forged": Bilingual(ar="لم يُقبل هذا الرمز", en="This code was not accepted"),
    "forged_hint": Bilingual(
        ar="لا يطابق الرمز ما أصدرته الأمانة. راجع مركز الخدمة ومعك الرخصة.",
        en="It is not what the municipality issued. Please visit a service centre with your licence.",
    ),
    "not_found": Bilingual(ar="لا توجد رخصة بهذا الرقم", en="No licence has this number"),
    "not_found_hint": Bilingual(
        ar="تأكد من الرخصة، أو راجع مركز الخدمة.", en="Check the licence, or visit a service centre."
    ),
    "offline": Bilingual(ar="الخدمة غير متاحة الآن", en="The service is not available now"),
    "offline_hint": Bilingual(
        ar="لا يستطيع الجهاز الاتصال بالأمانة. حاول بعد قليل.",
        en="This terminal cannot reach the municipality. Please try again shortly.",
    ),
    "by_code_alone": Bilingual(ar="بحسب رمز الرخصة وحده، رقم", en="By its code alone, licence"),
    "no_reader": Bilingual(ar="القارئ متوقف الآن", en="The reader is out of order"),
    "no_reader_hint": Bilingual(
        ar="نعتذر منك. استخدم جهازًا آخر، أو اطلب المساعدة من الموظف.",
        en="We are sorry. Please use another terminal or ask the staff.",
    ),
    "pending": Bilingual(ar="لم تُطبع الورقة بعد", en="The paper is not printed yet"),
    "pending_hint": Bilingual(
        ar="تحتاج الطابعة إلى عناية الموظف. تُطبع ورقتك حالما تعود للعمل.",
        en="The printer needs the staff. Your paper is printed as soon as it works again.",
    ),
    "uncertain": Bilingual(ar="لا نعلم هل خرجت ورقتك", en="We do not know whether your paper came out"),
    "uncertain_hint": Bilingual(
        ar="انظر إلى الطابعة: إن لم تجد ورقتك كاملة فاطبعها مرة أخرى.",
        en="Look at the printer: if your paper is not there or not whole, print it again.",
    ),
    "no_printer": Bilingual(ar="لا توجد طابعة في هذا الجهاز", en="This terminal has no printer"),
    # The paper.
    "scan_to_verify": Bilingual(ar="امسح الرمز للتحقق من الرخصة", en="Scan to verify the licence"),
    "not_a_licence": Bilingual(
        ar="هذا ملخص ولا يُغني عن الرخصة", en="A summary; it does not replace the licence"
    ),
    "printed_at": Bilingual(ar="طُبع في", en="Printed"),
}


def words(key: str, language: str) -> str:
    """One text in one language, `ar` or `en`."""
    return WORDS[key].in_language(language)
