// The worker that computes, so that the page stays awake.

import { fill } from "./fill.js";
import { Network } from "./network.js";
import { look, put, tiles } from "./tiles.js";

const base = new URL(".", self.location.href);
let network = null;
let stopped = false;

class Stopped extends Error {}

/** Report how far the work is, and stop it where that was asked for. */
async function step(done, total) {
  postMessage({ kind: "progress", done, total });
  await new Promise((resume) => setTimeout(resume));
  if (stopped) throw new Stopped();
}

function denoise(window, sigma) {
  return network.run(window, { values: Float32Array.of(sigma), shape: [1] });
}

/** Let `work` answer a picture window by window; windows of pictures that are no larger than one are the picture. */
async function inTiles(picture, work) {
  const { channels, tile, margin, multiple } = network.facts;
  const answer = { ...picture, data: new Uint8ClampedArray(picture.data.length) };
  const pieces = [...tiles(picture.height, picture.width, { side: tile, margin, multiple })];
  for (const [k, piece] of pieces.entries()) {
    put(answer, piece, await work(look(picture, piece.window, channels)));
    await step(k + 1, pieces.length);
  }
  return answer;
}

const jobs = {
  async load({ engine }) {
    network = await Network.load(base, { engine, tell: (text) => postMessage({ kind: "status", text }) });
    const { facts, threads, difference } = network;
    return { facts, engine: network.engine, threads, difference };
  },
  denoise: ({ picture, sigma }) => inTiles(picture, (window) => denoise(window, sigma)),
  restore: ({ picture }) => inTiles(picture, (window) => network.run(window)),
  async fill({ picture, unknown, passes }) {
    await fill(picture, unknown, { passes, denoise, channels: network.facts.channels, step });
    return picture;
  },
  async draw({ latent }) {
    const { values, shape } = await network.run({ values: latent, shape: [1, ...network.facts.latent] });
    const [, , height, width] = shape;
    const picture = { width, height, data: new Uint8ClampedArray(4 * width * height) };
    put(picture, { top: 0, left: 0, bottom: height, right: width, window: [0, 0] }, { values, shape });
    return picture;
  },
  /** Numbers in, numbers out, for programs and tests. */
  run: ({ inputs }) => network.run(...inputs),
};

onmessage = async ({ data }) => {
  if (data.job === "stop") {
    stopped = true;
    return;
  }
  stopped = false;
  try {
    const answer = await jobs[data.job](data);
    postMessage({ kind: "answer", id: data.id, answer });
  } catch (error) {
    const text = error instanceof Stopped ? "stopped" : String(error?.message ?? error);
    postMessage({ kind: "failure", id: data.id, text, stopped: error instanceof Stopped });
  }
};
