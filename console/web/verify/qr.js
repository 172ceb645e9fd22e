// A reader of QR codes (ISO/IEC 18004), all versions, for browsers that have none.
//
// Finding is done on a small copy of the picture, reading on the whole one: what costs time is pixels, and
// what tells two modules apart is sharpness.

import { darkPixels, halved, inverted, pictureOf } from "./qr_binarise.js";
import { findersIn, triples } from "./qr_finder.js";
import { alignedMap, bend, firstMap, fitOfVersion, sampled, settled, shapeOf } from "./qr_geometry.js";
import { dataOf, saidVersion, sideOf } from "./qr_matrix.js";
import { textOf } from "./qr_text.js";

const MOST_TRIPLES = 5;
const LEAST_FIT = 0.72; // of the modules known beforehand; noise is at one half
const FLAT_FIT = 0.93; // a paper that fits less is bent, or blurred
const NEARLY_FLAT = 1.25; // modules by which an alignment pattern may lie beside its place
const AROUND_A_COLUMN = 4.5;
const SURE_FIT = 0.95; // no other version comes near it
const SMALL = 420_000; // pixels; a picture is halved until it has no more than this
const SHARPER = 0.3; // part of its neighbours' ink that a blurred module is freed of

/**
 * The text of a QR code in a grey picture, dark on light or light on dark.
 *
 * @param {Uint8Array} grey one byte a pixel, 0 black.
 * @param {number} width
 * @param {number} height
 * @param {{invert?: boolean, thorough?: boolean, wanted?: string}} options thorough: try everything, as for a
 *   single picture; otherwise what a stream of pictures leaves time for, `invert` telling which of both
 *   colourings. wanted: how the text begins that is looked for, where there are several symbols.
 * @returns {string|null} one that begins so if it is found, else any.
 */
export function readQr(grey, width, height, { invert = false, thorough = false, wanted = "" } = {}) {
  let other = null;
  for (const turned of thorough ? [false, true] : [invert]) {
    for (const text of textsIn(turned ? inverted(grey) : grey, width, height, thorough)) {
      if (text.startsWith(wanted)) return text;
      other ??= text;
    }
  }
  return other;
}

function* textsIn(grey, width, height, thorough) {
  const sizes = [{ picture: pictureOf(grey, width, height), scale: 1 }];
  while (sizes.at(-1).picture.grey.length > SMALL) sizes.push(smaller(sizes.at(-1)));
  const usual = sizes.at(-1);
  // In the dark noise looks like patterns, until it is averaged further.
  sizes.push(smaller(usual));
  for (const size of [usual, ...sizes.filter((each) => each !== usual).reverse()]) {
    yield* textsAt(size, sizes, thorough);
  }
}

// The texts whose finder patterns show at one size of the picture.
function* textsAt({ picture, scale }, [whole, half], thorough) {
  const dark = darkPixels(picture);
  const found = findersIn(dark, picture.width, picture.height);
  for (const corners of triples(found).slice(0, thorough ? 4 * MOST_TRIPLES : MOST_TRIPLES)) {
    const shape = shapeOf(dark, picture.width, picture.height, corners);
    if (!shape) continue;
    let text = readShape(whole.picture, scaled(shape, scale), thorough);
    // Found in a smaller picture, its modules are large enough for one with less noise.
    if (text === null && scale > 1) text = readShape(half.picture, scaled(shape, scale / 2), thorough);
    if (text !== null) yield text;
  }
}

function smaller({ picture, scale }) {
  const half = halved(picture.grey, picture.width, picture.height);
  return { picture: pictureOf(half.grey, half.width, half.height), scale: scale * 2 };
}

function scaled(shape, scale) {
  const at = ({ x, y }) => ({ x: x * scale, y: y * scale });
  return { ...shape, corner: at(shape.corner), right: at(shape.right), below: at(shape.below) };
}

function readShape(picture, shape, thorough) {
  for (const { map, bending, version, fit } of likely(picture, shape)) {
    if (fit < LEAST_FIT) continue;
    const text = readMap(picture, map, bending, version, shape);
    if (text !== null) return text;
    if (!thorough && version !== shape.versions[0]) continue;
    const better = settled(picture, map, version).map;
    if (better === map) continue;
    const second = readMap(picture, better, bend(picture, better, version, NEARLY_FLAT), version, shape);
    if (second !== null) return second;
  }
  return null;
}

// The versions that a symbol may be of, each with its places, the likeliest first.
function likely(picture, shape) {
  const byFit = (a, b) => b.fit - a.fit;
  const first = mapped(picture, shape, shape.versions[0]);
  if (first.fit > SURE_FIT) return [first];
  const flat = [first, ...shape.versions.slice(1).map((version) => mapped(picture, shape, version))];
  flat.sort(byFit);
  if (flat[0].fit > FLAT_FIT) return flat;
  // Looked for so widely, patterns are found in a wrong version too: it comes after all that may be flat.
  const placed = flat.filter(({ map }) => map);
  const round = placed.map(({ map, version }) => bent(picture, map, version, AROUND_A_COLUMN));
  return [...flat, ...round.sort(byFit)];
}

function mapped(picture, shape, version) {
  const first = firstMap(shape, version);
  if (!first) return { version, fit: 0 };
  return bent(picture, alignedMap(picture, first, shape, version), version, NEARLY_FLAT);
}

function bent(picture, map, version, reach) {
  const bending = bend(picture, map, version, reach);
  return { version, map, bending, fit: fitOfVersion(picture, map, version, bending) };
}

function readMap(picture, map, bending, version, shape) {
  const values = sampled(picture, map, version, bending);
  const side = sideOf(version);
  const plain = (row, column) => (values[row * side + column] > 0 ? 1 : 0);
  if (version >= 7) {
    // What the symbol says of itself is surer than what was measured.
    const said = saidVersion(plain, side);
    if (said !== null && said !== version && !shape.versions.includes(said)) {
      shape.versions.push(said);
      const other = mapped(picture, shape, said);
      return other.fit >= LEAST_FIT ? readMap(picture, other.map, other.bending, said, shape) : null;
    }
  }
  const sharper = (row, column) => {
    let around = 0;
    for (const [r, c] of [[row - 1, column], [row + 1, column], [row, column - 1], [row, column + 1]]) {
      // Beyond the edge is the quiet zone, as light as this module is dark at most.
      const inside = r >= 0 && c >= 0 && r < side && c < side;
      around += inside ? values[r * side + c] : -Math.abs(values[row * side + column]);
    }
    return values[row * side + column] - (SHARPER * around) / 4 > 0 ? 1 : 0;
  };
  // Transposed: a symbol seen in a mirror or through the paper.
  const readers = [plain, sharper, (row, column) => plain(column, row)];
  for (const dark of readers) {
    const read = dataOf(dark, version);
    const text = read && textOf(read.data, version);
    if (text != null) return text;
  }
  return null;
}
