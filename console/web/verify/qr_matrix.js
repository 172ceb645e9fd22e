// From modules to data codewords: ISO/IEC 18004, sections 6.3, 7.3 to 7.10.

import { correct } from "./qr_correct.js";

// Table 9, versions 1 to 40: check codewords of a block, and the number of blocks, by level.
const table = (text) => text.split(" ").map(Number);
const CHECKS = {
  L: table(
    "7 10 15 20 26 18 20 24 30 18 20 24 26 30 22 24 28 30 28 28 " +
    "28 28 30 30 26 28 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
  ),
  M: table(
    "10 16 26 18 24 16 18 22 22 26 30 22 22 24 24 28 28 26 26 26 " +
    "26 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28 28",
  ),
  Q: table(
    "13 22 18 26 18 24 18 22 20 24 28 26 24 20 30 24 28 28 26 30 " +
    "28 30 30 30 30 28 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
  ),
  H: table(
    "17 28 22 16 22 28 26 26 24 28 24 28 22 24 24 30 28 28 26 28 " +
    "30 24 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30 30",
  ),
};
const BLOCKS = {
  L: table(
    "1 1 1 1 1 2 2 2 2 4 4 4 4 4 6 6 6 6 7 8 " +
    "8 9 9 10 12 12 12 13 14 15 16 17 18 19 19 20 21 22 24 25",
  ),
  M: table(
    "1 1 1 2 2 4 4 4 5 5 5 8 9 9 10 10 11 13 14 16 " +
    "17 17 18 20 21 23 25 26 28 29 31 33 35 37 38 40 43 45 47 49",
  ),
  Q: table(
    "1 1 2 2 4 4 6 6 8 8 8 10 12 16 12 17 16 18 21 20 " +
    "23 23 25 27 29 34 34 35 38 40 43 45 48 51 53 56 59 62 65 68",
  ),
  H: table(
    "1 1 2 4 4 4 5 6 8 8 11 11 16 16 18 16 19 21 25 25 " +
    "25 34 30 32 35 37 40 42 45 48 51 54 57 60 63 66 70 74 77 81",
  ),
};
const LEVELS = ["M", "L", "H", "Q"]; // by their two bits
const FORMAT_MASK = 0x5412;
const MOST_WRONG_BITS = 3; // of format and version information; more would fit another value as well

const MASKS = [
  (row, column) => (row + column) % 2 === 0,
  (row) => row % 2 === 0,
  (_, column) => column % 3 === 0,
  (row, column) => (row + column) % 3 === 0,
  (row, column) => (Math.floor(row / 2) + Math.floor(column / 3)) % 2 === 0,
  (row, column) => ((row * column) % 2) + ((row * column) % 3) === 0,
  (row, column) => (((row * column) % 2) + ((row * column) % 3)) % 2 === 0,
  (row, column) => (((row + column) % 2) + ((row * column) % 3)) % 2 === 0,
];

export const MAX_VERSION = 40;
export const sideOf = (version) => 17 + 4 * version;
export const versionOf = (side) => (side - 17) / 4;

/** Centres of the alignment patterns of a version, along one axis (annex E). */
export function alignmentCentres(version) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const last = sideOf(version) - 7;
  // Version 32 is the one whose distances the standard does not round up.
  const step = version === 32 ? 26 : Math.ceil((last - 6) / (count - 1) / 2) * 2;
  const centres = [6];
  for (let i = count - 2; i >= 0; i--) centres.push(last - i * step);
  return centres;
}

/** The alignment patterns of a version as [row, column]; none lies on a finder pattern. */
export function alignmentPatterns(version) {
  const centres = alignmentCentres(version);
  const last = sideOf(version) - 7;
  const all = centres.flatMap((row) => centres.map((column) => [row, column]));
  const finders = [[6, 6], [6, last], [last, 6]];
  const onFinder = ([row, column]) => finders.some(([r, c]) => r === row && c === column);
  return all.filter((place) => !onFinder(place));
}

const codes = (values, bits, generator) =>
  values.map((value) => {
    let rest = value << bits;
    for (let top = 31 - Math.clz32(generator); rest >= 1 << top; ) {
      rest ^= generator << (31 - Math.clz32(rest) - top);
    }
    return (value << bits) | rest;
  });
// BCH(15, 5) and the Golay-like (18, 6) code of annexes C and D: so few words that the nearest is looked up.
const FORMATS = codes([...Array(32).keys()], 10, 0x537).map((word) => word ^ FORMAT_MASK);
const VERSIONS = codes([...Array(34).keys()].map((index) => index + 7), 12, 0x1f25);

function nearest(words, read) {
  let best = null;
  let least = MOST_WRONG_BITS + 1;
  words.forEach((word, index) => {
    let wrong = 0;
    for (let bits = word ^ read; bits; bits &= bits - 1) wrong++;
    if (wrong < least) {
      least = wrong;
      best = index;
    }
  });
  return best === null ? null : { index: best, wrong: least };
}

