// The photo on the page: painting on it, and looking at it before and after.

const $ = (id) => document.getElementById(id);

/** Canvases above each other: the answer, the photo, and what is painted. */
export class View {
  width = 0;
  height = 0;
  brush = 24;
  erasing = false;
  #painting = false;
  #opaque = false;
  #last = null;
  #spot = null;

  constructor() {
    const canvas = $("paint");
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (this.#last = null));
    canvas.addEventListener("pointerleave", () => ($("cursor").hidden = document.activeElement !== canvas));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => ($("cursor").hidden = true));
    $("split").addEventListener("input", () => this.#split());
  }

  /** Show a photo { data, width, height } and forget what was painted. */
  show(picture) {
    [this.width, this.height] = [picture.width, picture.height];
    for (const id of ["before", "after", "paint"]) Object.assign($(id), { width: this.width, height: this.height });
    $("before").getContext("2d").putImageData(new ImageData(picture.data, this.width, this.height), 0, 0);
    // Small pictures are shown larger, and none is larger than the window.
    const scale = Math.max(1, Math.min(8, 640 / Math.max(this.width, this.height)));
    $("fit").style.width = `min(100%, ${scale * this.width}px, calc(75vh * ${this.width / this.height}))`;
    $("stage").hidden = false;
    this.#spot = { x: this.width / 2, y: this.height / 2 };
    this.compare(null);
  }

  /** Show an answer beside the photo; null for the photo alone. */
  compare(answer) {
    for (const id of ["comparing", "line", "tag-before", "tag-after"]) $(id).hidden = answer === null;
    if (answer !== null) {
      $("after").getContext("2d").putImageData(new ImageData(answer.data, this.width, this.height), 0, 0);
      $("split").value = 50;
    }
    this.#split();
  }

  #split() {
    const share = $("comparing").hidden ? 100 : Number($("split").value);
    $("before").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    $("line").style.left = `${share}%`;
    $("paint").hidden = !$("comparing").hidden;
  }

  /** Let the visitor paint, in a color to see through or in white that covers; `shown` strokes stay when it ends. */
  allowPainting(allowed, { opaque = false, shown = allowed } = {}) {
    this.#painting = allowed;
    this.#opaque = opaque;
    const canvas = $("paint");
    canvas.classList.toggle("painting", allowed);
    canvas.tabIndex = allowed ? 0 : -1;
    canvas.style.opacity = opaque ? 1 : 0.6;
    canvas.style.visibility = shown ? "visible" : "hidden";
  }

  clear() {
    $("paint").getContext("2d").clearRect(0, 0, this.width, this.height);
  }

  /** What is painted, 1 for each painted pixel. */
  painted() {
    const { data } = $("paint").getContext("2d").getImageData(0, 0, this.width, this.height);
    const mask = new Uint8Array(this.width * this.height);
    for (let i = 0; i < mask.length; i += 1) mask[i] = data[4 * i + 3] > 0 ? 1 : 0;
    return mask;
  }

  #place(event) {
    const box = $("paint").getBoundingClientRect();
    const scale = this.width / box.width;
    return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
  }

  #down(event) {
    if (!this.#painting || event.button !== 0) return;
    $("paint").setPointerCapture(event.pointerId);
    this.#last = this.#place(event);
    this.#stroke(this.#last, this.#last);
  }

  #move(event) {
    if (!this.#painting) return;
    const place = this.#place(event);
    this.#spot = place;
    this.#showCursor();
    if (this.#last !== null) {
      this.#stroke(this.#last, place);
      this.#last = place;
    }
  }

  #key(event) {
    if (!this.#painting) return;
    const step = Math.max(1, this.brush / 2);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      const { x, y } = this.#spot;
      this.#spot = { x: Math.min(Math.max(0, x + dx), this.width), y: Math.min(Math.max(0, y + dy), this.height) };
    } else if (event.key === " ") {
      this.#stroke(this.#spot, this.#spot);
    } else if (event.key.toLowerCase() === "e") {
      $("eraser").click();
    } else {
      return;
    }
    event.preventDefault();
    this.#showCursor();
  }

  #stroke(from, to) {
    const context = $("paint").getContext("2d");
    context.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
    const color = getComputedStyle(document.documentElement).getPropertyValue("--stroke");
    context.strokeStyle = this.#opaque ? "#ffffff" : color;
    context.lineWidth = this.brush;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    // A line without length is not drawn everywhere.
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
    $("paint").dispatchEvent(new Event("painted"));
  }

  #showCursor() {
    const scale = $("paint").getBoundingClientRect().width / this.width;
    const side = this.brush * scale;
    const left = this.#spot.x * scale - side / 2;
    const top = this.#spot.y * scale - side / 2;
    Object.assign($("cursor").style, {
      width: `${side}px`,
      height: `${side}px`,
      left: `${left}px`,
      top: `${top}px`,
    });
    $("cursor").hidden = false;
  }
}
