// COSE_Sign1 messages with ES256: RFC 9052, sections 4.2 and 4.4; RFC 9053, section 2.1.

import { NotCbor, Tag, decoded, encoded, hasKeys } from "./cbor.js";

const SIGN1 = 18;
const ALG = 1, KID = 4, TYP = 16;
const ES256 = -7;
const ECDSA = { name: "ECDSA", hash: "SHA-256" };

/** What is no COSE_Sign1 message, or one of another type than was asked for. */
export class NotSigned extends Error {}

/**
 * The parts of a signed message; nothing of it is believed yet.
 *
 * @param {Uint8Array} bytes
 * @param {string|null} type what its header must say it is; null: it must say nothing.
 * @returns {{kid: Uint8Array, shielded: Uint8Array, payload: Uint8Array, signature: Uint8Array}}
 * @throws {NotSigned}
 */
export function parts(bytes, type) {
  const message = cbor(bytes);
  if (!(message instanceof Tag) || message.tag !== SIGN1) throw new NotSigned("another tag");
  if (!Array.isArray(message.value) || message.value.length !== 4) throw new NotSigned("another shape");
  const [shielded, open, payload, signature] = message.value;
  const isBytes = [shielded, payload, signature].every((part) => part instanceof Uint8Array);
  // A header outside the signature could say anything.
  if (!isBytes || !hasKeys(open, [])) throw new NotSigned("another shape");
  const header = cbor(shielded);
  if (!hasKeys(header, type === null ? [ALG, KID] : [ALG, KID, TYP])) throw new NotSigned("another header");
  const kid = header.get(KID);
  const right = header.get(ALG) === ES256 && kid instanceof Uint8Array && (header.get(TYP) ?? null) === type;
  if (!right) throw new NotSigned("another header");
  return { kid, shielded, payload, signature };
}

function cbor(bytes) {
  try {
    return decoded(bytes);
  } catch (error) {
    if (error instanceof NotCbor) throw new NotSigned(error.message);
    throw error;
  }
}

/** Whether a key made the signature of a message. */
export async function isSignedBy(key, { shielded, payload, signature }) {
  if (signature.length !== 64) return false;
  const signed = encoded(["Signature1", shielded, new Uint8Array(), payload]);
  return crypto.subtle.verify(ECDSA, key.crypto, signature, signed);
}
