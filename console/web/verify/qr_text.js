// The text in a QR code's data codewords: ISO/IEC 18004, section 7.4.

const ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const NUMERIC = 1, LETTERS = 2, PART_OF_SEVERAL = 3, BYTES = 4, CHARSET = 7, END = 0;
// Bits of the length of a segment in versions 1-9, 10-26 and 27-40 (table 3).
const LENGTH_BITS = { [NUMERIC]: [10, 12, 14], [LETTERS]: [9, 11, 13], [BYTES]: [8, 16, 16] };
// Assignments of extended channel interpretation that name a character set we can read.
const CHARSETS = { 3: "iso-8859-1", 26: "utf-8" };

/** What is no text of the standard, or none that a licence could hold. */
class Unreadable extends Error {}

class Bits {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get left() {
    return this.bytes.length * 8 - this.at;
  }

  take(count) {
    if (count > this.left) throw new Unreadable("the data ends early");
    let value = 0;
    for (let i = 0; i < count; i++, this.at++) {
      value = value * 2 + ((this.bytes[this.at >> 3] >> (7 - (this.at & 7))) & 1);
    }
    return value;
  }
}

/**
 * The text of a symbol.
 *
 * @param {Uint8Array} data corrected data codewords.
 * @param {number} version 1 to 40.
 * @returns {string|null} null where the data is no text, or none at all.
 */
export function textOf(data, version) {
  try {
    return segments(new Bits(data), version < 10 ? 0 : version < 27 ? 1 : 2) || null;
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

function segments(bits, size) {
  let text = "";
  let charset = null;
  // The end mark may be cut short where the symbol is full.
  while (bits.left >= 4) {
    const mode = bits.take(4);
    if (mode === END) break;
    if (mode === CHARSET) {
      charset = charsetOf(bits);
      continue;
    }
    if (mode === PART_OF_SEVERAL || !(mode in LENGTH_BITS)) throw new Unreadable("another kind of segment");
    const length = bits.take(LENGTH_BITS[mode][size]);
    if (mode === NUMERIC) text += digits(bits, length);
    else if (mode === LETTERS) text += letters(bits, length);
    else text += characters(bits, length, charset);
  }
  return text;
}

function digits(bits, length) {
  let text = "";
  for (let left = length; left > 0; left -= 3) {
    const count = Math.min(left, 3);
    const value = bits.take([0, 4, 7, 10][count]);
    if (value >= 10 ** count) throw new Unreadable("no digits");
    text += String(value).padStart(count, "0");
  }
  return text;
}

function letters(bits, length) {
  let text = "";
  for (let left = length; left > 0; left -= 2) {
    if (left === 1) {
      text += letter(bits.take(6));
    } else {
      const pair = bits.take(11);
      text += letter(Math.floor(pair / 45)) + letter(pair % 45);
    }
  }
  return text;
}

function letter(value) {
  if (value >= ALPHANUMERIC.length) throw new Unreadable("no letter");
  return ALPHANUMERIC[value];
}

function characters(bits, length, charset) {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = bits.take(8);
  if (charset) return new TextDecoder(charset).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    // The standard's own default; most writers use UTF-8 without saying so.
    return new TextDecoder("iso-8859-1").decode(bytes);
  }
}

function charsetOf(bits) {
  let value = bits.take(8);
  // One, two or three bytes, as the first bits say (table 4).
  if (value >= 0xc0) value = (value & 0x1f) * 0x10000 + bits.take(16);
  else if (value >= 0x80) value = (value & 0x3f) * 0x100 + bits.take(8);
  if (!(value in CHARSETS)) throw new Unreadable("another character set");
  return CHARSETS[value];
}
