// The page: buttons to the network and back.

import { Client, StoppedError } from "./client.js";
import { prepareOffline } from "./offline.js";
import { decode, download, guessNoise, normal, square, withNoise } from "./photos.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const EXAMPLE_NOISE = 25;

let facts = null;
let photo = null;
let picture = null;
let answer = null;
let name = "photo";
let began = 0;
const view = new View();
const client = new Client({ onProgress: showProgress, onStatus: say });

function say(text, failed = false) {
  $("status").textContent = text;
  $("status").classList.toggle("failed", failed);
}

function showProgress(done, total) {
  Object.assign($("progress"), { value: done, max: total });
  const left = ((performance.now() - began) / done) * (total - done);
  say(`Working: ${done} of ${total}${done < total ? `, about ${Math.ceil(left / 1000)} s left` : ""}`);
}

function task() {
  if (facts.kind !== "denoiser") return facts.kind === "restorer" ? "restore" : "draw";
  return document.querySelector("input[name=task]:checked").value;
}

/** Show what can be done now. */
function arrange({ working = false } = {}) {
  const doing = task();
  const paints = facts.kind === "restorer" || doing === "fill";
  $("open").hidden = facts.kind === "generator";
  // Without a touch screen there is hardly a camera that a page may ask for a photo.
  $("camera").hidden = navigator.maxTouchPoints === 0;
  $("tasks").hidden = facts.kind !== "denoiser" || picture === null;
  $("noise").hidden = doing !== "denoise" || picture === null;
  $("painting").hidden = !paints || picture === null || answer !== null;
  $("framing").hidden = working || photo === null || picture === photo || answer !== null;
  $("passes-row").hidden = doing !== "fill";
  $("go").textContent = { denoise: "Remove noise", fill: "Fill", restore: "Restore", draw: "Draw a picture" }[doing];
  $("go").hidden = working;
  $("go").disabled = picture === null && doing !== "draw";
  $("stop").hidden = !working;
  $("progress").hidden = !working;
  $("save").hidden = working || answer === null;
  $("back").hidden = working || answer === null || doing === "draw";
  $("again").hidden = working || answer === null || doing === "draw";
  for (const id of ["choose", "camera", "example"]) $(id).disabled = working;
  for (const input of document.querySelectorAll("#tasks input, #sigma")) input.disabled = working;
  view.allowPainting(paints && !working && answer === null && picture !== null, {
    opaque: doing === "restore",
    shown: paints,
  });
}

/** Take a photo up, in the size that the network knows, and say what became of it. */
function take(taken, title) {
  const { size } = facts;
  photo = taken;
  for (const [id, value] of [["size", 1], ["across", 0.5], ["down", 0.5]]) $(id).value = value;
  name = title.replace(/\.[^.]*$/, "") || "photo";
  frame();
  const noise = Math.round(Math.min(Math.max(guessNoise(picture), 1), 100));
  $("sigma").value = noise;
  $("sigma-value").value = noise;
  $("brush").value = Math.max(2, Math.round(Math.max(picture.width, picture.height) / 30));
  $("brush").dispatchEvent(new Event("input"));
  const fits = picture === photo;
  const what = `${photo.width} × ${photo.height} pixels`;
  say(
    fits
      ? `${what}.`
      : `${what}: a square was cut out and brought to ${size} × ${size} pixels, all that this network knows. ` +
          "Choose it so that a face fills it.",
  );
  arrange();
}

/** Bring the part of the photo that is looked at to the size that the network knows. */
function frame() {
  const { size } = facts;
  const fits = size === null || (photo.width === size && photo.height === size);
  const [share, across, down] = ["size", "across", "down"].map((id) => Number($(id).value));
  picture = fits ? photo : square(photo, size, { size: share, across, down });
  answer = null;
  view.show(picture);
}

async function open(file, title) {
  if (!file) return;
  try {
    say("Reading the photo");
    take(await decode(file), title ?? file.name ?? "photo");
  } catch (error) {
    say(error.message, true);
  }
}

async function openExample() {
  try {
    const example = await decode(await (await fetch("example.jpg")).blob());
    take(facts.kind === "denoiser" ? withNoise(example, EXAMPLE_NOISE) : example, "example");
  } catch (error) {
    say(error.message, true);
  }
}

