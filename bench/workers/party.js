// partyserver: hibernating, what is said is said to all.

import { Server } from "partyserver";
import { door } from "./door.js";

export class Datastore extends Server {
  static options = { hibernate: true };

  onMessage(_, message) {
    this.broadcast(message);
  }
}

export default door;
