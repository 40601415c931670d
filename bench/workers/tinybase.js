// TinyBase's own Durable Object, which passes on what it hears and keeps nothing.

import { WsServerDurableObject } from "tinybase/synchronizers/synchronizer-ws-server-durable-object";
import { door } from "./door.js";

export class Datastore extends WsServerDurableObject {}

export default door;
