// The package `neap`: a shared datastore that keeps working with no network.

export { open } from "./open.js";
export { NeapError } from "./errors.js";
export type {
  Change,
  Collection,
  Condition,
  Connection,
  Convergence,
  Datastore,
  ErrorCode,
  Events,
  Kind,
  Meta,
  Mutation,
  Op,
  OpenOptions,
  OrderBy,
  Outcome,
  Patch,
  Pool,
  PoolOptions,
  Query,
  QueryOptions,
  Refused,
  Retain,
  Status,
  StorageKind,
  Transaction,
  TransactionCollection,
  WebSocketClass,
  WebSocketLike,
} from "./api.js";