/** Format information, from whichever of its two copies is the better; null if neither can be read. */
export function formatOf(dark, side) {
  const copies = [0, 0];
  for (let i = 0; i < 15; i++) {
    const column = i < 6 ? i : i < 8 ? i + 1 : 8;
    const row = i < 8 ? 8 : i === 8 ? 7 : 14 - i;
    copies[0] = (copies[0] << 1) | dark(row, column);
    copies[1] = (copies[1] << 1) | (i < 7 ? dark(side - 1 - i, 8) : dark(8, side - 15 + i));
  }
  const found = copies.map((copy) => nearest(FORMATS, copy)).filter(Boolean);
  if (!found.length) return null;
  const { index } = found.reduce((a, b) => (b.wrong < a.wrong ? b : a));
  return { level: LEVELS[index >> 3], mask: index & 7 };
}

/** The version that a symbol of 45 modules or more says it has, or null. */
export function saidVersion(dark, side) {
  const copies = [0, 0];
  for (let i = 17; i >= 0; i--) {
    const long = Math.floor(i / 3);
    const short = side - 11 + (i % 3);
    copies[0] = (copies[0] << 1) | dark(long, short);
    copies[1] = (copies[1] << 1) | dark(short, long);
  }
  const found = copies.map((copy) => nearest(VERSIONS, copy)).filter(Boolean);
  return found.length ? found.reduce((a, b) => (b.wrong < a.wrong ? b : a)).index + 7 : null;
}

const functions = new Map();

/** Which modules carry no data: finders, timing, alignment, format and version information. */
export function functionModules(version) {
  if (functions.has(version)) return functions.get(version);
  const side = sideOf(version);
  const taken = new Uint8Array(side * side);
  const fill = (row, column, height, width) => {
    for (let r = row; r < row + height; r++) taken.fill(1, r * side + column, r * side + column + width);
  };
  fill(0, 0, 9, 9);
  fill(0, side - 8, 9, 8);
  fill(side - 8, 0, 8, 9);
  fill(6, 0, 1, side);
  fill(0, 6, side, 1);
  for (const [row, column] of alignmentPatterns(version)) fill(row - 2, column - 2, 5, 5);
  if (version >= 7) {
    fill(0, side - 11, 6, 3);
    fill(side - 11, 0, 3, 6);
  }
  functions.set(version, taken);
  return taken;
}

// Codewords run in columns of two, upwards and downwards in turn, from the right.
function codewords(dark, version, mask) {
  const side = sideOf(version);
  const taken = functionModules(version);
  const turned = MASKS[mask];
  const words = new Uint8Array(side * side >> 3);
  let count = 0;
  for (let right = side - 1, up = true; right > 0; right -= 2, up = !up) {
    if (right === 6) right--; // the timing pattern has the column to itself
    for (let i = 0; i < side; i++) {
      const row = up ? side - 1 - i : i;
      for (let column = right; column > right - 2; column--) {
        if (taken[row * side + column]) continue;
        const bit = dark(row, column) ^ (turned(row, column) ? 1 : 0);
        words[count >> 3] |= bit << (7 - (count & 7));
        count++;
      }
    }
  }
  return words.subarray(0, count >> 3);
}

/**
 * The corrected data codewords of a symbol.
 *
 * @param {(row: number, column: number) => 0|1} dark whether a module is dark.
 * @param {number} version 1 to 40.
 * @returns {{data: Uint8Array, level: string, mask: number, corrected: number}|null} null where it cannot be
 *   corrected.
 */
export function dataOf(dark, version) {
  const format = formatOf(dark, sideOf(version));
  if (!format) return null;
  const words = codewords(dark, version, format.mask);
  const checks = CHECKS[format.level][version - 1];
  const count = BLOCKS[format.level][version - 1];
  const short = Math.floor(words.length / count) - checks;
  const longFrom = count - (words.length % count); // blocks from here on hold one data codeword more
  const lengthOf = (i) => short + checks + (i >= longFrom ? 1 : 0);
  const blocks = Array.from({ length: count }, (_, i) => new Uint8Array(lengthOf(i)));
  let at = 0;
  for (let i = 0; i <= short; i++) {
    for (let b = i < short ? 0 : longFrom; b < count; b++) blocks[b][i] = words[at++];
  }
  for (let i = 0; i < checks; i++) {
    for (const block of blocks) block[block.length - checks + i] = words[at++];
  }
  let corrected = 0;
  for (const block of blocks) {
    const mended = correct(block, checks);
    if (mended < 0) return null;
    corrected += mended;
  }
  const data = new Uint8Array(words.length - count * checks);
  let end = 0;
  for (const block of blocks) {
    data.set(block.subarray(0, block.length - checks), end);
    end += block.length - checks;
  }
  return { data, ...format, corrected };
}
