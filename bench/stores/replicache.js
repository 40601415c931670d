import { Replicache, TEST_LICENSE_KEY } from "replicache";

const options = { name: "bench", licenseKey: TEST_LICENSE_KEY, pullInterval: null };

export async function fill(all) {
  const patch = all.map((value) => ({ op: "put", key: `task/${value.id}`, value }));
  const puller = async () => ({ response: { cookie: 1, lastMutationIDChanges: {}, patch }, httpRequestInfo: { httpStatusCode: 200, errorMessage: "" } });
  const rep = new Replicache({ ...options, puller });
  await rep.pull({ now: true });
  // It writes to its disk when it has nothing else to do.
  await new Promise((done) => setTimeout(done, 3000));
  await rep.close();
}

export async function open() {
  const rep = new Replicache(options);
  return { get: (id) => rep.query((tx) => tx.get(`task/${id}`)) };
}
