// Runs inside workerd, in front of the local relay: sends `/v1` to the relay and answers everything else from
// the demo's files, as Cloudflare's asset server does for the deployed one.

const types = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/x-icon",
  jpg: "image/jpeg",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  map: "application/json",
  mjs: "text/javascript; charset=utf-8",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  wasm: "application/wasm",
  webmanifest: "application/manifest+json",
  webp: "image/webp",
  woff2: "font/woff2",
  xml: "application/xml",
};

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/v1" || pathname.startsWith("/v1/")) return env.RELAY.fetch(request);
    if (!env.ASSETS) return plain(404, "the demo is not built: npm run build\n");
    if (request.method !== "GET" && request.method !== "HEAD") return plain(405, "method not allowed\n", { Allow: "GET, HEAD" });
    for (const path of candidates(pathname)) {
      const file = await env.ASSETS.fetch(`http://assets${path}`, { method: request.method });
      if (file.ok) return new Response(file.body, { headers: headers(path, file) });
    }
    return plain(404, "not found\n");
  },
};

// Only a name with an extension is asked for as it is: for a directory the disk answers with a listing.
function candidates(pathname) {
  if (pathname.endsWith("/")) return [`${pathname}index.html`, `${pathname.slice(0, -1)}.html`];
  if (/\.\w+$/.test(pathname)) return [pathname];
  return [`${pathname}.html`, `${pathname}/index.html`];
}

function headers(path, file) {
  const answer = new Headers({
    "Content-Type": types[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream",
    // Vite puts a hash into the name of every file below /assets/; all others keep their names when they change.
    "Cache-Control": path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
    "X-Content-Type-Options": "nosniff",
  });
  const length = file.headers.get("Content-Length");
  if (length) answer.set("Content-Length", length);
  return answer;
}

function plain(status, text, more = {}) {
  return new Response(text, { status, headers: { "Content-Type": "text/plain; charset=utf-8", ...more } });
}
