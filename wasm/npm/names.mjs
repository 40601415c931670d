// Names that nobody outside the package can see, so that the bundle may make them short: members of its classes and
// interfaces, unless something else has one of that name: the platform, the public face, or what is stored.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Where a name means something to others. */
const shared = ["api.ts", "errors.ts", "storage/rows.ts"];
/** Other bundles. */
const apart = /^(react|tanstack|module)\b|\.d\.ts$/;

/** Members as they are declared, at the depth of a class or an interface; those of an object end with a comma. */
const member = /^ {2}(?:(?:private|readonly|async|static|get|set|declare|public) |\*)+(\w+)[?!]?(?:[(:<;]| =)/gm;
const bare = /^ {2}(\w+)(?:\(.*(?:\{|;)|[?!]?: .*;| = .*;)$/gm;
/** One that a constructor declares among its parameters. */
const parameter = /^ {4}(?:private |public |readonly )+(\w+)/gm;
/** One of a type that has no name of its own. */
const nameless = /\b(\w+)\??:/g;
/** Any member in the platform's declarations. */
const foreign = /^\s+(?:readonly |get |set )?(\w+)\??[(:<]/gm;

/** A pattern of all such names. */
export function ownNames(src) {
  const found = (texts, ...patterns) => new Set(texts.flatMap((text) => patterns.flatMap((of) => [...text.matchAll(of)].map(([, name]) => name))));
  const read = (file) => readFileSync(join(src, file), "utf8");
  const files = readdirSync(src, { recursive: true }).filter((file) => file.endsWith(".ts") && !apart.test(file) && !shared.includes(file));
  const taken = new Set([...found(platform(), foreign), ...found(shared.map(read), member, bare, parameter, nameless)]);
  const own = [...found(files.map(read), member, bare, parameter)].filter((name) => !taken.has(name) && name !== "constructor");
  return new RegExp(`^(?:${own.join("|")})$`);
}

/** The package has nothing of what pages are drawn with, heard and seen; and events are named by texts. */
const drawn = /^(?:interface|declare var) (?:Animation|Audio|BaseAudio|Canvas|CSS|DOM|Element|FontFace|GPU|HTML|Media|Mouse|OES|Path|Pointer|Range|RTC|Selection|Shadow|Speech|SVG|Text(?!En|De)|UI|VTT|WebGL|XPath|XSLT|\w*EventMap)[^]*?^\}/gm;

/** TypeScript's declarations of what JavaScript and the browser have. */
function platform() {
  const home = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const native = dirname(createRequire(join(home, "package.json")).resolve(`@typescript/typescript-${process.platform}-${process.arch}/package.json`));
  const folder = join(native, "lib");
  return readdirSync(folder).filter((file) => /^lib\..*\.d\.ts$/.test(file)).map((file) => readFileSync(join(folder, file), "utf8").replace(drawn, ""));
}
