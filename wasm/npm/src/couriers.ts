// Those who deliver what tabs have left behind, under the names of those tabs' own replicas.

import type { Driver } from "./driver.js";
import type { Emitter } from "./events.js";

/** Drivers of replicas whose tabs are gone, for as long as something of theirs has no answer. */
export class Couriers {
  private readonly all = new Set<Driver>();

  constructor(private readonly emitter: Emitter) {}

  /** Lets `courier` deliver, as long as it takes. `look` is called when its status is another. */
  async employ(courier: Driver, look: () => void): Promise<void> {
    this.all.add(courier);
    courier.engine.emitter.on("refused", (refused) => this.emitter.emit("refused", refused));
    courier.engine.emitter.on("status", look);
    courier.start();
    // Rejects when it is closed before: somebody else goes on.
    await courier.whenSettled().catch(() => {});
    await courier.close();
    this.all.delete(courier);
    look();
  }

  each(act: (courier: Driver) => unknown): unknown[] {
    return [...this.all].map(act);
  }
}
