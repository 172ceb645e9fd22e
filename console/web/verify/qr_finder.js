// Finder patterns, and which three of them belong to one symbol: ISO/IEC 18004, section 13.

const MOST_PATTERNS = 18; // candidates looked at; more are texture
const MOST_SEEN = 400; // candidates noted; each is compared with all of them
const ROW_STEP = 3; // a pattern is at least seven modules high

/**
 * A finder pattern: its centre and the length of seven modules along a row through it, in pixels.
 *
 * @typedef {{x: number, y: number, size: number, seen: number}} Finder
 */

/** The finder patterns of a binary picture, those seen in most rows first. */
export function findersIn(dark, width, height) {
  const found = [];
  for (let y = 1; y < height; y += ROW_STEP) scanRow(dark, width, height, y, found);
  found.sort((a, b) => b.seen - a.seen);
  return found.slice(0, MOST_PATTERNS);
}

function scanRow(dark, width, height, y, found) {
  const row = y * width;
  let a = 0, b = 0, c = 0, d = 0; // lengths of the last four whole runs
  let run = 0;
  let before = 0;
  for (let x = 0; x <= width; x++) {
    const now = x < width ? dark[row + x] : 2; // the edge ends the last run
    if (now === before) {
      run++;
      continue;
    }
    // A dark run ended: with the four before it, it may be dark, light, dark, light, dark.
    if (before === 1 && b && isPattern(a, b, c, d, run)) {
      check(dark, width, height, x - run - d - c / 2, y + 0.5, a + b + c + d + run, found);
    }
    a = b;
    b = c;
    c = d;
    d = run;
    run = 1;
    before = now;
  }
}

// 1:1:3:1:1, each run within half a module; and a part of a pixel, which at two pixels a module is much.
function isPattern(a, b, c, d, e) {
  const size = a + b + c + d + e;
  if (size < 7) return false;
  const module = size / 7;
  const room = module * 0.5 + 0.4;
  return (
    Math.abs(a - module) < room &&
    Math.abs(b - module) < room &&
    Math.abs(c - 3 * module) < 2 * room &&
    Math.abs(d - module) < room &&
    Math.abs(e - module) < room
  );
}

function check(dark, width, height, x, y, size, found) {
  for (const other of found) {
    const near = other.size * 0.3;
    if (Math.abs(other.x - x) < near && Math.abs(other.y - y) < near) {
      other.seen++;
      return;
    }
  }
  const down = crossing(dark, width, height, x, y, 0, 1);
  if (!down || down.size > 3 * size || size > 3 * down.size) return;
  const across = crossing(dark, width, height, down.x, down.y, 1, 0);
  if (!across) return;
  // Along a diagonal too: letters and tables pass the first two.
  if (!crossing(dark, width, height, across.x, down.y, Math.SQRT1_2, Math.SQRT1_2)) return;
  if (found.length === MOST_SEEN) return;
  found.push({ x: across.x, y: down.y, size: Math.max(across.size, down.size), seen: 1 });
}

/**
 * The pattern 1:1:3:1:1 along a line through a dark place.
 *
 * @returns {{x: number, y: number, size: number}|null} its middle and its whole length in pixels.
 */
export function crossing(dark, width, height, x, y, dx, dy) {
  const ahead = edges(dark, width, height, x, y, dx, dy);
  const behind = ahead && edges(dark, width, height, x, y, -dx, -dy);
  if (!behind) return null;
  const [a, b] = [behind[2] - behind[1], behind[1] - behind[0]];
  const [d, e] = [ahead[1] - ahead[0], ahead[2] - ahead[1]];
  if (!isPattern(a, b, behind[0] + ahead[0], d, e)) return null;
  // All six edges say where the middle is; their mean is steadier than any two.
  const shift = (ahead[0] - behind[0] + ahead[1] - behind[1] + ahead[2] - behind[2]) / 6;
  return { x: x + shift * dx, y: y + shift * dy, size: ahead[2] + behind[2] };
}

// Distances to the ends of the inner dark, the light and the outer dark run.
function edges(dark, width, height, x, y, dx, dy) {
  const most = Math.max(width, height);
  const found = [];
  let colour = 1;
  // Steps of half a pixel: a slanting line meets its edges where they are.
  for (let step = 0; step < 2 * most; step++) {
    const atX = Math.floor(x + (step * dx) / 2);
    const atY = Math.floor(y + (step * dy) / 2);
    const inside = atX >= 0 && atY >= 0 && atX < width && atY < height;
    const now = inside ? dark[atY * width + atX] : 0;
    if (now !== colour) {
      if (step === 0) return null;
      found.push((step - 0.5) / 2);
      if (found.length === 3) return found;
      colour = now;
    }
    if (!inside) return null;
  }
  return null;
}

/**
 * Sets of three patterns that may be a symbol's corners, the likeliest first.
 *
 * @param {Finder[]} found
 * @returns {{corner: Finder, right: Finder, below: Finder, fault: number}[]}
 */
export function triples(found) {
  const sets = [];
  for (let i = 0; i < found.length; i++) {
    for (let j = i + 1; j < found.length; j++) {
      for (let k = j + 1; k < found.length; k++) {
        const set = asCorners(found[i], found[j], found[k]);
        if (set) sets.push(set);
      }
    }
  }
  return sets.sort((a, b) => a.fault - b.fault);
}

function asCorners(a, b, c) {
  const largest = Math.max(a.size, b.size, c.size);
  const least = Math.min(a.size, b.size, c.size);
  if (largest > 3 * least) return null;
  // The corner is opposite the longest side.
  const sides = [[b, c, a], [a, c, b], [a, b, c]];
  const [first, second, corner] = sides.reduce((best, side) =>
    distance(side[0], side[1]) > distance(best[0], best[1]) ? side : best,
  );
  const u = { x: first.x - corner.x, y: first.y - corner.y };
  const v = { x: second.x - corner.x, y: second.y - corner.y };
  const lengths = [Math.hypot(u.x, u.y), Math.hypot(v.x, v.y)];
  const shorter = Math.min(...lengths);
  const ratio = Math.max(...lengths) / shorter;
  const cosine = Math.abs((u.x * v.x + u.y * v.y) / (lengths[0] * lengths[1]));
  // Two centres are at least 14 modules apart; a pattern's size, seen askew, is up to 1.4 times seven.
  if (cosine > 0.7 || ratio > 2.5 || shorter < 1.2 * largest) return null;
  const turn = u.x * v.y - u.y * v.x;
  const [right, below] = turn > 0 ? [first, second] : [second, first];
  return { corner, right, below, fault: cosine + (ratio - 1) + (largest / least - 1) };
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
