// What a page calls: promises in front of the worker.

/** An answer that was not waited for. */
export class StoppedError extends Error {}

/** A network in a worker: `await client.load()`, then `denoise`, `restore`, `fill`, `draw` or `run`. */
export class Client {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;

  /** @param onProgress called with (done, total); @param onStatus called with a line of text. */
  constructor({ onProgress = () => {}, onStatus = () => {} } = {}) {
    this.#worker.onmessage = ({ data }) => {
      if (data.kind === "progress") onProgress(data.done, data.total);
      else if (data.kind === "status") onStatus(data.text);
      else this.#settle(data);
    };
    this.#worker.onerror = (event) => {
      const failure = new Error(event.message || "the worker could not be started");
      for (const { reject } of this.#waiting.values()) reject(failure);
      this.#waiting.clear();
    };
  }

  /** Fetch and start the network; gives facts, engine, threads and the difference on the known example. */
  load({ engine = "best" } = {}) {
    return this.#ask("load", { engine });
  }

  /** Remove noise of standard deviation sigma, in the unit of white = 1, from { data, width, height }. */
  denoise(picture, sigma) {
    return this.#ask("denoise", { picture, sigma });
  }

  /** Restore { data, width, height }. */
  restore(picture) {
    return this.#ask("restore", { picture });
  }

  /** Fill the pixels where `unknown` is 1; all others stay exactly as they are. */
  fill(picture, unknown, passes) {
    return this.#ask("fill", { picture, unknown, passes });
  }

  /** Make a picture of a latent. */
  draw(latent) {
    return this.#ask("draw", { latent });
  }

  /** Run the network on [{ values, shape }, ...]. */
  run(...inputs) {
    return this.#ask("run", { inputs });
  }

  /** Stop what is going on at the next window; its promise is rejected with a StoppedError. */
  stop() {
    this.#worker.postMessage({ job: "stop" });
  }

  /** End the worker. */
  close() {
    this.#worker.terminate();
  }

  #ask(job, rest) {
    this.#next += 1;
    const id = this.#next;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ job, id, ...rest });
    });
  }

  #settle({ kind, id, answer, text, stopped }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (kind === "answer") waiting?.resolve(answer);
    else waiting?.reject(stopped ? new StoppedError(text) : new Error(text));
  }
}
