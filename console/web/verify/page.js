// The page: which state it is in, and what leads from one to the next.

import { ageWords } from "./answers.js";
import { momentWords } from "./days.js";
import { Held } from "./held.js";
import { CameraGone, NotAPicture, closeCamera, lampOf, openCamera } from "./scanning.js";
import { readFile, reader, scan } from "./scanning.js";
import { UNDECIDED, verify } from "./verification.js";
import { cameraView, kindOf, resultView, startView, toldOf, troubleView, workingView } from "./views.js";
import { words } from "./words.js";

const LANGUAGE = "rakeeza-language";
const OFTEN = 10 * 60_000; // milliseconds between two updates while the page is looked at
const IMPATIENT = 8_000; // milliseconds that a reader waits for newer keys or lists before he is answered
const LONG = 12_000; // milliseconds after which the camera's reader is told what may help
const ASKED_AND_REFUSED = ["NotAllowedError", "SecurityError"];

const main = document.querySelector("main");
const video = document.createElement("video");
video.muted = true;
video.playsInline = true;

const held = new Held();
let labels = { municipalities: {}, fields: {} };
let language = firstLanguage();
let state = { view: "start" };
let camera = null; // what stops it
let update = ""; // what became of the last update: a key of words
let updatedAt = 0;
let kept = false; // whether the page opens without a network
let registration = null;
let replaced = false; // whether a newer set of files took over beneath this page
let restored = null;

function firstLanguage() {
  try {
    const chosen = localStorage.getItem(LANGUAGE);
    if (chosen === "ar" || chosen === "en") return chosen;
  } catch {
    // A browser that keeps nothing asks anew each time.
  }
  // Whoever reads neither first may read one of them after it.
  const known = navigator.languages.find((each) => /^(ar|en)\b/.test(each)) ?? "ar";
  return known.slice(0, 2);
}

function show(next) {
  state = next;
  render();
  main.querySelector("h1").focus({ preventScroll: true });
  scrollTo(0, 0);
  tell();
  renew();
}

// What a screen reader says after the heading.
function tell() {
  document.querySelector("#said").textContent = toldOf(state, language);
}

function render() {
  document.documentElement.lang = language;
  document.documentElement.dir = language === "ar" ? "rtl" : "ltr";
  document.body.dataset.state = state.view;
  document.body.dataset.answer = state.verdict?.answer ?? "";
  document.body.dataset.kind = state.verdict ? kindOf(state.verdict.answer) : "";
  main.setAttribute("aria-busy", String(state.view === "working"));
  main.replaceChildren(...view());
  document.title = `${main.querySelector("h1").textContent} – ${words("page", language)}`;
  document.querySelector("footer").hidden = state.trouble === "unsupported";
  document.querySelector("#who").textContent = words("page", language);
  const other = document.querySelector("#language");
  other.textContent = words("other_language", language);
  other.lang = language === "ar" ? "en" : "ar";
  renderFoot();
}

function view() {
  switch (state.view) {
    case "camera":
      return cameraView(language, video, state, start);
    case "working":
      return workingView(language);
    case "result":
      return resultView(language, state.verdict, labels, start);
    case "trouble":
      return troubleView(language, state.trouble, start);
    default:
      return startView(language, { camera: lookByCamera, picture: lookAtFile, text: judge });
  }
}

function renderFoot() {
  const lists = held.lists.all();
  // The age of the oldest: none of them is younger than is said.
  const age = lists.length ? Math.max(0, Math.floor(Date.now() / 1000 - lists[0].issuedAt)) : null;
  const keys = held.keysAt === null
    ? words("no_keys", language)
    : words("keys_at", language) + momentWords(held.keysAt / 1000, language);
  document.querySelector("#offline").textContent = words(kept ? "offline_ready" : "offline_not", language);
  document.querySelector("#keys").textContent = keys;
  document.querySelector("#list").textContent = ageWords(age, language);
  document.querySelector("#update").textContent = words("update", language);
  const told = document.querySelector("#told");
  const text = update ? words(update, language) : "";
  // Written again it would be read out again.
  if (told.textContent !== text) told.textContent = text;
  document.body.dataset.offline = kept && held.keysAt !== null ? "ready" : "";
  document.body.dataset.update = update;
}

function start() {
  stopLooking();
  show({ view: "start" });
}

function stopLooking() {
  camera?.abort();
  camera = null;
}

async function lookByCamera() {
  stopLooking();
  const stop = new AbortController();
  camera = stop;
  let stream;
  try {
    stream = await openCamera(video, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) return;
    const denied = ASKED_AND_REFUSED.includes(error.name);
    show({ view: "trouble", trouble: denied ? "camera_denied" : "camera_none" });
    return;
  }
  if (stream === null) return;
  const text = await textSeen(stream, stop.signal);
  if (text === null) return;
  navigator.vibrate?.(80);
  await judge(text);
}

