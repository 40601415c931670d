// The export section of a wasm (WebAssembly core specification, 5.5.10), with other names in it.

const HEADER = 8;
const EXPORTS = 7;

/** Gives the wasm with its exports renamed: `nameOf` gives the new name for an old one, or nothing for what nobody calls. */
export function renameExports(wasm, nameOf) {
  const parts = [wasm.subarray(0, HEADER)];
  const rest = reader(wasm, HEADER);
  while (!rest.isDone()) {
    const id = rest.byte();
    const body = rest.bytes();
    const section = id === EXPORTS ? renamed(body, nameOf) : body;
    parts.push(Buffer.from([id, ...number(section.length)]), section);
  }
  return Buffer.concat(parts);
}

function renamed(section, nameOf) {
  const all = reader(section);
  const kept = Array.from({ length: all.number() }, () => {
    const name = nameOf(Buffer.from(all.bytes()).toString());
    const what = [all.byte(), ...number(all.number())];
    return name === undefined ? [] : [Buffer.from([...number(name.length), ...Buffer.from(name), ...what])];
  }).flat();
  return Buffer.concat([Buffer.from(number(kept.length)), ...kept]);
}

function reader(bytes, at = 0) {
  const byte = () => bytes[at++];
  const number = () => {
    let sum = 0;
    for (let shift = 0; ; shift += 7) {
      const next = byte();
      sum += (next & 0x7f) * 2 ** shift;
      if (next < 0x80) return sum;
    }
  };
  return {
    isDone: () => at >= bytes.length,
    byte,
    number,
    /** A vector of bytes, its length before it. */
    bytes() {
      const length = number();
      at += length;
      return bytes.subarray(at - length, at);
    },
  };
}

/** A whole number as LEB128 writes it. */
const number = (value) => (value < 0x80 ? [value] : [(value % 0x80) + 0x80, ...number(Math.floor(value / 0x80))]);
