// The service worker: keeps the page's files, so that it opens without a network.
//
// The server writes VERSION and FILES (hashes by name) above this line. A new set is kept beside the old one
// and takes its place whole, when no page is in the middle of something: a page never runs with a mix of two.
// Keys and lists are not kept here but by the page (held.js), which verifies them before it keeps them.
"use strict";

const PREFIX = "rakeeza-verify-";
const KEPT = PREFIX + VERSION;

self.addEventListener("install", (event) => event.waitUntil(keep()));

self.addEventListener("activate", (event) => event.waitUntil(takeOver()));

self.addEventListener("message", (event) => {
  // The page says when it is idle; see page.js.
  if (event.data === "take over") self.skipWaiting();
  if (event.data === "is all kept?") {
    event.waitUntil(isKept().then((kept) => event.ports[0].postMessage(kept)));
  }
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const ours = url.origin === location.origin && url.href.startsWith(registration.scope);
  if (event.request.method !== "GET" || !ours) return;
  event.respondWith(answer(event.request, url));
});

async function keep() {
  const cache = await caches.open(KEPT);
  await Promise.all(
    Object.entries(FILES).map(async ([name, hash]) => {
      const answer = await fetch(name, { cache: "no-cache" });
      const body = await answer.clone().arrayBuffer();
      // Another server of the same platform may still have, or already have, another version of it.
      if (!answer.ok || (await digest(body)) !== hash) throw new Error(`${name} is of another version`);
      await cache.put(name, answer);
    }),
  );
}

async function digest(body) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A browser short of room may throw the files away and keep the worker; they are then kept anew.
async function isKept() {
  try {
    const cache = await caches.open(KEPT);
    const files = await Promise.all(Object.keys(FILES).map((name) => cache.match(name)));
    if (!files.every(Boolean)) await keep();
    return true;
  } catch {
    return false;
  }
}

async function takeOver() {
  const names = await caches.keys();
  const older = names.filter((name) => name.startsWith(PREFIX) && name !== KEPT);
  await Promise.all(older.map((name) => caches.delete(name)));
  // The first visit too can go on without a network.
  await self.clients.claim();
}

async function answer(request, url) {
  const name = url.href.slice(registration.scope.length).replace(/[?#].*$/, "") || "index.html";
  return (await found(name)) ?? fetch(request);
}

async function found(name) {
  try {
    return await (await caches.open(KEPT)).match(name);
  } catch {
    // A storage that cannot be read holds nothing.
    return undefined;
  }
}
