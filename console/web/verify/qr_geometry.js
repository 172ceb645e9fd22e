// Where each module of a symbol lies in the picture: perspective by the finders, then the alignment patterns.

import { darkness } from "./qr_binarise.js";
import { crossing } from "./qr_finder.js";
import { MAX_VERSION, alignmentCentres, alignmentPatterns, sideOf } from "./qr_matrix.js";

const FOUND = 21; // of an alignment pattern's 25 modules, how many must be right
const FINE = 1.25; // modules within which such a pattern is looked for in steps of a quarter
const FINDER_CENTRE = 3.5; // modules from the symbol's edge

/**
 * A projective map from modules to pixels: x = (a u + b v + c) / (g u + h v + 1), and y with d, e, f.
 *
 * @typedef {number[]} Map8
 */

export function placed([a, b, c, d, e, f, g, h], u, v) {
  const w = g * u + h * v + 1;
  return [(a * u + b * v + c) / w, (d * u + e * v + f) / w];
}

/** The map that takes four places to four others; null where they lie on a line. */
export function mapOf(from, to) {
  const rows = [];
  for (let i = 0; i < 4; i++) {
    const [u, v] = from[i];
    const [x, y] = to[i];
    rows.push([u, v, 1, 0, 0, 0, -u * x, -v * x, x], [0, 0, 0, u, v, 1, -u * y, -v * y, y]);
  }
  for (let i = 0; i < 8; i++) {
    let pivot = i;
    for (let r = i + 1; r < 8; r++) if (Math.abs(rows[r][i]) > Math.abs(rows[pivot][i])) pivot = r;
    if (Math.abs(rows[pivot][i]) < 1e-9) return null;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    for (let r = 0; r < 8; r++) {
      if (r === i) continue;
      const factor = rows[r][i] / rows[i][i];
      for (let k = i; k < 9; k++) rows[r][k] -= factor * rows[i][k];
    }
  }
  return rows.map((row, i) => row[8] / row[i]);
}

/**
 * What three finders say of a symbol: its likely versions, and where its fourth corner would be.
 *
 * Along a side, modules grow or shrink by perspective; their size at both ends tells by how much. For a
 * projective map f of a line, (f(n) - f(0))^2 = n^2 f'(0) f'(n): distance and the two sizes give the number
 * of modules exactly, and the root of their ratio is the weight of that end in homogeneous coordinates.
 */
export function shapeOf(dark, width, height, { corner, right, below }) {
  const top = side(dark, width, height, corner, right);
  const left = side(dark, width, height, corner, below);
  if (!top || !left) return null;
  const modules = (top.modules + left.modules) / 2 + 7;
  const exact = (modules - 17) / 4;
  const first = Math.round(exact);
  const next = exact > first ? 1 : -1;
  const versions = [first, first + next, first - next].filter((v) => v >= 1 && v <= MAX_VERSION);
  return { corner, right, below, versions, top: top.weight, left: left.weight };
}

function side(dark, width, height, a, b) {
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  const dx = (b.x - a.x) / length;
  const dy = (b.y - a.y) / length;
  const atA = crossing(dark, width, height, a.x, a.y, dx, dy);
  const atB = crossing(dark, width, height, b.x, b.y, dx, dy);
  if (!atA || !atB) return null;
  const ratio = atA.size / atB.size;
  if (ratio > 3 || ratio < 1 / 3) return null;
  return { modules: (7 * length) / Math.sqrt(atA.size * atB.size), weight: Math.sqrt(ratio) };
}

/** The map of a version through three finders, its fourth corner by their weights. */
export function firstMap({ corner: a, right: b, below: c, top, left }, version) {
  const near = FINDER_CENTRE;
  const far = sideOf(version) - FINDER_CENTRE;
  const weight = top + left - 1;
  if (weight < 0.3) return null;
  const fourth = [(top * b.x + left * c.x - a.x) / weight, (top * b.y + left * c.y - a.y) / weight];
  const from = [[near, near], [far, near], [near, far], [far, far]];
  return mapOf(from, [[a.x, a.y], [b.x, b.y], [c.x, c.y], fourth]);
}

