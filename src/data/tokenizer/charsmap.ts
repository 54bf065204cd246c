/**
 * SentencePiece's table of replacements (`precompiled_charsmap`: base64 of a size, a double array and the texts it leads
 * to; Darts-clone's layout). The native library follows it unchecked, so every step that a text can take is gone here.
 */

/** @returns whether each step stays in the array, and each value is the start of a text */
export function isCharsmap(base64: string): boolean {
  const bytes = Buffer.from(base64, "base64");
  if (bytes.length < 8 || bytes.toString("base64") !== base64) return false;
  const size = bytes.readUInt32LE(0);
  if (size < 4 || size % 4 !== 0 || size > bytes.length - 4) return false;
  const units = new Uint32Array(bytes.buffer.slice(bytes.byteOffset + 4, bytes.byteOffset + 4 + size));
  const texts = bytes.subarray(4 + size);
  const next = (place: number) => (place ^ ((units[place] >>> 10) << ((units[place] & 0x200) >>> 6))) >>> 0;
  const seen = new Uint8Array(units.length);
  const bases = [next(0)];
  for (let base = bases.pop(); base !== undefined; base = bases.pop()) {
    for (let byte = 1; byte < 256; byte++) {
      const place = (base ^ byte) >>> 0;
      if (place >= units.length) return false;
      if ((units[place] & 0x800000ff) !== byte || seen[place] === 1) continue;
      seen[place] = 1;
      const below = next(place);
      if (((units[place] >>> 8) & 1) === 1) {
        if (below >= units.length) return false;
        const text = units[below] & 0x7fffffff;
        if (text > texts.length || (texts[text] & 0xc0) === 0x80) return false;
      }
      bases.push(below);
    }
  }
  return true;
}