function compute() {
  const doing = task();
  if (doing === "draw") return client.draw(normal(facts.latent.reduce((a, b) => a * b, 1)));
  const copy = { ...picture, data: new Uint8ClampedArray(picture.data) };
  if (doing === "denoise") return client.denoise(copy, Number($("sigma").value) / 255);
  const painted = view.painted();
  if (doing === "fill") {
    if (!painted.includes(1)) throw new Error("Paint over what is damaged first.");
    return client.fill(copy, painted, Number($("passes").value));
  }
  painted.forEach((is, i) => is && copy.data.fill(255, 4 * i, 4 * i + 3));
  return client.restore(copy);
}

async function go() {
  began = performance.now();
  try {
    const promise = compute();
    $("progress").removeAttribute("value");
    arrange({ working: true });
    say("Working");
    answer = await promise;
    if (task() === "draw") {
      picture = answer;
      view.show(answer);
    } else {
      view.compare(answer);
    }
    say(`Done in ${((performance.now() - began) / 1000).toFixed(1)} s.`);
  } catch (error) {
    if (error instanceof StoppedError) say("Cancelled; the photo is as it was.");
    else say(error.message, true);
  }
  arrange();
  if (answer !== null && task() !== "draw") $("split").focus();
}

function goOn() {
  photo = answer;
  picture = answer;
  answer = null;
  view.show(picture);
  arrange();
}

function retry() {
  if (answer === null) return;
  answer = null;
  view.compare(null);
  arrange();
}

function describe({ engine, threads }, offline) {
  const purpose = {
    denoiser: "Remove noise from a photo, or paint over what is damaged and have it filled in.",
    restorer: "Restore a damaged photo in one pass. Cover something with white to try it.",
    generator: "Draw a new picture.",
  }[facts.kind];
  document.title = `${facts.name} · inverso`;
  $("title").textContent = `inverso: ${facts.name}`;
  $("purpose").textContent = `${purpose} Everything happens on this device: nothing is uploaded.`;
  $("name").textContent = facts.name;
  const threadsWord = threads > 1 ? `${threads} threads` : "1 thread";
  const rows = {
    ...facts.card,
    Weights: `${facts.bits} bits each, ${(facts.bytes / 1e6).toFixed(2)} MB`,
    Runtime: `ONNX Runtime Web ${facts.runtime}, by Microsoft, MIT license`,
    Engine: engine === "webgpu" ? "WebGPU" : `WebAssembly, ${threadsWord}`,
    Offline: offline ? "works without a network from now on" : "not possible in this browser, or not over this address",
  };
  for (const [term, text] of Object.entries(rows)) {
    $("facts").append(Object.assign(document.createElement("dt"), { textContent: term }));
    $("facts").append(Object.assign(document.createElement("dd"), { textContent: text }));
  }
}

function listen() {
  $("choose").onclick = () => $("file").click();
  $("camera").onclick = () => $("shot").click();
  $("example").onclick = openExample;
  $("go").onclick = go;
  $("stop").onclick = () => client.stop();
  $("save").onclick = () => download(answer, `${name}-restored.png`);
  $("again").onclick = goOn;
  $("back").onclick = retry;
  $("clear").onclick = () => view.clear();
  $("eraser").onclick = () => {
    view.erasing = !view.erasing;
    $("eraser").setAttribute("aria-pressed", String(view.erasing));
  };
  for (const id of ["file", "shot"]) {
    $(id).onchange = async () => {
      await open($(id).files[0]);
      $(id).value = "";
    };
  }
  for (const id of ["size", "across", "down"]) {
    $(id).oninput = () => {
      frame();
      arrange();
    };
  }
  for (const id of ["sigma", "brush", "passes"]) {
    $(id).oninput = () => {
      $(`${id}-value`).value = $(id).value;
      if (id === "brush") view.brush = Number($(id).value);
      else retry();
    };
  }
  for (const radio of document.querySelectorAll("input[name=task]")) {
    radio.onchange = () => {
      retry();
      arrange();
    };
  }
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!$("choose").disabled) open(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    if (!$("choose").disabled) open(event.clipboardData.files[0]);
  });
}

async function start() {
  try {
    const early = await (await fetch("model.json")).json();
    const offline = await prepareOffline(early.version);
    const loaded = await client.load();
    facts = loaded.facts;
    describe(loaded, offline);
    listen();
    arrange();
    say(facts.kind === "generator" ? "Ready." : "Ready: open a photo.");
    document.body.dataset.ready = "yes";
    // The example is kept for visits without a network.
    if (facts.kind !== "generator") fetch("example.jpg").catch(() => {});
  } catch (error) {
    say(`The network could not be started: ${error.message}`, true);
  }
}

start();
