// What the page says of itself, in both languages. What it says of a licence stands in answers.js.

const WORDS = {
  page: { ar: "التحقق من الرخص البلدية", en: "Municipal licence check" },
  other_language: { ar: "English", en: "العربية" },
  start: { ar: "تحقق من رخصة", en: "Verify a licence" },
  start_hint: {
    ar: "وجّه الكاميرا إلى الرمز المربّع أسفل الرخصة.",
    en: "Point the camera at the square code at the foot of the licence.",
  },
  camera: { ar: "افتح الكاميرا", en: "Open the camera" },
  picture: { ar: "اختر صورة", en: "Choose a picture" },
  paste: { ar: "أو الصق نص الرمز", en: "Or paste the code’s text" },
  paste_label: { ar: "نص الرمز (يبدأ بالحروف RKZ1)", en: "Text of the code (it begins with RKZ1)" },
  check: { ar: "تحقق", en: "Verify" },
  scanning: { ar: "ضع الرمز داخل الإطار", en: "Hold the code inside the frame" },
  scanning_hint: {
    ar: "قرّب الهاتف حتى يملأ الرمز معظم الإطار، وأبقه ثابتًا.",
    en: "Move closer until the code fills most of the frame, and hold still.",
  },
  scanning_slow: {
    ar: "لم يُقرأ الرمز بعد: جرّب إضاءة أفضل أو أبعد الهاتف قليلًا، أو أغلق الكاميرا واختر صورة للرمز.",
    en: "Not read yet: try more light, hold a little farther away, or close the camera and choose a picture.",
  },
  lamp: { ar: "المصباح", en: "Light" },
  viewfinder: { ar: "صورة الكاميرا", en: "Picture of the camera" },
  stop: { ar: "أغلق الكاميرا", en: "Close the camera" },
  working: { ar: "جارٍ التحقق", en: "Verifying" },
  again: { ar: "تحقق من رخصة أخرى", en: "Verify another licence" },
  back: { ar: "عودة", en: "Back" },
  licence: { ar: "بيانات الرخصة", en: "What the licence says" },
  kind: { ar: "نوع الرخصة", en: "Kind" },
  number: { ar: "رقم الرخصة", en: "Licence number" },
  municipality: { ar: "الجهة المصدرة", en: "Issued by" },
  first_day: { ar: "سارية من", en: "Valid from" },
  last_day: { ar: "سارية إلى", en: "Valid to" },
  issued: { ar: "تاريخ الإصدار", en: "Issued" },
  // The answers' kinds: said beside the colour, never by it alone.
  yes: { ar: "تُعتمد", en: "Accept" },
  lapsed: { ar: "لا يُعتد بها اليوم", en: "Does not hold today" },
  no: { ar: "لا تُعتمد", en: "Do not accept" },
  undecided: { ar: "لم يُحسم", en: "Undecided" },
  unread: { ar: "لم تُقرأ رخصة", en: "No licence was read" },
  camera_denied: { ar: "لم يُسمح باستعمال الكاميرا", en: "The camera may not be used" },
  camera_denied_hint: {
    ar: "اسمح بها لهذه الصفحة في إعدادات المتصفح، أو اختر صورة للرمز.",
    en: "Allow it for this page in the browser’s settings, or choose a picture of the code.",
  },
  camera_none: { ar: "لا توجد كاميرا يمكن استعمالها", en: "There is no camera to use" },
  camera_none_hint: {
    ar: "اختر صورة للرمز، أو الصق نصه.",
    en: "Choose a picture of the code, or paste its text.",
  },
  no_code: { ar: "لم يُعثر على رمز في الصورة", en: "No code was found in the picture" },
  no_code_hint: {
    ar: "التقط صورة واضحة في إضاءة جيدة يظهر فيها الرمز كاملًا.",
    en: "Take a sharp picture in good light, with the whole code in it.",
  },
  no_picture: { ar: "تعذّر فتح هذا الملف", en: "This file cannot be opened" },
  no_picture_hint: { ar: "اختر صورة من نوع JPEG أو PNG.", en: "Choose a picture of the kind JPEG or PNG." },
  unsupported: { ar: "لا يمكن التحقق في هذا المتصفح", en: "This browser cannot verify" },
  unsupported_hint: {
    ar: "حدّث المتصفح، وافتح الصفحة بعنوان يبدأ بـ https.",
    en: "Update the browser, and open the page by an address that begins with https.",
  },
  failed: { ar: "حدث خطأ غير متوقع", en: "Something unexpected happened" },
  failed_hint: { ar: "أعد تحميل الصفحة، ثم حاول مرة أخرى.", en: "Load the page again, and try once more." },
  privacy: {
    ar: "يجري التحقق كله على هذا الجهاز، ولا يُرسل ما تقرؤه الصفحة إلى أي جهة.",
    en: "All is verified on this device; what the page reads is sent to nobody.",
  },
  offline_ready: {
    ar: "هذه الصفحة جاهزة للعمل دون إنترنت.",
    en: "This page is ready to work without a network.",
  },
  offline_not: {
    ar: "لم تُحفظ هذه الصفحة للعمل دون إنترنت بعد.",
    en: "This page is not kept for use without a network yet.",
  },
  no_keys: {
    ar: "لم تُنزَّل مفاتيح التحقق بعد؛ اتصل بالإنترنت مرة واحدة.",
    en: "The keys for verifying are not here yet; connect to the network once.",
  },
  keys_at: { ar: "آخر تحديث للمفاتيح: ", en: "Keys last updated: " },
  update: { ar: "حدّث الآن", en: "Update now" },
  updating: { ar: "جارٍ التحديث…", en: "Updating…" },
  updated: { ar: "جُلبت أحدث المفاتيح والقوائم.", en: "The newest keys and lists there are were fetched." },
  update_failed: {
    ar: "تعذّر التحديث؛ يُستعمل ما حُفظ على هذا الجهاز.",
    en: "They could not be updated; what is kept on this device is used.",
  },
};

/** One text of the page in one language, `ar` or `en`. */
export function words(key, language) {
  return WORDS[key][language];
}
