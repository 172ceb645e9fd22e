// Token Status Lists (draft-ietf-oauth-status-list, CWT form): how each licence stands, two bits each.

import { BadBytes, TooMany, hex, inflated } from "./bytes.js";
import { NotCbor, decoded, hasKeys } from "./cbor.js";
import { NotSigned, isSignedBy, parts } from "./cose.js";
import { covers } from "./keys.js";

export const MEDIA_TYPE = "application/statuslist+cwt";
export const MAX_TOKEN = 300_000; // bytes: what cannot be packed at all, with its frame, claims and signature

const SUB = 2, EXP = 4, IAT = 6, LIST = 65533, TTL = 65534, ISSUE = -70002;
const VERSION = 1, SIZE = 2;
const ENTRIES = 1 << 20;
const LONGEST_URI = 500;
const LATEST = Date.UTC(9999, 0, 1) / 1000;
/** Seconds ahead of the phone's clock at which something may have been made. */
export const CLOCK_TOLERANCE = 600;
const VALUES = ["valid", "revoked", "suspended", "replaced"];

/** A list that is not accepted; `reason` is named as the platform's refusal, no list being a damaged one. */
export class ListRefused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * A list whose signature holds; moments are seconds.
 *
 * @typedef {{uri: string, municipality: string, version: number, issuedAt: number, expiresAt: number,
 *   packed: Uint8Array}} StatusList
 */

/**
 * The list in a message. Whether it is too old is not asked: an old list is better than none, as long as its
 * age is told.
 *
 * @param {Uint8Array} token
 * @param {Map<string, import("./keys.js").Key>} keys that are trusted.
 * @param {string|null} uri the list that is wanted.
 * @returns {Promise<StatusList>}
 * @throws {ListRefused}
 */
export async function openList(token, keys, uri = null) {
  if (token.length > MAX_TOKEN) throw new ListRefused("OversizedList");
  const message = messageOf(token);
  const key = keys.get(hex(message.kid));
  if (!key) throw new ListRefused("UnknownListKey");
  if (!(await isSignedBy(key, message))) throw new ListRefused("WrongListSignature");
  if (key.revokedAt !== null) throw new ListRefused("WithdrawnListKey");
  const list = await contentOf(message.payload, key.municipality);
  if (!covers(key, list.issuedAt)) throw new ListRefused("WithdrawnListKey");
  if (uri !== null && list.uri !== uri) throw new ListRefused("AnotherList");
  return list;
}

function messageOf(token) {
  try {
    return parts(token, MEDIA_TYPE);
  } catch (error) {
    if (error instanceof NotSigned) throw new ListRefused("DamagedList");
    throw error;
  }
}

async function contentOf(payload, municipality) {
  let claims;
  try {
    claims = decoded(payload);
  } catch (error) {
    if (error instanceof NotCbor) throw new ListRefused("DamagedList");
    throw error;
  }
  // The order is that of deterministic CBOR; there is one form, and every claim of it is needed.
  const status = claims instanceof Map && claims.get(LIST);
  const issue = claims instanceof Map && claims.get(ISSUE);
  const shaped =
    hasKeys(claims, [SUB, EXP, IAT, LIST, TTL, ISSUE]) &&
    hasKeys(status, ["lst", "bits"]) &&
    hasKeys(issue, [VERSION, SIZE]);
  if (!shaped) throw new ListRefused("DamagedList");
  const [uri, exp, iat, ttl] = [SUB, EXP, IAT, TTL].map((key) => claims.get(key));
  const [version, entries] = [issue.get(VERSION), issue.get(SIZE)];
  const right =
    typeof uri === "string" && uri && [...uri].length <= LONGEST_URI &&
    [exp, iat, ttl, version, entries].every(Number.isInteger) &&
    0 <= iat && iat < exp && exp <= LATEST && 0 < ttl && ttl <= exp - iat && version > 0 &&
    entries > 0 && entries % 4 === 0 && status.get("bits") === 2 && status.get("lst") instanceof Uint8Array;
  if (!right) throw new ListRefused("DamagedList");
  const packed = await values(status.get("lst"), entries);
  return { uri, municipality, version, issuedAt: iat, expiresAt: exp, packed };
}

async function values(lst, entries) {
  if (entries > ENTRIES) throw new ListRefused("OversizedList");
  try {
    const packed = await inflated(lst, entries / 4);
    if (packed.length === entries / 4) return packed;
  } catch (error) {
    if (error instanceof TooMany) throw new ListRefused("OversizedList");
    if (!(error instanceof BadBytes)) throw error;
  }
  throw new ListRefused("DamagedList");
}

/** How a licence stands: "valid", "revoked", "suspended" or "replaced"; null beyond the end of the list. */
export function valueAt({ packed }, index) {
  if (index >= packed.length * 4) return null;
  return VALUES[(packed[index >> 2] >> ((index & 3) * 2)) & 3];
}

/** Whether a list was made before another of its name: a database set back counts its versions from there. */
export function isBefore(list, other) {
  return list.issuedAt === other.issuedAt ? list.version < other.version : list.issuedAt < other.issuedAt;
}

/** The lists that are held, of each name and municipality the newest. */
export class StatusLists {
  #held = new Map();

  constructor(lists = []) {
    for (const list of lists) this.hold(list);
  }

  find(municipality, uri) {
    return this.#held.get(JSON.stringify([municipality, uri])) ?? null;
  }

  /**
   * Hold a list, unless a newer one is held: somebody may play an old one back. Whether it is held now.
   *
   * @param {StatusList} list
   * @param {number|null} now milliseconds since 1970. A list that is held and was made after it stands in
   *   nobody's way: its maker's clock was wrong, and all that he makes at the right time is older.
   */
  hold(list, now = null) {
    const held = this.find(list.municipality, list.uri);
    const early = held && now !== null && held.issuedAt > now / 1000 + CLOCK_TOLERANCE;
    if (held && isBefore(list, held) && !early) return false;
    this.#held.set(JSON.stringify([list.municipality, list.uri]), list);
    return true;
  }

  /** All of them, the oldest first. */
  all() {
    return [...this.#held.values()].sort((a, b) => a.issuedAt - b.issuedAt);
  }
}
