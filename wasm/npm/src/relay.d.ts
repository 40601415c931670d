// The entry `neap/relay`: the built relay. In a Worker with a Durable Object binding `DATASTORES` of class
// `Datastore`, `export { default, Datastore } from "neap/relay"` is a whole deployment. For Workers only.

/** The settings and the binding of the Worker. */
export interface RelayEnv {
  /** Namespace of the class `Datastore`. */
  DATASTORES: unknown;
  [setting: `NEAP_${string}`]: string | undefined;
}

/** Answers everything below `/v1`. */
export default class Relay {
  constructor(context: unknown, env: RelayEnv);
  fetch(request: Request): Promise<Response>;
}

/** One datastore: the Durable Object that the binding `DATASTORES` names. */
export class Datastore {
  constructor(state: unknown, env: RelayEnv);
  fetch(request: Request): Promise<Response>;
  alarm(): Promise<unknown>;
  webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): Promise<unknown>;
  webSocketClose(socket: WebSocket, code: number, reason: string, wasClean: boolean): Promise<unknown>;
  webSocketError(socket: WebSocket, error: unknown): Promise<unknown>;
}
