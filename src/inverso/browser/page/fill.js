// Fill painted pixels: a denoiser at falling noise, and after each look the measured pixels are put back as they were.

import { look, put, tiles } from "./tiles.js";

const FIRST = 0.5;
const LAST = 3 / 255;
// After a look at a noise level below this, unknown pixels go on by this share of their last step.
const [BELOW, MOMENTUM] = [0.1, 0.7];
// Less so deep in a hole: where less than a tenth of the pixels so far away at most are known.
const [NEARBY, ENOUGH] = [6, 0.1];
// Pixels are filled in cells of this side, so that long thin strokes cost little, with so many pixels seen around them.
const CELL = 128;
const AROUND = 24;

/** Noise levels from first to last, evenly spaced in their logarithm. */
export function falling(first, last, passes) {
  if (passes === 1) return [first];
  return Array.from({ length: passes }, (_, k) => first * (last / first) ** (k / (passes - 1)));
}

/** The smallest area within `part` that holds all its unknown pixels; null if there are none. */
export function areaOf(unknown, width, [from, before, to, after]) {
  let [top, left, bottom, right] = [to, after, -1, -1];
  for (let r = from; r < to; r += 1) {
    for (let c = before; c < after; c += 1) {
      if (unknown[r * width + c]) {
        if (r < top) top = r;
        if (r > bottom) bottom = r;
        if (c < left) left = c;
        if (c > right) right = c;
      }
    }
  }
  return bottom < 0 ? null : [top, left, bottom + 1, right + 1];
}

/** An area with a margin, as far as the picture goes. */
function widened([top, left, bottom, right], margin, height, width) {
  return [
    Math.max(0, top - margin),
    Math.max(0, left - margin),
    Math.min(height, bottom + margin),
    Math.min(width, right + margin),
  ];
}

/** The pieces of a picture in which something is unknown, each with the window that is looked at. */
export function pieces(unknown, height, width) {
  const found = [];
  for (const { top, left, bottom, right } of tiles(height, width, { side: CELL, margin: 0 })) {
    const area = areaOf(unknown, width, [top, left, bottom, right]);
    if (area !== null) {
      const [first, before, last, after] = area;
      const window = widened(area, AROUND, height, width);
      found.push({ top: first, left: before, bottom: last, right: after, window });
    }
  }
  return found;
}

/** Average known pixels over cells of 2, 4, 8, ... pixels, and fill from the finest cell that knows anything. */
export function pullPush(values, unknown, height, width, channels) {
  const weights = Float32Array.from(unknown, (u) => (u ? 0 : 1));
  const levels = [{ values, weights, height, width }];
  while (Math.max(levels.at(-1).height, levels.at(-1).width) > 1) levels.push(shrunk(levels.at(-1), channels));
  for (let k = levels.length - 2; k >= 0; k -= 1) pushed(levels[k], levels[k + 1], channels);
}

function shrunk(fine, channels) {
  const height = Math.ceil(fine.height / 2);
  const width = Math.ceil(fine.width / 2);
  const area = height * width;
  const values = new Float32Array(channels * area);
  const weights = new Float32Array(area);
  for (let r = 0; r < fine.height; r += 1) {
    for (let c = 0; c < fine.width; c += 1) {
      const from = r * fine.width + c;
      const to = (r >> 1) * width + (c >> 1);
      weights[to] += fine.weights[from];
      for (let k = 0; k < channels; k += 1) {
        values[k * area + to] += fine.weights[from] * fine.values[k * fine.height * fine.width + from];
      }
    }
  }
  for (let i = 0; i < area; i += 1) {
    for (let k = 0; k < channels; k += 1) values[k * area + i] /= weights[i] || 1;
    weights[i] = Math.min(1, weights[i]);
  }
  return { values, weights, height, width };
}

function pushed(fine, coarse, channels) {
  const area = fine.height * fine.width;
  const coarseArea = coarse.height * coarse.width;
  for (let r = 0; r < fine.height; r += 1) {
    const y = Math.min(Math.max((r - 0.5) / 2, 0), coarse.height - 1);
    const above = Math.floor(y);
    const below = Math.min(above + 1, coarse.height - 1);
    for (let c = 0; c < fine.width; c += 1) {
      const i = r * fine.width + c;
      if (fine.weights[i] < 1) {
        const x = Math.min(Math.max((c - 0.5) / 2, 0), coarse.width - 1);
        const before = Math.floor(x);
        const after = Math.min(before + 1, coarse.width - 1);
        for (let k = 0; k < channels; k += 1) {
          const at = (row, column) => coarse.values[k * coarseArea + row * coarse.width + column];
          const upper = at(above, before) * (1 - (x - before)) + at(above, after) * (x - before);
          const lower = at(below, before) * (1 - (x - before)) + at(below, after) * (x - before);
          const guess = upper * (1 - (y - above)) + lower * (y - above);
          fine.values[k * area + i] = fine.weights[i] * fine.values[k * area + i] + (1 - fine.weights[i]) * guess;
        }
      }
    }
  }
}

