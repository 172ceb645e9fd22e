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

// The page says when it is idle; see page.js.
self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
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

async function takeOver() {
  const names = await caches.keys();
  const older = names.filter((name) => name.startsWith(PREFIX) && name !== KEPT);
  await Promise.all(older.map((name) => caches.delete(name)));
  // The first visit too can go on without a network.
  await self.clients.claim();
}

async function answer(request, url) {
  const cache = await caches.open(KEPT);
  const name = url.href.slice(registration.scope.length).replace(/[?#].*$/, "") || "index.html";
  return (await cache.match(name)) ?? fetch(request);
}
