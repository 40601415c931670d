// The way in to every worker here: one object for each path. `births` counts constructors, so that a bench can see an
// object sleep; the count is the isolate's, and asking for it wakes nobody.

let births = 0;

/** Counts a constructor. */
export const born = () => (births += 1);

export const door = {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/health") return Response.json({ ok: true });
    if (pathname === "/v1/births") return Response.json(births);
    const id = pathname.split("/")[3];
    return env.DATASTORES.get(env.DATASTORES.idFromName(id)).fetch(request);
  },
};

/** The number of records to fill in with, when that is what a request asks for. */
export const toFill = (request) => (request.method === "POST" ? Number(new URL(request.url).searchParams.get("records")) : null);
