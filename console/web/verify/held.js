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

  /** What was kept on an earlier visit. */
  async restore() {
    const cache = await opened();
    if (!cache) return;
    const kept = await cache.match(KEYS);
    if (kept) await this.#takeKeys(await kept.text(), Number(kept.headers.get(HELD_AT)));
    for (const request of await cache.keys()) {
      if (!new URL(request.url).pathname.startsWith(LISTS)) continue;
      const list = await cache.match(request);
      await this.#takeList(new Uint8Array(await list.arrayBuffer()), null);
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
    const text = await (await got(KEYS)).text();
    const at = Date.now();
    if (!(await this.#takeKeys(text, at))) return false;
    await keep(cache, KEYS, text, "application/jwk-set+json", at);
    await this.#reopen();
    const wanted = new Set(named(await (await got(INDEX)).json()));
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
    const token = new Uint8Array(await (await got(pathname)).arrayBuffer());
    if (!(await this.#takeList(token, uri))) return false;
    await keep(cache, pathname, token, "application/statuslist+cwt", Date.now());
    return true;
  }

  async #takeKeys(text, at) {
    try {
      this.keys = await keySet(text);
      this.keysAt = at;
      return true;
    } catch (error) {
      if (error instanceof BadKeys) return false;
      throw error;
    }
  }

  // A list whose key was revoked meanwhile is not held any longer.
  async #reopen() {
    const before = this.lists.all();
    const after = new StatusLists();
    for (const { token } of before) await this.#takeList(token, null, after);
    this.lists = after;
  }

  async #takeList(token, uri, lists = this.lists) {
    try {
      return lists.hold({ ...(await openList(token, this.keys, uri)), token });
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
  const answer = await fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok || answer.redirected) throw new Error(`${path}: ${answer.status}`);
  return answer;
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
