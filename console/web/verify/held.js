// What the page holds to judge without a network: the public keys and the status lists.
//
// Each is verified before it is kept, so that a hotel's login page or a list played back cannot take the
// place of a good one. They are read anew whenever there is a network.

import { keySet, BadKeys } from "./keys.js";
import { ListRefused, StatusLists, openList } from "./status.js";

const CACHE = "rakeeza-held";
const KEYS = "/.well-known/rakeeza-keys.json";
const INDEX = "/.well-known/rakeeza-status.json";
const LISTS = "/v1/status-lists/";
const HELD_AT = "x-held-at"; // milliseconds since 1970, on what is kept
const PATIENCE = 15_000; // milliseconds for one answer

export class Held {
  keys = new Map();
  lists = new StatusLists();
  keysAt = null; // milliseconds since 1970
  #refreshing = null;

  /** What was kept on an earlier visit, as far as the browser still has it. */
  restore() {
    // A refresh asked for meanwhile comes after it: what was kept may not take the place of what is newer.
    this.#refreshing = this.#restoreAll();
    return this.#refreshing;
  }

  async #restoreAll() {
    try {
      const cache = await opened();
      const kept = await cache?.match(KEYS);
      if (!kept) return;
      await this.#takeKeys(await kept.text(), Number(kept.headers.get(HELD_AT)));
      for (const request of await cache.keys()) {
        if (!new URL(request.url).pathname.startsWith(LISTS)) continue;
        const list = await cache.match(request);
        await this.#takeList(new Uint8Array(await list.arrayBuffer()), null);
      }
    } catch (error) {
      // A storage that cannot be read holds nothing; the network may give it again.
      console.error(error);
    }
  }

  /**
   * Get the newest keys and lists, as far as there is a network.
   *
   * @param {string|null} uri a further list that is wanted.
   * @returns {Promise<boolean>} whether all of it came.
   */
  async refresh(uri = null) {
    // One at a time: a second one begins where the first ended, and may want another list.
    const before = this.#refreshing;
    const mine = (async () => {
      await before;
      return this.#refreshAll(uri);
    })().catch(() => false);
    this.#refreshing = mine;
    return mine;
  }

  async #refreshAll(uri) {
    const cache = await opened();
    const text = textOf(await got(KEYS));
    const at = Date.now();
    if (!(await this.#takeKeys(text, at))) return false;
    await keep(cache, KEYS, text, "application/jwk-set+json", at);
    const wanted = new Set(named(JSON.parse(textOf(await got(INDEX)))));
    for (const list of this.lists.all()) wanted.add(list.uri);
    // A list that no index names is asked for here only where it says that it lies here.
    if (uri !== null && liesHere(uri)) wanted.add(uri);
    const asked = [...wanted].map((each) => this.#refreshList(cache, each).catch(() => false));
    const came = await Promise.all(asked);
    return came.every(Boolean);
  }

  async #refreshList(cache, uri) {
    // The name of a list may have the public's address, and this page another: what counts is the signature.
    const { pathname } = new URL(uri, location.origin);
    if (!pathname.startsWith(LISTS)) return false;
    const token = await got(pathname);
    if (!(await this.#takeList(token, uri))) return false;
    await keep(cache, pathname, token, "application/statuslist+cwt", Date.now());
    return true;
  }

  async #takeKeys(text, at) {
    try {
      const keys = await keySet(text);
      // A list whose key was revoked meanwhile is not held any longer.
      const lists = new StatusLists();
      for (const { token } of this.lists.all()) await this.#takeList(token, null, keys, lists);
      [this.keys, this.lists, this.keysAt] = [keys, lists, at];
      return true;
    } catch (error) {
      if (error instanceof BadKeys) return false;
      throw error;
    }
  }

  async #takeList(token, uri, keys = this.keys, lists = this.lists) {
    try {
      return lists.hold({ ...(await openList(token, keys, uri)), token }, Date.now());
    } catch (error) {
      if (error instanceof ListRefused) return false;
      throw error;
    }
  }
}

// The names of the lists in the index.
function named(index) {
  return index.lists.map((row) => row.uri);
}

function liesHere(uri) {
  try {
    return new URL(uri).origin === location.origin;
  } catch {
    return false;
  }
}

async function got(path) {
  // Not AbortSignal.timeout: the browsers of old phones do all the rest, and have it not.
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const answer = await fetch(path, { cache: "no-cache", credentials: "omit", signal: stop.signal });
    if (!answer.ok || answer.redirected) throw new Error(`${path}: ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  } finally {
    clearTimeout(timer);
  }
}

function textOf(bytes) {
  return new TextDecoder().decode(bytes);
}

// Where nothing may be kept, as in a private window, the page still works while it is open.
async function opened() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null;
  }
}

async function keep(cache, path, body, type, at) {
  const headers = { "content-type": type, [HELD_AT]: String(at) };
  try {
    await cache?.put(path, new Response(body, { headers }));
  } catch {
    // A full disk: what is in memory serves as long as the page is open.
  }
}
