// The page: which state it is in, and what leads from one to the next.

import { ageWords } from "./answers.js";
import { momentWords } from "./days.js";
import { Held } from "./held.js";
import { closeCamera, openCamera, readFile, reader, scan } from "./scanning.js";
import { UNDECIDED, verify } from "./verification.js";
import { cameraView, kindOf, resultView, startView, troubleView, workingView } from "./views.js";
import { words } from "./words.js";

const LANGUAGE = "rakeeza-language";
const OFTEN = 10 * 60_000; // milliseconds between two updates while the page is looked at
const IMPATIENT = 8_000; // milliseconds that a reader waits for newer keys or lists before he is answered

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
let restored = null;

function firstLanguage() {
  try {
    const chosen = localStorage.getItem(LANGUAGE);
    if (chosen === "ar" || chosen === "en") return chosen;
  } catch {
    // A browser that keeps nothing asks anew each time.
  }
  return navigator.language.startsWith("en") ? "en" : "ar";
}

function show(next) {
  state = next;
  render();
  main.querySelector("h1").focus({ preventScroll: true });
  scrollTo(0, 0);
  renew();
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
  document.querySelector("#who").textContent = words("page", language);
  const other = document.querySelector("#language");
  other.textContent = words("other_language", language);
  other.lang = language === "ar" ? "en" : "ar";
  renderFoot();
}

function view() {
  switch (state.view) {
    case "camera":
      return cameraView(language, video, start);
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
  document.querySelector("#told").textContent = update ? words(update, language) : "";
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
  const stop = new AbortController();
  stopLooking();
  camera = stop;
  let stream = null;
  try {
    stream = await openCamera(video);
    if (stop.signal.aborted) return;
    show({ view: "camera" });
    const text = await scan(video, stop.signal);
    if (text !== null) {
      navigator.vibrate?.(80);
      await judge(text);
    }
  } catch (error) {
    if (stop.signal.aborted) return;
    const denied = ["NotAllowedError", "SecurityError"].includes(error.name);
    show({ view: "trouble", trouble: denied ? "camera_denied" : "camera_none" });
  } finally {
    if (stream) closeCamera(stream);
  }
}

async function lookAtFile(file) {
  stopLooking();
  show({ view: "working" });
  let text;
  try {
    text = await readFile(file);
  } catch {
    return show({ view: "trouble", trouble: "no_picture" });
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
    // What is missing here may be had; a clock is not among it.
    if (UNDECIDED.includes(verdict.answer) && verdict.answer !== "clock_wrong" && navigator.onLine) {
      const uri = verdict.claims?.status?.uri ?? null;
      await Promise.race([refresh(uri), new Promise((resolve) => setTimeout(resolve, IMPATIENT))]);
      verdict = await verify(text, held.keys, held.lists, Date.now());
    }
    show({ view: "result", verdict });
  } catch (error) {
    console.error(error);
    show({ view: "trouble", trouble: "failed" });
  }
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
  const idle = state.view === "start" && !document.querySelector("#text")?.value;
  if (idle) registration?.waiting?.postMessage("take over");
}

async function keepOffline() {
  let controlled = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    // The first worker only begins to keep what is shown; a later one brings other files.
    if (controlled) location.reload();
    controlled = true;
  });
  registration = await navigator.serviceWorker.register("worker.js");
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", renew);
  });
  await navigator.serviceWorker.ready;
  kept = true;
  renderFoot();
  renew();
}

async function loadLabels() {
  try {
    labels = await (await fetch("labels.json")).json();
  } catch {
    // Fields then bear the names that the code gives them.
  }
}

async function begin() {
  document.querySelector("#language").addEventListener("click", () => {
    language = language === "ar" ? "en" : "ar";
    try {
      localStorage.setItem(LANGUAGE, language);
    } catch {
      // It holds until the page is closed.
    }
    render();
  });
  document.querySelector("#update").addEventListener("click", () => refresh());
  const needed = ["DecompressionStream", "OffscreenCanvas"];
  const able = isSecureContext && crypto.subtle && needed.every((name) => name in window);
  if (!able) return show({ view: "trouble", trouble: "unsupported" });
  restored = held.restore();
  render();
  await reader.prepare();
  await loadLabels();
  await restored;
  renderFoot();
  document.addEventListener("visibilitychange", refreshIfDue);
  addEventListener("online", () => refresh());
  setInterval(refreshIfDue, OFTEN);
  if ("serviceWorker" in navigator) keepOffline().catch((error) => console.error(error));
  await refresh();
}

begin();
