// What is told of each answer: the same words as the platform's own (foundation/wire/verdict_words.py), and a
// test holds the two to each other.

export const ANSWERS = {
  valid: {
    ar: {
      title: "سارية",
      sentence: "الرخصة صحيحة وسارية اليوم.",
      remedy: "طابق بياناتها بالنشاط والموقع الذي أمامك.",
    },
    en: {
      title: "Valid",
      sentence: "The licence is genuine and holds today.",
      remedy: "Compare what it says with the place in front of you.",
    },
  },
  not_yet_valid: {
    ar: {
      title: "لم تبدأ صلاحيتها بعد",
      sentence: "الرخصة صحيحة، لكن أول أيام سريانها لم يحن.",
      remedy: "تعتمد ابتداءً من أول يوم في مدتها.",
    },
    en: {
      title: "Not yet valid",
      sentence: "The licence is genuine, and its first day is yet to come.",
      remedy: "Accept it from its first day on.",
    },
  },
  expired: {
    ar: {
      title: "منتهية الصلاحية",
      sentence: "الرخصة صحيحة، لكن مدتها انتهت.",
      remedy: "اطلب من صاحبها الرخصة المجددة.",
    },
    en: {
      title: "Expired",
      sentence: "The licence is genuine, and its last day has passed.",
      remedy: "Ask the holder for the renewed licence.",
    },
  },
  suspended: {
    ar: {
      title: "موقوفة",
      sentence: "أوقفت الجهة المصدرة هذه الرخصة مؤقتًا.",
      remedy: "لا يعتد بها حتى يُرفع الإيقاف.",
    },
    en: {
      title: "Suspended",
      sentence: "The municipality has suspended the licence.",
      remedy: "It does not hold until it is reinstated.",
    },
  },
  revoked: {
    ar: {
      title: "ملغاة",
      sentence: "سُحبت هذه الرخصة أو أُلغيت أو عُدّت باطلة.",
      remedy: "لا تعتمدها.",
    },
    en: {
      title: "Revoked",
      sentence: "The licence was revoked, closed or declared void.",
      remedy: "Do not accept it.",
    },
  },
  replaced: {
    ar: {
      title: "مستبدلة",
      sentence: "صدر إصدار أحدث أو نسخة بديلة من هذه الرخصة، ولم تعد هذه الوثيقة معتمدة.",
      remedy: "اطلب من صاحبها أحدث وثيقة.",
    },
    en: {
      title: "Replaced",
      sentence: "A newer version or copy of this licence was issued; this paper no longer counts.",
      remedy: "Ask the holder for the newest paper.",
    },
  },
  list_too_old: {
    ar: {
      title: "تعذّر الحكم: القائمة قديمة",
      sentence: "التوقيع والتواريخ صحيحة، لكن قائمة الرخص الموقوفة والملغاة أقدم من أن يُعتمد عليها.",
      remedy: "اتصل بالشبكة مرة لتنزيل أحدث قائمة.",
    },
    en: {
      title: "Not known: the list is too old",
      sentence:
        "The signature and dates are right, but the list of suspended and revoked licences is too old.",
      remedy: "Connect to the network once to get the newest list.",
    },
  },
  list_missing: {
    ar: {
      title: "تعذّر الحكم: لا توجد قائمة",
      sentence: "التوقيع والتواريخ صحيحة، ولا يُعلم هنا هل أُوقفت الرخصة أو أُلغيت بعد صدورها.",
      remedy: "نزّل قائمة الجهة المصدرة، أو استعلم عن الرخصة برقمها.",
    },
    en: {
      title: "Not known: there is no list",
      sentence:
        "The signature and dates are right; whether it was suspended or revoked since is not known here.",
      remedy: "Get the municipality's list, or ask for the licence by its number.",
    },
  },
  not_ours: {
    ar: {
      title: "ليس رمز رخصة",
      sentence: "هذا الرمز ليس رمز رخصة صادرة عن ركيزة.",
      remedy: "امسح الرمز المربّع أسفل الرخصة.",
    },
    en: {
      title: "Not a licence code",
      sentence: "This is no licence code of Rakeeza.",
      remedy: "Scan the square code at the foot of the licence.",
    },
  },
  damaged: {
    ar: {
      title: "رمز تالف",
      sentence: "رمز الرخصة تالف أو ناقص.",
      remedy: "امسحه من جديد وهو مستوٍ وفي إضاءة أفضل.",
    },
    en: {
      title: "Damaged",
      sentence: "The licence code is damaged or incomplete.",
      remedy: "Scan it again, flat and in better light.",
    },
  },
  oversized: {
    ar: {
      title: "أكبر من رمز رخصة",
      sentence: "الرمز أكبر من أن يكون رمز رخصة.",
      remedy: "امسح الرمز المطبوع على الرخصة دون غيره.",
    },
    en: {
      title: "Too large",
      sentence: "The code is larger than that of any licence.",
      remedy: "Scan the code on the licence, and no other.",
    },
  },
  unknown_key: {
    ar: {
      title: "تعذّر الحكم: المفتاح غير معروف",
      sentence: "المفتاح الذي وُقعت به الرخصة غير معروف هنا.",
      remedy: "نزّل أحدث مفاتيح الجهة المصدرة؛ فإن بقي المفتاح مجهولًا فلا تعتمد الرخصة.",
    },
    en: {
      title: "Not known: the key is not known here",
      sentence: "The key that signed the licence is not among those held here.",
      remedy: "Get the municipality's newest keys; if it is still unknown, do not accept the licence.",
    },
  },
  revoked_key: {
    ar: {
      title: "مفتاح التوقيع ملغى",
      sentence: "أُلغي المفتاح الذي وُقعت به الرخصة، فلا يعتد بتوقيعه.",
      remedy: "لا تعتمدها؛ ولصاحبها أن يطلب وثيقة جديدة من الجهة المصدرة.",
    },
    en: {
      title: "The key was revoked",
      sentence: "The key that signed the licence was revoked; anybody may have used it.",
      remedy: "Do not accept it; its holder gets a new paper from the municipality.",
    },
  },
  wrong_signature: {
    ar: {
      title: "مزورة أو معدلة",
      sentence: "التوقيع غير صحيح: الرخصة معدلة أو مزورة.",
      remedy: "لا تعتمدها، واستعلم لدى الجهة المصدرة برقم الرخصة.",
    },
    en: {
      title: "Forged or changed",
      sentence: "The signature does not hold: the licence was changed or forged.",
      remedy: "Do not accept it; ask the municipality by the licence number.",
    },
  },
  other_municipality: {
    ar: {
      title: "موقعة من جهة أخرى",
      sentence: "تذكر الرخصة جهة مصدرة، وهي موقعة بمفتاح جهة أخرى.",
      remedy: "لا تعتمدها، وأبلغ الجهتين.",
    },
    en: {
      title: "Signed by another municipality",
      sentence: "The licence names one municipality and is signed with the key of another.",
      remedy: "Do not accept it; tell both municipalities.",
    },
  },
  key_out_of_period: {
    ar: {
      title: "المفتاح خارج مدته",
      sentence: "تاريخ إصدار الرخصة خارج مدة استعمال المفتاح الذي وُقعت به.",
      remedy: "لا تعتمدها، واستعلم لدى الجهة المصدرة برقم الرخصة.",
    },
    en: {
      title: "The key was not in use",
      sentence: "The licence says it was issued when its key was not in use.",
      remedy: "Do not accept it; ask the municipality by the licence number.",
    },
  },
  clock_wrong: {
    ar: {
      title: "تعذّر الحكم: الساعة غير مضبوطة",
      sentence: "صدرت الرخصة أو قائمتها في وقت لاحق لما تشير إليه ساعة هذا الجهاز.",
      remedy: "اضبط تاريخ الجهاز ووقته ثم أعد التحقق.",
    },
    en: {
      title: "Not known: the clock is wrong",
      sentence: "The licence or its list was made later than the clock of this device says it is now.",
      remedy: "Set the date and time of this device, and verify again.",
    },
  },
  not_registered: {
    ar: {
      title: "غير مقيّدة في السجل",
      sentence: "التوقيع صحيح، لكن سجل الجهة المصدرة لا يتضمن هذه الرخصة.",
      remedy: "لا تعتمدها، وأبلغ الجهة المصدرة؛ فقد يكون مفتاح توقيعها في يد غيرها.",
    },
    en: {
      title: "Not in the register",
      sentence: "The signature is right, and the municipality's register does not have this licence.",
      remedy: "Do not accept it; tell the municipality: its key may be in other hands.",
    },
  },
};

