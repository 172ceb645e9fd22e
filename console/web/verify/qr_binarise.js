// Grey pictures, and what in them counts as dark. A threshold is local: the phone's shadow is on the paper.

const BLOCK = 8; // pixels; a block is the unit in which the threshold changes
const NEAR = 2; // blocks to each side whose contrast counts
const FAR = 8; // the same, where the near ones have none, as inside a big dark area
const LEAST_CONTRAST = 20; // grey levels; less than this inside a block is noise
const LEAST_SHARE = 0.15; // the same, as a part of the contrast that most of the stronger blocks have
const STRONGER = 0.99; // share of the blocks that have less contrast than this one

/**
 * A grey picture with its thresholds.
 *
 * @typedef {{grey: Uint8Array, width: number, height: number, limits: Uint8Array, columns: number}} Picture
 */

/** Luminance of RGBA pixels; what is transparent is paper. */
export function greyOf(rgba) {
  const grey = new Uint8Array(rgba.length >> 2);
  for (let i = 0, at = 0; i < grey.length; i++, at += 4) {
    const light = (rgba[at] * 77 + rgba[at + 1] * 150 + rgba[at + 2] * 29) >> 8;
    const alpha = rgba[at + 3];
    grey[i] = alpha === 255 ? light : 255 - (((255 - light) * alpha) >> 8);
  }
  return grey;
}

/** The picture at half its size: four times as quick to search, and less noisy. */
export function halved(grey, width, height) {
  const w = width >> 1;
  const h = height >> 1;
  const half = new Uint8Array(w * h);
  for (let y = 0, at = 0; y < h; y++) {
    for (let x = 0, from = 2 * y * width; x < w; x++, from += 2, at++) {
      half[at] = (grey[from] + grey[from + 1] + grey[from + width] + grey[from + width + 1] + 2) >> 2;
    }
  }
  return { grey: half, width: w, height: h };
}

export function inverted(grey) {
  return grey.map((value) => 255 - value);
}

/** @returns {Picture} */
export function pictureOf(grey, width, height) {
  const columns = Math.ceil(width / BLOCK);
  const rows = Math.ceil(height / BLOCK);
  const blocks = extremes(grey, width, height, columns, rows);
  const noise = noiseOf(blocks);
  const contrast = new Float64Array((columns + 1) * (rows + 1));
  const weighted = new Float64Array((columns + 1) * (rows + 1));
  for (let row = 0, block = 0; row < rows; row++) {
    for (let column = 0, weights = 0, sums = 0; column < columns; column++, block++) {
      const least = blocks.least[block];
      const most = blocks.most[block];
      const range = most - least;
      // The middle between paper and ink is known where both are; the square lets real edges decide.
      const weight = range < noise ? 0 : range * range;
      weights += weight;
      sums += weight * (least + most) / 2;
      const at = (row + 1) * (columns + 1) + column + 1;
      contrast[at] = contrast[at - columns - 1] + weights;
      weighted[at] = weighted[at - columns - 1] + sums;
    }
  }
  const limits = new Uint8Array(columns * rows);
  const whole = middle(contrast, weighted, columns, rows, 0, 0, Math.max(columns, rows)) || 128;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      limits[row * columns + column] =
        middle(contrast, weighted, columns, rows, column, row, NEAR) ||
        middle(contrast, weighted, columns, rows, column, row, FAR) ||
        whole;
    }
  }
  return { grey, width, height, limits, columns };
}

// The darkest and the lightest pixel of each block.
function extremes(grey, width, height, columns, rows) {
  const least = new Uint8Array(columns * rows).fill(255);
  const most = new Uint8Array(columns * rows);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0, first = (y >> 3) * columns; x < width; x++, at++) {
      const block = first + (x >> 3);
      const value = grey[at];
      if (value < least[block]) least[block] = value;
      if (value > most[block]) most[block] = value;
    }
  }
  return { least, most };
}

// Contrast below which a block has nothing on it but the camera's noise.
function noiseOf({ least, most }) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < least.length; i++) counts[most[i] - least[i]]++;
  let range = 0;
  for (let below = counts[0]; below < STRONGER * least.length; below += counts[++range]);
  return Math.max(LEAST_CONTRAST, LEAST_SHARE * range);
}

// Weighted mean over a square of blocks, out of sums of all blocks above and to the left.
function middle(contrast, weighted, columns, rows, column, row, reach) {
  const wide = columns + 1;
  const left = Math.max(column - reach, 0);
  const top = Math.max(row - reach, 0) * wide;
  const right = Math.min(column + reach + 1, columns);
  const bottom = Math.min(row + reach + 1, rows) * wide;
  const over = (sums) => sums[bottom + right] - sums[bottom + left] - sums[top + right] + sums[top + left];
  const weight = over(contrast);
  return weight > 0.5 ? over(weighted) / weight : 0;
}

/** 1 for each dark pixel. */
export function darkPixels({ grey, width, height, limits, columns }) {
  const dark = new Uint8Array(grey.length);
  for (let y = 0; y < height; y++) {
    const end = (y + 1) * width;
    for (let at = y * width, block = (y >> 3) * columns; at < end; block++) {
      const limit = limits[block];
      for (const stop = Math.min(at + BLOCK, end); at < stop; at++) if (grey[at] < limit) dark[at] = 1;
    }
  }
  return dark;
}

/** How much darker than the threshold a place between pixels is; below zero is light. */
export function darkness({ grey, width, height, limits, columns }, x, y) {
  const fromX = x - 0.5;
  const fromY = y - 0.5;
  const left = Math.floor(fromX);
  const top = Math.floor(fromY);
  if (!(left >= 0 && top >= 0 && left < width - 1 && top < height - 1)) return 0;
  const partX = fromX - left;
  const partY = fromY - top;
  const at = top * width + left;
  const upper = grey[at] + (grey[at + 1] - grey[at]) * partX;
  const lower = grey[at + width] + (grey[at + width + 1] - grey[at + width]) * partX;
  return limits[(top >> 3) * columns + (left >> 3)] - (upper + (lower - upper) * partY);
}
