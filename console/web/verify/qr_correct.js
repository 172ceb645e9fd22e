// Reed-Solomon correction over GF(256), as QR codes use it: ISO/IEC 18004, section 7.5 and annex B.

const FIELD = 0x11d; // x^8 + x^4 + x^3 + x^2 + 1, of which 2 is a generator
const EXP = new Uint8Array(512);
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power++) {
  // Written twice, so that a sum of two logarithms needs no remainder.
  EXP[power] = EXP[power + 255] = value;
  LOG[value] = power;
  value <<= 1;
  if (value > 255) value ^= FIELD;
}

const times = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);
const over = (a, b) => (a ? EXP[LOG[a] + 255 - LOG[b]] : 0);

// Coefficients stand lowest power first.
function valueAt(polynomial, x) {
  let sum = 0;
  for (let i = polynomial.length - 1; i >= 0; i--) sum = times(sum, x) ^ polynomial[i];
  return sum;
}

/**
 * Correct a block in place.
 *
 * @param {Uint8Array} block data and then check codewords.
 * @param {number} checks how many of them are check codewords.
 * @returns {number} codewords corrected, or -1 if there are more errors than the checks can mend.
 */
export function correct(block, checks) {
  const syndromes = new Uint8Array(checks);
  let clean = true;
  for (let i = 0; i < checks; i++) {
    let sum = 0;
    for (const word of block) sum = times(sum, EXP[i]) ^ word;
    syndromes[i] = sum;
    if (sum) clean = false;
  }
  if (clean) return 0;
  const locator = shortestRegister(syndromes);
  const errors = locator.length - 1;
  if (errors * 2 > checks) return -1;
  const powers = roots(locator, block.length);
  // A locator without as many roots inside the block belongs to no pattern of errors that can be mended.
  if (powers.length !== errors) return -1;
  mend(block, syndromes, locator, powers);
  return errors;
}

// Berlekamp-Massey: the shortest linear register that makes the syndromes.
function shortestRegister(syndromes) {
  let locator = [1];
  let before = [1];
  let length = 0;
  let gap = 1;
  let scale = 1;
  for (let n = 0; n < syndromes.length; n++) {
    let wrong = syndromes[n];
    for (let i = 1; i <= length; i++) wrong ^= times(locator[i] ?? 0, syndromes[n - i]);
    if (!wrong) {
      gap++;
      continue;
    }
    const next = locator.slice();
    const factor = over(wrong, scale);
    for (let i = 0; i < before.length; i++) {
      next[i + gap] = (next[i + gap] ?? 0) ^ times(factor, before[i]);
    }
    for (let i = 0; i < next.length; i++) next[i] ??= 0;
    if (2 * length <= n) {
      length = n + 1 - length;
      before = locator;
      scale = wrong;
      gap = 1;
    } else {
      gap++;
    }
    locator = next;
  }
  while (locator.length > 1 && !locator[locator.length - 1]) locator.pop();
  return locator;
}

// The powers of x, counted from the block's end, at which codewords are wrong: Chien's search.
function roots(locator, length) {
  const powers = [];
  for (let power = 0; power < length; power++) {
    if (valueAt(locator, EXP[(255 - power) % 255]) === 0) powers.push(power);
  }
  return powers;
}

// Forney's formula; the generator's first root is 2^0, and so the factor x stays in it.
function mend(block, syndromes, locator, powers) {
  const evaluator = new Array(syndromes.length).fill(0);
  for (let i = 0; i < syndromes.length; i++) {
    for (let j = 0; j < locator.length && i + j < syndromes.length; j++) {
      evaluator[i + j] ^= times(syndromes[i], locator[j]);
    }
  }
  const slope = locator.map((_, i) => (i % 2 === 0 ? (locator[i + 1] ?? 0) : 0));
  for (const power of powers) {
    const inverse = EXP[(255 - power) % 255];
    const size = over(valueAt(evaluator, inverse), valueAt(slope, inverse));
    block[block.length - 1 - power] ^= times(EXP[power], size);
  }
}
