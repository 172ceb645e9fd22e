"use strict";
// Turns the page when the visit goes on. Without this script every page still works by its buttons.

let wanted = "";
let turning = false;

async function turn() {
  // One fetch at a time: two answers that overtake each other would leave the older page standing.
  if (turning) return;
  turning = true;
  try {
    do {
      const answer = await fetch("/", { cache: "no-store" });
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } while (document.body.dataset.version !== wanted);
  } catch {
    lost();
  } finally {
    turning = false;
  }
}

function show(next) {
  const root = document.documentElement;
  root.lang = next.documentElement.lang;
  root.dir = next.documentElement.dir;
  document.title = next.title;
  document.body.replaceWith(next.body);
  // A screen reader begins to speak where the focus is.
  document.querySelector("h1")?.focus({ preventScroll: true });
}

function lost() {
  if (document.querySelector(".lost")) return;
  const note = document.createElement("p");
  note.className = "lost";
  note.setAttribute("role", "alert");
  note.textContent = document.body.dataset.lost;
  document.querySelector("main").before(note);
}

function listen() {
  const events = new EventSource("/events");
  events.addEventListener("page", (event) => {
    wanted = event.data;
    if (wanted !== document.body.dataset.version || document.querySelector(".lost")) turn();
  });
  events.addEventListener("error", () => {
    lost();
    // The browser gives up on some failures; the terminal comes back, so we never do.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 1000);
  });
  addEventListener("pagehide", () => events.close());
}

listen();
