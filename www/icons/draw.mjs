// Draws the icons of the web manifest from public/icon.svg: `npm run icons -w www` after changing it.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch } from "../../tools/chromium.mjs";

const folder = fileURLToPath(new URL("../public/", import.meta.url));
const drawing = await readFile(`${folder}icon.svg`, "utf8");

// The system cuts a maskable icon to its own shape, so that one has no round corners of ours.
const square = drawing.replace(' rx="14"', "");

const browser = await launch();
await draw("icon-192.png", 192, drawing);
await draw("icon-512.png", 512, drawing);
await draw("icon-maskable.png", 512, square);
await browser.close();

async function draw(name, size, svg) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  await page.setContent(`<style>body{margin:0}svg{display:block;width:100vw;height:100vh}</style>${svg}`);
  await page.screenshot({ path: folder + name, omitBackground: true });
  await page.close();
}