const HOUR = 3600;
const DAY = 24 * HOUR;
const HOURS_TO = 48 * HOUR;

/** How old the list is, in a sentence; to be shown with every answer. */
export function ageWords(seconds, language) {
  if (seconds === null) {
    return language === "ar"
      ? "لا توجد هنا قائمة بالرخص الموقوفة والملغاة."
      : "No list of suspended and revoked licences is held here.";
  }
  const age = duration(seconds, language);
  return language === "ar"
    ? `عمر قائمة الرخص الموقوفة والملغاة ${age}.`
    : `The list of suspended and revoked licences is ${age} old.`;
}

function duration(seconds, language) {
  if (seconds < HOUR) return language === "ar" ? "أقل من ساعة" : "less than an hour";
  const hours = seconds < HOURS_TO;
  const count = Math.floor(seconds / (hours ? HOUR : DAY));
  if (language === "en") return `${count} ${hours ? "hour" : "day"}${count === 1 ? "" : "s"}`;
  const hourWords = ["ساعة واحدة", "ساعتان", "ساعات", "ساعة"];
  const dayWords = ["يوم واحد", "يومان", "أيام", "يومًا"];
  return counted(count, hours ? hourWords : dayWords);
}

// 3 to 10 take the plural, 11 to 99 the singular in the accusative, round hundreds the bare singular.
function counted(count, [one, two, few, many]) {
  if (count === 1) return one;
  if (count === 2) return two;
  const last = count % 100;
  return `${count} ${last >= 3 && last <= 10 ? few : last > 10 ? many : many.replace(/ًا$/, "")}`;
}
