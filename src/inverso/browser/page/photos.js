// Photos in and out: decoded by the browser, never sent anywhere.

const MOST = 50e6;

/** Decode a file into { data, width, height }, turned as the camera was held; what shines through becomes white. */
export async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`${file.name || "this file"} is no picture that this browser can read`);
  }
  const { width, height } = bitmap;
  if (width * height > MOST) {
    throw new Error(`${(width * height) / 1e6} megapixels are more than a browser can hold; the limit is ${MOST / 1e6}`);
  }
  const picture = drawn(bitmap, width, height, [0, 0, width, height]);
  bitmap.close();
  return picture;
}

/** Draw a part [left, top, width, height] of something at another size. */
export function drawn(source, width, height, [left, top, wide, high]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error(`this browser cannot hold ${width} × ${height} pixels`);
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, left, top, wide, high, 0, 0, width, height);
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}

/** Make a canvas of a picture. */
export function canvasOf({ data, width, height }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas;
}

/**
 * Cut a square and shrink or enlarge it to `side`; halving first keeps small things.
 *
 * @param frame how large the square is, and where it lies: shares of what is possible, 1, 0.5 and 0.5 for the largest
 *   in the middle.
 */
export function square(picture, side, { size = 1, across = 0.5, down = 0.5 } = {}) {
  const wide = Math.max(1, Math.round(size * Math.min(picture.width, picture.height)));
  const left = Math.round(across * (picture.width - wide));
  const top = Math.round(down * (picture.height - wide));
  let source = canvasOf(picture);
  let part = [left, top, wide, wide];
  for (let now = wide; now >= 4 * side; now = Math.floor(now / 2)) {
    const half = Math.floor(now / 2);
    source = canvasOf(drawn(source, half, half, part));
    part = [0, 0, half, half];
  }
  return drawn(source, side, side, part);
}

/** Guess the standard deviation of the noise, of 255 (Immerkær 1996): what a mask blind to slopes leaves. */
export function guessNoise({ data, width, height }) {
  if (width < 3 || height < 3) return 1;
  const step = Math.max(1, Math.floor(Math.sqrt((width * height) / 4e5)));
  let sum = 0;
  let count = 0;
  for (let r = 1; r < height - 1; r += step) {
    for (let c = 1; c < width - 1; c += step) {
      const at = (dr, dc) => data[4 * ((r + dr) * width + c + dc) + 1];
      const corners = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1);
      const sides = at(-1, 0) + at(1, 0) + at(0, -1) + at(0, 1);
      sum += Math.abs(corners - 2 * sides + 4 * at(0, 0));
      count += 1;
    }
  }
  return (Math.sqrt(Math.PI / 2) * sum) / (6 * count);
}

/** Standard normal numbers. */
export function normal(count) {
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - Math.random()));
    return radius * Math.cos(2 * Math.PI * Math.random());
  });
}

/** Add noise of standard deviation sigma, of 255. */
export function withNoise(picture, sigma) {
  const data = new Uint8ClampedArray(picture.data);
  const noise = normal(data.length);
  for (let i = 0; i < data.length; i += 1) if (i % 4 < 3) data[i] = data[i] + sigma * noise[i];
  return { ...picture, data };
}

/** Hand a picture over as a PNG file. */
export async function download(picture, name) {
  const blob = await new Promise((done) => canvasOf(picture).toBlob(done, "image/png"));
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