/** Turn a picture in one of eight ways (quarter turns and mirrors); `back` undoes it. */
export function turned({ values, shape }, way, back = false) {
  if (way === 0) return { values, shape };
  const [n, channels, height, width] = shape;
  const swap = Boolean(way & 1);
  const [rows, columns] = swap ? [width, height] : [height, width];
  // Going back, `shape` is the turned one: what was turned had its sides exchanged.
  const [fromRows, fromColumns] = back ? [rows, columns] : [height, width];
  const answer = new Float32Array(values.length);
  const [toRows, toColumns] = back ? [height, width] : [rows, columns];
  for (let k = 0; k < channels; k += 1) {
    for (let r = 0; r < toRows; r += 1) {
      for (let c = 0; c < toColumns; c += 1) {
        let [row, column] = swap ? [c, r] : [r, c];
        if (way & 2) row = fromRows - 1 - row;
        if (way & 4) column = fromColumns - 1 - column;
        const straight = k * fromRows * fromColumns + row * fromColumns + column;
        const other = k * toRows * toColumns + r * toColumns + c;
        if (back) answer[straight] = values[other];
        else answer[other] = values[straight];
      }
    }
  }
  return { values: answer, shape: [n, channels, rows, columns] };
}

/**
 * Fill the unknown pixels of a picture, `x <- project(D(x, sigma))` at falling noise levels sigma, with momentum; the
 * projection gives every known pixel its measured value again, and so is exact.
 *
 * @param picture RGBA bytes with width and height; it is changed, in its unknown pixels only.
 * @param unknown 1 for each pixel to fill.
 * @param options passes; denoise(window, sigma); channels of the denoiser; step(done, total), which may throw to stop.
 */
export async function fill(picture, unknown, { passes, denoise, channels, step }) {
  const holes = areaOf(unknown, picture.width, [0, 0, picture.height, picture.width]);
  if (holes === null) return;
  const area = widened(holes, 2 * AROUND, picture.height, picture.width);
  const [top, left, bottom, right] = area;
  const [height, width] = [bottom - top, right - left];
  const inside = new Uint8Array(height * width);
  for (let r = 0; r < height; r += 1) {
    const from = (top + r) * picture.width + left;
    inside.set(unknown.subarray(from, from + width), r * width);
  }
  const { values: x } = look(picture, area, channels);
  pullPush(x, inside, height, width, channels);
  const work = pieces(inside, height, width);
  const levels = falling(FIRST, LAST, passes);
  const weights = momentum(inside, height, width);
  let before = null;
  for (const [k, sigma] of levels.entries()) {
    const answers = [];
    for (const [j, tile] of work.entries()) {
      const seen = cut(x, height, width, channels, tile.window);
      answers.push(turned(await denoise(turned(seen, k % 8), sigma), k % 8, true));
      await step(k * work.length + j + 1, levels.length * work.length);
    }
    work.forEach((tile, j) => paste(x, height, width, channels, tile, answers[j], inside));
    if (k === levels.length - 1) break;
    const reached = x.slice();
    if (before !== null && sigma < BELOW) {
      for (let i = 0; i < x.length; i += 1) x[i] += weights[i % weights.length] * (x[i] - before[i]);
    }
    before = reached;
  }
  const whole = { top, left, bottom, right, window: area };
  put(picture, whole, { values: x, shape: [1, channels, height, width] }, (at) => unknown[at]);
}

/** The share of its last step by which each pixel goes on: all of MOMENTUM where a tenth of what is nearby is known. */
export function momentum(unknown, height, width) {
  // Sums over everything above and to the left, so that those over squares are four looks each.
  const sums = new Float64Array((height + 1) * (width + 1));
  for (let r = 0; r < height; r += 1) {
    for (let c = 0; c < width; c += 1) {
      const at = (r + 1) * (width + 1) + c + 1;
      sums[at] = sums[at - 1] + sums[at - width - 1] - sums[at - width - 2] + 1 - unknown[r * width + c];
    }
  }
  const weights = new Float32Array(height * width);
  for (let r = 0; r < height; r += 1) {
    const [top, bottom] = [Math.max(r - NEARBY, 0), Math.min(r + NEARBY + 1, height)];
    for (let c = 0; c < width; c += 1) {
      const [left, right] = [Math.max(c - NEARBY, 0), Math.min(c + NEARBY + 1, width)];
      const [above, below] = [top * (width + 1), bottom * (width + 1)];
      const known = sums[below + right] - sums[above + right] - sums[below + left] + sums[above + left];
      weights[r * width + c] = MOMENTUM * Math.min(1, known / ((bottom - top) * (right - left)) / ENOUGH);
    }
  }
  return weights;
}

function cut(x, height, width, channels, [top, left, bottom, right]) {
  const [rows, columns] = [bottom - top, right - left];
  const values = new Float32Array(channels * rows * columns);
  for (let k = 0; k < channels; k += 1) {
    for (let r = 0; r < rows; r += 1) {
      const from = k * height * width + (top + r) * width + left;
      values.set(x.subarray(from, from + columns), (k * rows + r) * columns);
    }
  }
  return { values, shape: [1, channels, rows, columns] };
}

function paste(x, height, width, channels, tile, { values, shape }, inside) {
  const [, , rows, columns] = shape;
  const [top, left] = tile.window;
  for (let k = 0; k < channels; k += 1) {
    for (let r = tile.top; r < tile.bottom; r += 1) {
      for (let c = tile.left; c < tile.right; c += 1) {
        const to = r * width + c;
        if (inside[to]) x[k * height * width + to] = values[(k * rows + r - top) * columns + c - left];
      }
    }
  }
}
