// The network in ONNX Runtime Web: fetched, unpacked, started on the best engine there is, and checked.

import { unpack } from "./weights.js";

const CLOSE = 5e-3;

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address.pathname} could not be loaded (${answer.status})`);
  return answer.arrayBuffer();
}

async function hasGPU() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/** A network with its runtime; `run` takes and gives arrays of numbers. */
export class Network {
  static async load(base, { engine = "best", tell = () => {} } = {}) {
    const facts = JSON.parse(new TextDecoder().decode(await fetched(new URL("model.json", base))));
    tell("Fetching the network");
    const [graph, packed, known] = await Promise.all(
      ["model.onnx", "weights.bin", "check.bin"].map((name) => fetched(new URL(name, base))),
    );
    tell("Unpacking the weights");
    const floats = unpack(packed, facts.weights);
    const weights = new Uint8Array(floats.buffer);
    const engines = [];
    if (engine !== "wasm" && facts.engines.includes("webgpu") && (await hasGPU())) engines.push("webgpu");
    if (engine !== "webgpu") engines.push("wasm");
    let trouble = new Error("this browser has no WebGPU");
    for (const name of engines) {
      tell(`Starting the network (${name})`);
      try {
        const network = await Network.#start(base, facts, name, graph, weights);
        network.difference = await network.#check(new Float32Array(known));
        if (network.difference <= CLOSE) return network;
        trouble = new Error(`${name} computes something else than the network (${network.difference.toExponential(1)})`);
        await network.session.release();
      } catch (error) {
        trouble = error;
      }
    }
    throw trouble;
  }

  static async #start(base, facts, engine, graph, weights) {
    const ort = await import(new URL(`ort/ort.${engine}.min.mjs`, base).href);
    ort.env.wasm.wasmPaths = new URL("ort/", base).href;
    // Several threads share memory, which browsers allow to isolated pages only.
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(graph.slice(0), {
      executionProviders: [engine],
      externalData: [{ path: "weights.bin", data: weights }],
      graphOptimizationLevel: "all",
    });
    const network = new Network();
    Object.assign(network, { ort, facts, engine, session, threads: engine === "wasm" ? ort.env.wasm.numThreads : 1 });
    return network;
  }

  /** Run the network on arrays of numbers and their shapes, in the order of `facts.inputs`. */
  async run(...inputs) {
    const feeds = {};
    this.facts.inputs.forEach((name, k) => {
      feeds[name] = new this.ort.Tensor("float32", inputs[k].values, inputs[k].shape);
    });
    const answer = await this.session.run(feeds);
    const output = answer[this.facts.output];
    const values = await output.getData();
    return { values, shape: output.dims };
  }

  /** Compare with what the network answered where it was exported; gives the largest difference. */
  async #check(known) {
    let at = 0;
    const inputs = this.facts.check.inputs.map((shape) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const values = known.slice(at, at + count);
      at += count;
      return { values, shape };
    });
    const { values } = await this.run(...inputs);
    let largest = values.length === known.length - at ? 0 : Infinity;
    for (let i = 0; i < values.length; i += 1) {
      const difference = Math.abs(values[i] - known[at + i]);
      largest = difference <= largest ? largest : difference;
    }
    return Number.isNaN(largest) ? Infinity : largest;
  }
}