/** The map with its fourth point at the alignment pattern nearest the fourth corner, if that can be found. */
export function alignedMap(picture, map, { corner: a, right: b, below: c }, version) {
  if (version === 1) return map;
  const side = sideOf(version);
  const centre = side - 6.5;
  const reach = Math.min(2 + side / 20, 7);
  const found = alignmentAt(picture, map, centre, centre, reach, 0.5);
  if (!found) return map;
  const near = FINDER_CENTRE;
  const far = side - FINDER_CENTRE;
  const from = [[near, near], [far, near], [near, far], [centre, centre]];
  return mapOf(from, [[a.x, a.y], [b.x, b.y], [c.x, c.y], placed(map, found.u, found.v)]) ?? map;
}

// The place, in modules, around which an alignment pattern fits best within a reach.
function alignmentAt(picture, map, u, v, reach, step) {
  let best = FOUND - 1;
  let sumU = 0, sumV = 0, count = 0, nearest = Infinity;
  for (let dv = -reach; dv <= reach; dv += step) {
    for (let du = -reach; du <= reach; du += step) {
      const fit = alignmentFit(picture, map, u + du, v + dv, best);
      if (fit < best || fit < FOUND) continue;
      const away = Math.hypot(du, dv);
      // Of equal fits the nearest decides; those that touch it are the same pattern.
      const apart = count && Math.hypot(u + du - sumU / count, v + dv - sumV / count) > 1.5;
      if (fit > best || (apart && away < nearest)) {
        best = fit;
        sumU = sumV = count = 0;
        nearest = away;
      } else if (apart) {
        continue;
      }
      sumU += u + du;
      sumV += v + dv;
      count++;
    }
  }
  return count ? { u: sumU / count, v: sumV / count } : null;
}

function alignmentFit(picture, map, u, v, least) {
  let wrong = 0;
  for (let row = -2; row <= 2; row++) {
    for (let column = -2; column <= 2; column++) {
      const ring = Math.max(Math.abs(row), Math.abs(column));
      const [x, y] = placed(map, u + column, v + row);
      if (darkness(picture, x, y) > 0 !== (ring !== 1) && 25 - ++wrong < least) return 0;
    }
  }
  return 25 - wrong;
}

/**
 * How a bent paper lies beside the plane: for each crossing of alignment patterns, by how many modules its
 * pattern is off; between them it is interpolated.
 *
 * @param {number} reach modules by which a pattern may be off.
 */
export function bend(picture, map, version, reach) {
  const centres = alignmentCentres(version);
  const count = centres.length;
  const offU = new Float64Array(count * count);
  const offV = new Float64Array(count * count);
  // Two by two they are the four points of the map itself.
  if (count < 3) return null;
  for (const [row, column] of alignmentPatterns(version)) {
    const at = centres.indexOf(row) * count + centres.indexOf(column);
    // A neighbour's bend says where to look; it is read before, being above or to the left.
    const before = centres.indexOf(column) > 0 ? at - 1 : at - count;
    const u = column + 0.5 + (offU[before] ?? 0);
    const v = row + 0.5 + (offV[before] ?? 0);
    const found = alignmentNear(picture, map, u, v, reach);
    offU[at] = (found ? found.u : u) - column - 0.5;
    offV[at] = (found ? found.v : v) - row - 0.5;
  }
  return { centres, count, offU, offV };
}

function alignmentNear(picture, map, u, v, reach) {
  const near = alignmentAt(picture, map, u, v, FINE, 0.25);
  if (near || reach <= FINE) return near;
  const far = alignmentAt(picture, map, u, v, reach, 0.5);
  return far && (alignmentAt(picture, map, far.u, far.v, 0.5, 0.25) ?? far);
}

// By how much a place is off: a smooth surface through the patterns, which a paper around a column has too.
function offAt({ centres, count, offU, offV }, u, v) {
  const column = cell(centres, u);
  const row = cell(centres, v);
  let sumU = 0, sumV = 0;
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 4; j++) {
      const weight = row.weights[i] * column.weights[j];
      const at = row.nodes[i] * count + column.nodes[j];
      sumU += weight * offU[at];
      sumV += weight * offV[at];
    }
  }
  return [u + sumU, v + sumV];
}

