// Days are legal days in Riyadh, which has no summer time, wherever the phone believes to be.

const OFFSET = 3 * 3600;
const DAY = 86400;

/** Days since 1970-01-01 in Riyadh of a moment in seconds; a whole number at midnight. */
export function dayOf(seconds) {
  return (seconds + OFFSET) / DAY;
}

/** The day of a moment in milliseconds. */
export function today(now) {
  return Math.floor(dayOf(now / 1000));
}

// Latin digits in both languages: they are on the paper, and a number is compared by its figures.
const LOCALES = { ar: "ar-SA", en: "en-GB" };
const PARTS = { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" };

/** A day in words, Gregorian and, where the browser knows the calendar, Umm al-Qura. */
export function dayWords(day, language) {
  const date = new Date(day * DAY * 1000);
  return { gregorian: said(date, language, "gregory"), hijri: hijri(date, language) };
}

function said(date, language, calendar) {
  const locale = `${LOCALES[language]}-u-ca-${calendar}-nu-latn`;
  return new Intl.DateTimeFormat(locale, PARTS).format(date);
}

function hijri(date, language) {
  const format = new Intl.DateTimeFormat(`${LOCALES[language]}-u-ca-islamic-umalqura-nu-latn`, PARTS);
  // A browser that does not know it takes another calendar, and would show another date in its name.
  if (format.resolvedOptions().calendar !== "islamic-umalqura") return null;
  return format.format(date);
}

/** A moment in words, by Riyadh's clock. */
export function momentWords(seconds, language) {
  const locale = `${LOCALES[language]}-u-ca-gregory-nu-latn`;
  const parts = { dateStyle: "long", timeStyle: "short", timeZone: "Asia/Riyadh" };
  return new Intl.DateTimeFormat(locale, parts).format(new Date(seconds * 1000));
}
