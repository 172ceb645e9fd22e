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
  const whole = pictureOf(grey, width, height);
  const sizes = [{ picture: whole, scale: 1 }];
  while (sizes[0].picture.grey.length > SMALL) {
    const { picture, scale } = sizes[0];
    const half = halved(picture.grey, picture.width, picture.height);
    sizes.unshift({ picture: pictureOf(half.grey, half.width, half.height), scale: scale * 2 });
  }
  for (const { picture, scale } of sizes) {
    const dark = darkPixels(picture);
    const found = findersIn(dark, picture.width, picture.height);
    for (const corners of triples(found).slice(0, thorough ? 4 * MOST_TRIPLES : MOST_TRIPLES)) {
      const shape = shapeOf(dark, picture.width, picture.height, corners);
      const text = shape && readShape(whole, enlarged(shape, scale), thorough);
      if (text != null) yield text;
    }
  }
}

function enlarged(shape, scale) {
  const at = ({ x, y }) => ({ x: x * scale, y: y * scale });
  return { ...shape, corner: at(shape.corner), right: at(shape.right), below: at(shape.below) };
}

function readShape(picture, shape, thorough) {
  const likeliest = mapped(picture, shape, shape.versions[0]);
  const others = () => shape.versions.slice(1).map((version) => mapped(picture, shape, version));
  const fits = likeliest.fit > SURE_FIT ? [likeliest] : [likeliest, ...others()];
  fits.sort((a, b) => b.fit - a.fit);
  for (const { map, version, fit } of fits) {
    if (fit < LEAST_FIT) break;
    const text = readMap(picture, map, version, shape);
    if (text !== null) return text;
    if (!thorough && fits[0].version !== version) continue;
    const better = settled(picture, map, version);
    const second = better.map === map ? null : readMap(picture, better.map, version, shape);
    if (second !== null) return second;
  }
  return null;
}

function mapped(picture, shape, version) {
  const first = firstMap(shape, version);
  if (!first) return { version, fit: 0 };
  const map = alignedMap(picture, first, shape, version);
  return { version, map, fit: fitOfVersion(picture, map, version) };
}

function readMap(picture, map, version, shape) {
  const values = sampled(picture, map, version, bend(picture, map, version));
  const side = sideOf(version);
  const plain = (row, column) => (values[row * side + column] > 0 ? 1 : 0);
  if (version >= 7) {
    // What the symbol says of itself is surer than what was measured.
    const said = saidVersion(plain, side);
    if (said !== null && said !== version && !shape.versions.includes(said)) {
      shape.versions.push(said);
      const other = mapped(picture, shape, said);
      return other.fit >= LEAST_FIT ? readMap(picture, other.map, said, shape) : null;
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