// The four patterns about a place along one axis, with the weights of Catmull and Rom's spline. Where there
// is no fourth, the parabola through the other three goes on.
function cell(centres, u) {
  const last = centres.length - 1;
  let index = 0;
  while (index < last - 1 && u > centres[index + 1] + 0.5) index++;
  const part = (u - centres[index] - 0.5) / (centres[index + 1] - centres[index]);
  const t = Math.min(Math.max(part, 0), 1); // farther out it is as off as at the last pattern
  const [a, b, c, d] = [
    t * (-1 + t * (2 - t)) / 2,
    1 + t * t * (3 * t - 5) / 2,
    t * (1 + t * (4 - 3 * t)) / 2,
    t * t * (t - 1) / 2,
  ];
  if (index === 0) return { nodes: [0, 1, 2, 2], weights: [b + 3 * a, c - 3 * a, d + a, 0] };
  if (index < last - 1) return { nodes: [index - 1, index, index + 1, index + 2], weights: [a, b, c, d] };
  return { nodes: [0, index - 1, index, last], weights: [0, a + d, b - 3 * d, c + 3 * d] };
}

function placedBent(map, bending, u, v) {
  if (!bending) return placed(map, u, v);
  const [bentU, bentV] = offAt(bending, u, v);
  return placed(map, bentU, bentV);
}

/** How dark each module is: the mean of a few places about its middle, above zero for dark. */
export function sampled(picture, map, version, bending) {
  const side = sideOf(version);
  const values = new Float32Array(side * side);
  const places = [[0, 0], [-0.2, -0.2], [0.2, -0.2], [-0.2, 0.2], [0.2, 0.2]];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      // By how much it is off changes little inside a module.
      const [u, v] = bending ? offAt(bending, column + 0.5, row + 0.5) : [column + 0.5, row + 0.5];
      let sum = 0;
      for (const [du, dv] of places) {
        const [x, y] = placed(map, u + du, v + dv);
        sum += darkness(picture, x, y);
      }
      values[row * side + column] = sum / places.length;
    }
  }
  return values;
}

// Modules whose colour every symbol of a version shares, as [column, row, dark].
function known(version) {
  const side = sideOf(version);
  const list = [];
  for (const [top, left] of [[0, 0], [0, side - 7], [side - 7, 0]]) {
    for (let row = -1; row <= 7; row++) {
      for (let column = -1; column <= 7; column++) {
        const inside = top + row >= 0 && left + column >= 0 && top + row < side && left + column < side;
        const ring = Math.max(Math.abs(row - 3), Math.abs(column - 3));
        if (inside) list.push([left + column, top + row, ring !== 2 && ring !== 4]);
      }
    }
  }
  for (let i = 8; i < side - 8; i++) list.push([i, 6, i % 2 === 0], [6, i, i % 2 === 0]);
  for (const [row, column] of alignmentPatterns(version)) {
    for (let dr = -2; dr <= 2; dr++) {
      for (let dc = -2; dc <= 2; dc++) {
        list.push([column + dc, row + dr, Math.max(Math.abs(dr), Math.abs(dc)) !== 1]);
      }
    }
  }
  return list;
}

/** The part of the modules known beforehand that a map finds in their colour, 0 to 1. */
export function fitOf(picture, map, modules, bending = null) {
  let right = 0;
  for (const [column, row, dark] of modules) {
    const [x, y] = placedBent(map, bending, column + 0.5, row + 0.5);
    if (darkness(picture, x, y) > 0 === dark) right++;
  }
  return right / modules.length;
}

/** The map, its four corners moved step by step to where the known modules fit best. */
export function settled(picture, map, version) {
  const side = sideOf(version);
  const modules = known(version);
  const from = [[0, 0], [side, 0], [0, side], [side, side]];
  const corners = from.map(([u, v]) => placed(map, u, v));
  const [[x0, y0], [x1, y1]] = corners;
  const module = Math.hypot(x1 - x0, y1 - y0) / side;
  let best = map;
  let fit = fitOf(picture, map, modules);
  for (const step of [1.2, 0.6, 0.3]) {
    for (let round = 0; round < 2; round++) {
      // The fourth corner first: it is the one that nothing held.
      for (const index of [3, 1, 2, 0]) {
        for (const axis of [0, 1]) {
          for (const way of [step, -step]) {
            corners[index][axis] += way * module;
            const tried = mapOf(from, corners);
            const reached = tried ? fitOf(picture, tried, modules) : 0;
            if (reached > fit) {
              fit = reached;
              best = tried;
            } else {
              corners[index][axis] -= way * module;
            }
          }
        }
      }
    }
  }
  return { map: best, fit };
}

/** How well a version fits at all, by what is known of it. */
export function fitOfVersion(picture, map, version, bending) {
  return fitOf(picture, map, known(version), bending);
}
