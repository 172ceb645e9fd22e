// What each state of the page looks like. Nodes are made one by one and texts are only ever texts: what a
// code holds is never read as markup.

import { ANSWERS, ageWords } from "./answers.js";
import { dayOf, dayWords } from "./days.js";
import { LAPSED, UNDECIDED } from "./verification.js";
import { words } from "./words.js";

const UNREAD = ["not_ours", "damaged", "oversized"];

/** Which of the five kinds an answer is of: yes, lapsed, no, undecided, unread. */
export function kindOf(answer) {
  if (answer === "valid") return "yes";
  // Genuine once, and never again: to whoever looks at it, the same as a forged one.
  if (answer === "revoked") return "no";
  if (LAPSED.includes(answer)) return "lapsed";
  if (UNDECIDED.includes(answer)) return "undecided";
  return UNREAD.includes(answer) ? "unread" : "no";
}

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// The heading takes the focus when the page turns: a screen reader begins to speak there.
const heading = (text) => el("h1", { tabindex: "-1" }, text);
const button = (kind, text, click) => el("button", { type: "button", class: kind, click }, text);
const sign = (name) => el("img", { class: "sign", src: `${name}.svg`, alt: "", width: "112", height: "112" });
// Numbers and Latin letters run left to right wherever they stand.
const ltr = (text) => el("bdi", { dir: "ltr" }, text);

export function startView(language, { camera, picture, text }) {
  const say = (key) => words(key, language);
  const file = el("input", { type: "file", accept: "image/*", hidden: "" });
  file.addEventListener("change", () => file.files[0] && picture(file.files[0]));
  const field = el("textarea", {
    id: "text", rows: "4", dir: "ltr", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
  });
  const form = el("form", { novalidate: "" },
    el("label", { for: "text" }, say("paste_label")),
    field,
    el("button", { type: "submit" }, say("check")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    // A line end comes along when a text is copied; a space may be the code's own last letter.
    const given = field.value.replace(/^\s+/, "").replace(/[\r\n\t]+$/, "");
    if (given) text(given);
    else field.focus();
  });
  return [
    el("div", { class: "invite" },
      sign("scan"),
      heading(say("start")),
      el("p", { class: "hint" }, say("start_hint")),
    ),
    el("div", { class: "actions" },
      button("strong", say("camera"), camera),
      button("", say("picture"), () => file.click()),
      file,
    ),
    el("details", {}, el("summary", {}, say("paste")), form),
    el("p", { class: "hint small" }, say("privacy")),
  ];
}

export function cameraView(language, video, { lamp, lit, switchLamp, slow }, stop) {
  video.setAttribute("aria-label", words("viewfinder", language));
  const light = lamp && button("", words("lamp", language), switchLamp);
  light?.setAttribute("aria-pressed", String(lit));
  return [
    heading(words("scanning", language)),
    el("div", { class: "viewfinder" }, video, el("div", { class: "frame", "aria-hidden": "true" })),
    el("p", { class: "hint", id: "help" }, words(slow ? "scanning_slow" : "scanning_hint", language)),
    el("div", { class: "actions" }, light, button("", words("stop", language), stop)),
  ];
}

export function workingView(language) {
  const wheel = el("div", { class: "wait", "aria-hidden": "true" });
  return [el("div", { class: "invite" }, wheel, heading(words("working", language)))];
}

export function troubleView(language, trouble, back) {
  return [
    el("div", { class: "invite" },
      sign("undecided"),
      heading(words(trouble, language)),
      el("p", { class: "hint" }, words(`${trouble}_hint`, language)),
    ),
    // Nothing can be done here with such a browser.
    trouble === "unsupported"
      ? null
      : el("div", { class: "actions" }, button("strong", words("back", language), back)),
  ].filter(Boolean);
}

export function resultView(language, { answer, claims, listAge }, labels, again) {
  const kind = kindOf(answer);
  const told = ANSWERS[answer][language];
  return [
    el("div", { class: `verdict ${kind}` },
      sign(kind),
      el("p", { class: "chip" }, words(kind, language)),
      heading(told.title),
      el("p", {}, told.sentence),
      el("p", { class: "remedy" }, told.remedy),
      // Without claims no list was asked.
      claims ? el("p", { class: "age" }, ageWords(listAge, language)) : null,
    ),
    claims ? licence(language, claims, labels) : null,
    el("div", { class: "actions" }, button("strong", words("again", language), again)),
  ].filter(Boolean);
}

/** What a screen reader says of a state, beside its heading. */
export function toldOf({ view, trouble, verdict, slow }, language) {
  if (view === "camera") return words(slow ? "scanning_slow" : "scanning_hint", language);
  if (view === "trouble") return words(`${trouble}_hint`, language);
  if (view !== "result") return "";
  const { sentence, remedy } = ANSWERS[verdict.answer][language];
  const age = verdict.claims ? ageWords(verdict.listAge, language) : "";
  return `${words(kindOf(verdict.answer), language)}. ${sentence} ${remedy} ${age}`;
}

function licence(language, claims, labels) {
  const say = (key) => words(key, language);
  const issuer = labels.municipalities[claims.municipality]?.[language];
  const names = labels.fields[claims.service] ?? {};
  return el("section", { class: "licence", "aria-labelledby": "licence" },
    el("h2", { id: "licence" }, say("licence")),
    el("dl", {},
      row(say("kind"), claims.title[language]),
      row(say("number"), ltr(claims.number)),
      row(say("municipality"), issuer ?? ltr(claims.municipality)),
      row(say("first_day"), ...dates(claims.firstDay, language)),
      row(say("last_day"), ...dates(claims.lastDay, language)),
      // The public fields are in Arabic, the language a licence is legally written in.
      ...claims.fields.map(([name, value]) =>
        row(names[name]?.[language] ?? ltr(name), el("bdi", { lang: "ar", dir: "auto" }, value)),
      ),
      row(say("issued"), ...dates(Math.floor(dayOf(claims.issuedAt)), language)),
    ),
  );
}

function row(label, ...values) {
  return el("div", {}, el("dt", {}, label), el("dd", {}, ...values));
}

function dates(day, language) {
  const { gregorian, hijri } = dayWords(day, language);
  const said = [gregorian, hijri].filter(Boolean);
  return said.map((text) => el("span", { class: "day" }, text));
}
