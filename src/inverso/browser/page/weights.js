// Weights as they travel: codes of 1 to 8 bits in groups with a range each, or plain numbers of 16 or 32 bits.

/** Turn the 16 bits of a half-precision number into a number. */
export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Unpack codes: code i takes the bits from `bits i` on, the lowest first, and stands for a level between the two
 * ends of its group, `low + code (high - low) / (2^bits - 1)`.
 */
export function unpackCodes(codes, ranges, { count, bits, group }, out, at) {
  const top = 2 ** bits - 1;
  let held = 0;
  let left = 0;
  let next = 0;
  for (let start = 0, k = 0; start < count; start += group, k += 2) {
    const low = fromHalf(ranges.getUint16(2 * k, true));
    const high = fromHalf(ranges.getUint16(2 * k + 2, true));
    const end = Math.min(start + group, count);
    for (let i = start; i < end; i += 1) {
      if (left < bits) {
        held |= codes[next] << left;
        next += 1;
        left += 8;
      }
      const share = (held & top) / top;
      held >>= bits;
      left -= bits;
      out[at + i] = low * (1 - share) + high * share;
    }
  }
}

/** Turn a file of weights into one array of floats, in the places that `layout` names. */
export function unpack(buffer, layout) {
  const floats = new Float32Array(layout.floats);
  for (const part of layout.parts) {
    const { at, count, bits, codes } = part;
    if (bits === 32) {
      floats.set(new Float32Array(buffer.slice(codes, codes + 4 * count)), at);
    } else if (bits === 16) {
      const halves = new DataView(buffer, codes, 2 * count);
      for (let i = 0; i < count; i += 1) floats[at + i] = fromHalf(halves.getUint16(2 * i, true));
    } else {
      const bytes = new Uint8Array(buffer, codes, Math.ceil((bits * count) / 8));
      const groups = Math.ceil(count / layout.group);
      unpackCodes(bytes, new DataView(buffer, part.ranges, 4 * groups), { count, bits, group: layout.group }, floats, at);
    }
  }
  return floats;
}
