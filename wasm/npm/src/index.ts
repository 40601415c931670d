// The package `neap`: a shared datastore that keeps working with no network.

export { open } from "./open.js";
export { NeapError } from "./errors.js";
export type {
  Change,
  Collection,
  Condition,
  Connection,
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
  Query,
  QueryOptions,
  Refused,
  Status,
  StorageKind,
  Transaction,
  TransactionCollection,
  WebSocketClass,
  WebSocketLike,
} from "./api.js";
