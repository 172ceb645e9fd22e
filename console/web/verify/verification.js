// Whether a licence's code is to be believed: its signature, its dates and its list, in one named answer.

import { Refused, openCredential } from "./credential.js";
import { today } from "./days.js";
import { CLOCK_TOLERANCE, valueAt } from "./status.js";

/** Answers that say nothing against the licence: something is missing here, and may be had. */
export const UNDECIDED = ["list_too_old", "list_missing", "unknown_key", "clock_wrong"];

/** Answers of a licence that is genuine, and does not hold today. */
export const LAPSED = ["not_yet_valid", "expired", "suspended", "revoked", "replaced"];

/**
 * Judge a licence's code.
 *
 * @param {string} text exactly what the code holds.
 * @param {Map<string, import("./keys.js").Key>} keys that are trusted.
 * @param {import("./status.js").StatusLists} lists that are held.
 * @param {number} now milliseconds since 1970 by this device's clock.
 * @returns {Promise<{answer: string, claims: import("./credential.js").Claims|null, listAge: number|null}>}
 *   one answer whatever the text is; claims only where the signature holds; the age in seconds of the list
 *   that it was judged by.
 */
export async function verify(text, keys, lists, now) {
  let claims;
  try {
    claims = await openCredential(text, keys);
  } catch (error) {
    if (error instanceof Refused) return { answer: error.answer, claims: null, listAge: null };
    throw error;
  }
  const list = claims.status && lists.find(claims.municipality, claims.status.uri);
  const listAge = list ? Math.max(Math.floor(now / 1000 - list.issuedAt), 0) : null;
  return { answer: answerOf(claims, list, now / 1000), claims, listAge };
}

function answerOf(claims, list, seconds) {
  const made = Math.max(claims.issuedAt, list ? list.issuedAt : claims.issuedAt);
  if (made > seconds + CLOCK_TOLERANCE) return "clock_wrong";
  const day = today(seconds * 1000);
  const dated = day < claims.firstDay ? "not_yet_valid" : day > claims.lastDay ? "expired" : "valid";
  const value = list && valueAt(list, claims.status.index);
  // What a list says goes before the dates: who shows a replaced paper is told so, and not that it expired.
  if (value && seconds <= list.expiresAt) return value === "valid" ? dated : value;
  if (dated !== "valid") return dated;
  return value ? "list_too_old" : "list_missing";
}
