// CBOR (RFC 8949), as much of it as signed licences and lists are made of, in its one deterministic form.
//
// A strict reader: what is longer than it has to be, given twice, or of a kind that we never write is
// refused, so that nothing can be hidden in what a signature is over.

const UNSIGNED = 0, NEGATIVE = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6;
const DEEPEST = 8;

/** What is no CBOR, or not in the form that we write. */
export class NotCbor extends Error {}

/** A tagged value. */
export class Tag {
  constructor(tag, value) {
    this.tag = tag;
    this.value = value;
  }
}

/**
 * The one value in some bytes: numbers, Uint8Array, strings, arrays, Map, Tag.
 *
 * @throws {NotCbor}
 */
export function decoded(bytes) {
  const reader = { bytes, at: 0 };
  const value = item(reader, 0);
  if (reader.at !== bytes.length) throw new NotCbor("something follows");
  return value;
}

function item(reader, depth) {
  if (depth > DEEPEST) throw new NotCbor("too deep");
  const first = take(reader, 1)[0];
  const major = first >> 5;
  const size = argument(reader, first & 0x1f);
  switch (major) {
    case UNSIGNED:
      return size;
    case NEGATIVE:
      return -1 - size;
    case BYTES:
      return take(reader, size).slice();
    case TEXT:
      return text(take(reader, size));
    case ARRAY:
      return list(reader, size, depth);
    case MAP:
      return map(reader, size, depth);
    case TAG:
      return new Tag(size, item(reader, depth + 1));
    default:
      throw new NotCbor("a kind that is not used");
  }
}

function argument(reader, short) {
  if (short < 24) return short;
  if (short > 27) throw new NotCbor("no definite length");
  const count = 1 << (short - 24);
  let value = 0;
  for (const byte of take(reader, count)) value = value * 256 + byte;
  // Shortest form; what is beyond exact numbers is no time, index or length of ours.
  if (value < [24, 0x100, 0x10000, 0x100000000][short - 24]) throw new NotCbor("longer than it has to be");
  if (!Number.isSafeInteger(value)) throw new NotCbor("too large a number");
  return value;
}

function take(reader, count) {
  if (count > reader.bytes.length - reader.at) throw new NotCbor("it ends early");
  return reader.bytes.subarray(reader.at, (reader.at += count));
}

function text(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new NotCbor("no UTF-8");
  }
}

function list(reader, size, depth) {
  const values = [];
  for (let i = 0; i < size; i++) values.push(item(reader, depth + 1));
  return values;
}

function map(reader, size, depth) {
  const values = new Map();
  for (let i = 0; i < size; i++) {
    const key = item(reader, depth + 1);
    if (typeof key !== "number" && typeof key !== "string") throw new NotCbor("a key of another kind");
    if (values.has(key)) throw new NotCbor("a key twice");
    values.set(key, item(reader, depth + 1));
  }
  return values;
}

/** Bytes, strings and arrays of them as CBOR. */
export function encoded(value) {
  if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    return joined([head(TEXT, bytes.length), bytes]);
  }
  if (value instanceof Uint8Array) return joined([head(BYTES, value.length), value]);
  return joined([head(ARRAY, value.length), ...value.map(encoded)]);
}

function head(major, size) {
  const kind = major << 5;
  if (size < 24) return Uint8Array.of(kind | size);
  if (size < 0x100) return Uint8Array.of(kind | 24, size);
  if (size < 0x10000) return Uint8Array.of(kind | 25, size >> 8, size & 0xff);
  return Uint8Array.of(kind | 26, size >>> 24, (size >> 16) & 0xff, (size >> 8) & 0xff, size & 0xff);
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Whether a map has these keys in this order, and no others. */
export function hasKeys(value, keys) {
  if (!(value instanceof Map) || value.size !== keys.length) return false;
  return [...value.keys()].every((key, i) => key === keys[i]);
}
