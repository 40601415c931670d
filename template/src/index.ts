// The whole relay. Its settings are variables and secrets named NEAP_…, all of them optional.
export { default, Datastore } from "neap/relay";
