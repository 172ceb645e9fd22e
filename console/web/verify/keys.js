// The public keys of municipalities: a JWK Set (RFC 7517) whose keys say for whom and since when they speak.

import { BadBytes, fromBase64url, hex, toBase64url } from "./bytes.js";

const LATEST = Date.UTC(9999, 11, 31) / 1000;

/** What is no key set that can be used. */
export class BadKeys extends Error {}

/**
 * A public key: its WebCrypto key, whose it is, and between which times it may have signed; in seconds.
 *
 * @typedef {{kid: string, crypto: CryptoKey, municipality: string, notBefore: number|null,
 *   notAfter: number|null, revokedAt: number|null}} Key
 */

/**
 * The keys of a JWK Set, by the hexadecimal of their identifiers. Keys for another purpose are passed over.
 *
 * @param {string} text JSON.
 * @returns {Promise<Map<string, Key>>}
 * @throws {BadKeys} it is none, a key in it is damaged, or none in it can verify a licence.
 */
export async function keySet(text) {
  let keys;
  try {
    const rows = JSON.parse(text).keys.filter(isForUs);
    keys = await Promise.all(rows.map(publicKey));
  } catch (error) {
    // Any: a member of the wrong kind fails wherever it is first used.
    throw new BadKeys(String(error));
  }
  if (!keys.length) throw new BadKeys("no key in it can verify a licence");
  return new Map(keys.map((key) => [key.kid, key]));
}

function isForUs({ kty, crv, use = "sig", alg = "ES256", iss }) {
  return kty === "EC" && crv === "P-256" && use === "sig" && alg === "ES256" && iss !== undefined;
}

async function publicKey({ x, y, kid, iss, nbf, exp, revoked_at }) {
  if (typeof iss !== "string" || !iss) throw new BadBytes("iss");
  // The identifier is the beginning of the thumbprint (RFC 7638): a key under another's name would make good
  // licences look forged, far from the cause.
  const members = JSON.stringify({ crv: "P-256", kty: "EC", x, y });
  const print = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(members)));
  if (toBase64url(print.slice(0, 8)) !== kid) throw new BadBytes("kid");
  const point = Uint8Array.of(4, ...coordinate(x), ...coordinate(y));
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  return {
    kid: hex(print.slice(0, 8)),
    crypto: await crypto.subtle.importKey("raw", point, curve, false, ["verify"]),
    municipality: iss,
    notBefore: moment(nbf),
    notAfter: moment(exp),
    revokedAt: moment(revoked_at),
  };
}

function coordinate(text) {
  const bytes = fromBase64url(text);
  if (bytes.length !== 32) throw new BadBytes("coordinate");
  return bytes;
}

function moment(value) {
  if (value === undefined || value === null) return null;
  if (!Number.isInteger(value) || value < 0 || value > LATEST) throw new BadBytes("NumericDate");
  return value;
}

/** Whether what was made at a moment may be signed by a key. */
export function covers(key, seconds) {
  if (key.notBefore !== null && seconds < key.notBefore) return false;
  return key.notAfter === null || seconds <= key.notAfter;
}