// The text of the code that the camera is held to; null when there is none, and the page has turned.
async function textSeen(stream, signal) {
  show({ view: "camera", lamp: lampOf(stream), switchLamp, lit: false, slow: false });
  const slow = setTimeout(sayWhatHelps, LONG);
  try {
    return await scan(video, stream, signal);
  } catch (error) {
    if (!signal.aborted) show({ view: "trouble", trouble: troubleOf(error) });
    return null;
  } finally {
    clearTimeout(slow);
    closeCamera(video, stream);
  }
}

function troubleOf(error) {
  if (error instanceof CameraGone) return "camera_none";
  if (error instanceof NotAPicture) return "no_picture";
  console.error(error);
  return "failed";
}

function sayWhatHelps() {
  state.slow = true;
  main.querySelector("#help").textContent = words("scanning_slow", language);
  tell();
}

async function switchLamp(event) {
  const button = event.currentTarget;
  try {
    await state.lamp(!state.lit);
    state.lit = !state.lit;
    button.setAttribute("aria-pressed", String(state.lit));
  } catch {
    // It stays as it is: some cameras have a lamp only for photographs.
  }
}

async function lookAtFile(file) {
  stopLooking();
  show({ view: "working" });
  let text;
  try {
    text = await readFile(file);
  } catch (error) {
    return show({ view: "trouble", trouble: troubleOf(error) });
  }
  if (text === null) return show({ view: "trouble", trouble: "no_code" });
  return judge(text);
}

async function judge(text) {
  stopLooking();
  show({ view: "working" });
  try {
    await restored;
    let verdict = await verify(text, held.keys, held.lists, Date.now());
    if (maySettle(verdict) && navigator.onLine) {
      const uri = verdict.claims?.status.uri ?? null;
      await Promise.race([refresh(uri), new Promise((resolve) => setTimeout(resolve, IMPATIENT))]);
      verdict = await verify(text, held.keys, held.lists, Date.now());
    }
    show({ view: "result", verdict });
  } catch (error) {
    console.error(error);
    show({ view: "trouble", trouble: "failed" });
  }
}

// What is missing here may be had; a clock is not among it, nor the list of a licence that names none.
function maySettle({ answer, claims }) {
  return UNDECIDED.includes(answer) && answer !== "clock_wrong" && claims?.status !== null;
}

async function refresh(uri = null) {
  update = "updating";
  renderFoot();
  updatedAt = Date.now();
  update = (await held.refresh(uri)) ? "updated" : "update_failed";
  renderFoot();
}

function refreshIfDue() {
  if (document.visibilityState === "visible" && Date.now() - updatedAt > OFTEN) {
    refresh();
    registration?.update().catch(() => {});
  }
}

// A newer set of files takes over only while nobody is in the middle of something.
function renew() {
  const idle = state.view === "start" && camera === null && !document.querySelector("#text")?.value;
  if (!idle) return;
  if (replaced) location.reload();
  else registration?.waiting?.postMessage("take over");
}

async function keepOffline() {
  let controlled = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    // The first worker only begins to keep what is shown; a later one brings other files. Another page may
    // have asked it to, while this one shows an answer.
    replaced = controlled;
    controlled = true;
    renew();
  });
  registration = await navigator.serviceWorker.register("worker.js");
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", renew);
  });
  const { active } = await navigator.serviceWorker.ready;
  kept = await isKept(active);
  renderFoot();
  renew();
}

function isKept(worker) {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage("is all kept?", [port2]);
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
}

async function loadLabels() {
  try {
    const answer = await fetch("labels.json");
    if (!answer.ok) return;
    labels = await answer.json();
    if (state.view === "result") render();
  } catch {
    // Fields then bear the names that the code gives them.
  }
}

function changeLanguage() {
  language = language === "ar" ? "en" : "ar";
  try {
    localStorage.setItem(LANGUAGE, language);
  } catch {
    // It holds until the page is closed.
  }
  const typed = document.querySelector("#text")?.value;
  render();
  tell();
  if (!typed) return;
  const field = document.querySelector("#text");
  field.value = typed;
  field.closest("details").open = true;
}

async function begin() {
  document.querySelector("#language").addEventListener("click", changeLanguage);
  document.querySelector("#update").addEventListener("click", () => refresh());
  const needed = ["DecompressionStream", "OffscreenCanvas"];
  const able = isSecureContext && crypto.subtle && needed.every((name) => name in window);
  if (!able) return show({ view: "trouble", trouble: "unsupported" });
  restored = held.restore();
  render();
  // Nobody waits for these: a browser's own reader may never say what it can.
  reader.prepare();
  loadLabels();
  await restored;
  renderFoot();
  document.addEventListener("visibilitychange", refreshIfDue);
  addEventListener("online", () => refresh());
  setInterval(refreshIfDue, OFTEN);
  if ("serviceWorker" in navigator) keepOffline().catch((error) => console.error(error));
  await refresh();
}

begin();
