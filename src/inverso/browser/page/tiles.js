// Pictures of any size, window by window.

/** Cut an area into tiles that meet, each with the larger window that is looked at to work on it. */
export function* tiles(height, width, { side, margin, multiple = 1 }) {
  if (Math.max(height, width) <= side) {
    yield { top: 0, left: 0, bottom: height, right: width, window: [0, 0, height, width] };
    return;
  }
  const around = Math.ceil(margin / multiple) * multiple;
  const step = Math.max(multiple, Math.floor((side - 2 * around) / multiple) * multiple);
  for (let top = 0; top < height; top += step) {
    for (let left = 0; left < width; left += step) {
      const bottom = Math.min(top + step, height);
      const right = Math.min(left + step, width);
      const window = [
        Math.max(0, top - around),
        Math.max(0, left - around),
        Math.min(height, bottom + around),
        Math.min(width, right + around),
      ];
      yield { top, left, bottom, right, window };
    }
  }
}

/** Cut a window out of a picture's bytes (RGBA), as numbers in [0, 1], color by color; gray ones take one. */
export function look({ data, width }, [top, left, bottom, right], channels) {
  const rows = bottom - top;
  const columns = right - left;
  const area = rows * columns;
  const values = new Float32Array(channels * area);
  for (let r = 0, i = 0; r < rows; r += 1) {
    let p = 4 * ((top + r) * width + left);
    for (let c = 0; c < columns; c += 1, i += 1, p += 4) {
      if (channels === 1) {
        values[i] = (0.299 * data[p] + 0.587 * data[p + 1] + 0.114 * data[p + 2]) / 255;
      } else {
        values[i] = data[p] / 255;
        values[area + i] = data[p + 1] / 255;
        values[2 * area + i] = data[p + 2] / 255;
      }
    }
  }
  return { values, shape: [1, channels, rows, columns] };
}

/** Write the inner part of a window's answer into a picture's bytes, where `where` says so. */
export function put(picture, tile, { values, shape }, where = () => true) {
  const [, channels, rows, columns] = shape;
  const area = rows * columns;
  const [top, left] = tile.window;
  for (let r = tile.top; r < tile.bottom; r += 1) {
    for (let c = tile.left; c < tile.right; c += 1) {
      const at = r * picture.width + c;
      if (where(at)) {
        const i = (r - top) * columns + c - left;
        // A Uint8ClampedArray rounds and clamps by itself.
        for (let k = 0; k < 3; k += 1) picture.data[4 * at + k] = 255 * values[(channels === 1 ? 0 : k * area) + i];
        picture.data[4 * at + 3] = 255;
      }
    }
  }
}
