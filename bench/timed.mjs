// How a process times its own work, and how it tells what it has found.

/** Wall and CPU time of some work. What it puts off by one turn belongs to it: that is waited for, and counted. */
export async function timed(work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  await new Promise((done) => setTimeout(done));
  const wallMs = performance.now() - start;
  const used = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (used.user + used.system) / 1000 };
}

/** Prints one JSON object and ends the process, whatever still runs in it. */
export const tell = (result) => process.stdout.write(JSON.stringify(result), () => process.exit(0));
