// The licence's code: a signed text that proves itself without a network.
//
//   claims -> CBOR (CWT, RFC 8392) -> COSE_Sign1 (ES256) -> zlib -> base45 -> "RKZ1:" + text
//
// The same strict reader as the platform's own; one table of vectors holds the two to each other.

import { BadBytes, TooMany, fromBase45, hex, inflated } from "./bytes.js";
import { NotCbor, decoded } from "./cbor.js";
import { NotSigned, isSignedBy, parts } from "./cose.js";
import { dayOf } from "./days.js";
import { covers } from "./keys.js";

/** How the text of a licence's code begins. */
export const PREFIX = "RKZ1:";
const MOST_CHARACTERS = 4296; // of the largest QR code there is, version 40-L
const MOST_BYTES = 4096; // unpacked
const ISS = 1, SUB = 2, EXP = 4, NBF = 5, IAT = 6, STATUS = 65535, LICENCE = -70001;
const SERVICE = 1, TITLE = 2, PUBLIC = 3;
// The years 1 to 9999, which is what the platform's dates reach, in seconds.
const EARLIEST = -62_135_607_600;
const LATEST = 253_402_290_000;

/** A text that is not to be believed, with the answer that says why. */
export class Refused extends Error {
  constructor(answer) {
    super(answer);
    this.answer = answer;
  }
}

/**
 * What a licence's code says; days are counted since 1970, moments are seconds.
 *
 * @typedef {{number: string, service: string, title: {ar: string, en: string}, municipality: string,
 *   firstDay: number, lastDay: number, issuedAt: number, fields: [string, string][],
 *   status: {index: number, uri: string}|null}} Claims
 */

/**
 * The claims in a text, its signature verified.
 *
 * @param {string} text exactly what the code holds.
 * @param {Map<string, import("./keys.js").Key>} keys that are trusted.
 * @returns {Promise<Claims>}
 * @throws {Refused}
 */
export async function openCredential(text, keys) {
  if (!text.startsWith(PREFIX)) throw new Refused("not_ours");
  if (text.length > MOST_CHARACTERS) throw new Refused("oversized");
  const message = await unpacked(text.slice(PREFIX.length));
  const key = keys.get(hex(message.kid));
  if (!key) throw new Refused("unknown_key");
  if (!(await isSignedBy(key, message))) throw new Refused("wrong_signature");
  // Whenever it says that it was signed: who has the key can write any date.
  if (key.revokedAt !== null) throw new Refused("revoked_key");
  const claims = claimsOf(message.payload);
  if (claims.municipality !== key.municipality) throw new Refused("other_municipality");
  if (!covers(key, claims.issuedAt)) throw new Refused("key_out_of_period");
  return claims;
}

async function unpacked(body) {
  try {
    return parts(await inflated(fromBase45(body), MOST_BYTES), null);
  } catch (error) {
    if (error instanceof TooMany) throw new Refused("oversized");
    if (error instanceof BadBytes || error instanceof NotSigned) throw new Refused("damaged");
    throw error;
  }
}

function claimsOf(payload) {
  let content;
  try {
    content = decoded(payload);
  } catch (error) {
    if (error instanceof NotCbor) throw new Refused("damaged");
    throw error;
  }
  const licence = member(content, LICENCE);
  const title = member(licence, TITLE);
  const fields = member(licence, PUBLIC);
  const texts = [member(content, ISS), member(content, SUB), member(licence, SERVICE)];
  const moments = [member(content, EXP), member(content, NBF), member(content, IAT)];
  const right =
    texts.every(isText) &&
    moments.every((moment) => Number.isInteger(moment) && moment >= EARLIEST && moment < LATEST) &&
    Array.isArray(title) && title.length === 2 && title.every(isText) &&
    fields instanceof Map && [...fields].flat().every(isText);
  if (!right) throw new Refused("damaged");
  const [end, first] = moments.map(dayOf);
  // A day begins at midnight in Riyadh; the end is the midnight after the last day.
  if (!Number.isInteger(end) || !Number.isInteger(first) || end <= first) throw new Refused("damaged");
  return {
    number: texts[1],
    service: texts[2],
    title: { ar: title[0], en: title[1] },
    municipality: texts[0],
    firstDay: first,
    lastDay: end - 1,
    issuedAt: moments[2],
    fields: [...fields],
    status: statusOf(content.get(STATUS)),
  };
}

function statusOf(claim) {
  if (claim === undefined) return null;
  const list = member(claim, "status_list");
  const index = member(list, "idx");
  const uri = member(list, "uri");
  if (!Number.isInteger(index) || index < 0 || typeof uri !== "string" || !uri) throw new Refused("damaged");
  return { index, uri };
}

function isText(value) {
  return typeof value === "string";
}

function member(map, key) {
  return map instanceof Map ? map.get(key) : undefined;
}
