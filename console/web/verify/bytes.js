// Bytes: base45 (RFC 9285), base64url (RFC 7515), and unpacking zlib (RFC 1950) within a limit.

const BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const SLICE = 64; // bytes fed at once: what a bomb unpacks to from these is all that is ever made of it

/** What is packed or written wrongly. */
export class BadBytes extends Error {}

/** What would be larger than it may. */
export class TooMany extends Error {}

/** The bytes of a base45 text. @throws {BadBytes} */
export function fromBase45(text) {
  if (text.length % 3 === 1) throw new BadBytes("base45");
  const bytes = [];
  for (let i = 0; i < text.length; i += 3) {
    const digits = [...text.slice(i, i + 3)].map((letter) => BASE45.indexOf(letter));
    if (digits.includes(-1)) throw new BadBytes("base45");
    const [c, d, e] = digits;
    const value = c + 45 * d + 2025 * (e ?? 0);
    if (value > (e === undefined ? 0xff : 0xffff)) throw new BadBytes("base45");
    if (e !== undefined) bytes.push(value >> 8);
    bytes.push(value & 0xff);
  }
  return Uint8Array.from(bytes);
}

/** The bytes of a base64url text without padding, in its one form. @throws {BadBytes} */
export function fromBase64url(text) {
  if (typeof text !== "string" || !/^[\w-]*$/.test(text)) throw new BadBytes("base64url");
  let binary;
  try {
    binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    throw new BadBytes("base64url");
  }
  const bytes = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  if (toBase64url(bytes) !== text) throw new BadBytes("base64url");
  return bytes;
}

export function toBase64url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Unpack zlib.
 *
 * @param {Uint8Array} packed all of it: nothing may follow.
 * @param {number} limit most bytes it may have unpacked.
 * @throws {TooMany} it has more.
 * @throws {BadBytes} it is damaged, cut off, or something follows it.
 */
export async function inflated(packed, limit) {
  let at = 0;
  const source = new ReadableStream(
    {
      pull(controller) {
        if (at >= packed.length) return controller.close();
        controller.enqueue(packed.slice(at, (at += SLICE)));
      },
    },
    { highWaterMark: 0 },
  );
  const reader = source.pipeThrough(new DecompressionStream("deflate")).getReader();
  const plain = new Uint8Array(limit);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new BadBytes("zlib");
    });
    if (done) return plain.slice(0, length);
    if (length + value.length > limit) {
      reader.cancel().catch(() => {});
      throw new TooMany("zlib");
    }
    plain.set(value, length);
    length += value.length;
  }
}
