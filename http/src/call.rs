//! From a request that is let in to what is to be done with the authority of its datastore.

use std::ops::ControlFlow;

use neap_core::{
    authority::{Admission, Authority, Moment, Trouble},
    rate::Cost,
    storage::Storage,
};

use crate::{
    Answer, Buckets, Exporter, Head, Importer, Pass, Settings, changes, datastores,
    input::Headers,
    mutations, pools, records,
    route::{Method, Route, Target},
};

/// A storage that keeps answers as well, for a repeat of their `Idempotency-Key`, in the transaction
/// of the write that they answer.
pub trait Answers: Storage {
    /// Reads an answer that was given under this name, and when, in milliseconds since 1970.
    ///
    /// # Errors
    /// When storage fails; so it is with every method.
    fn answer(&self, name: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Self::Error>;

    /// Visits the answers in the order of the moments at which they were given, and of names, after such
    /// a place, until the visitor breaks off.
    ///
    /// # Errors
    /// When storage fails.
    fn answers(
        &self,
        after: (u64, &[u8]),
        visit: &mut dyn FnMut(u64, Vec<u8>, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;

    /// Keeps an answer that is given under a name `at` milliseconds since 1970, in place of an older
    /// one, and lets go of a few of the oldest that were given before `forget`.
    ///
    /// # Errors
    /// When storage fails.
    fn put_answer(
        &self,
        name: &[u8],
        at: u64,
        value: &[u8],
        forget: u64,
    ) -> Result<(), Self::Error>;
}

/// What a request makes of the authority.
pub type Outcome<S> = Result<Answer, Trouble<<S as Storage>::Error>>;

/// Answers from what is committed, at a moment in milliseconds since 1970.
pub type Read<S> = Box<dyn FnOnce(&Authority<S>, u64) -> Outcome<S> + Send>;

/// Does something in a group of inputs. It may be run again, when the group that it was in has been
/// rolled back.
pub type Write<S> = Box<dyn FnMut(&mut Authority<S>, Moment) -> Outcome<S> + Send>;

/// What is to be done for a request.
pub enum Todo<S: Storage> {
    /// Nothing but to answer.
    Answer(Answer),
    /// Run this over what is committed.
    Read(Read<S>),
    /// Run this in the next group, and give its answer once the group has been committed.
    Write(Write<S>),
    /// Remove the datastore and end its sessions: 204, or where there is none [`Answer::absent`].
    Remove,
    /// Answer with a stream of pieces, read one after the other as fast as they are taken.
    Export(Exporter),
    /// Read the body as it comes and carry out what its lines ask for.
    Import(Importer),
    /// Take the socket.
    Socket,
    /// Whatever the project's own tests ask for.
    #[cfg(feature = "contract")]
    Contract(Vec<u8>),
}

/// A request that has been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The request but for its body.
    pub head: Head,
    /// What it may do, and with what.
    pub pass: Pass,
    /// Its body; empty where it has none, or where it is read as it comes.
    pub body: Vec<u8>,
    /// When it came, in milliseconds since 1970.
    pub now: u64,
}

impl Request {
    /// Takes from the client's buckets what a write costs: one mutation, and its bytes. Reading is
    /// free.
    fn pay(&self, settings: &Settings, buckets: &mut Buckets) -> Result<(), u64> {
        if self.head.method == Some(Method::Get) {
            return Ok(());
        }
        let bytes = u64::try_from(self.body.len()).unwrap_or(u64::MAX);
        let (cost, now) = (Cost { mutations: 1, bytes }, self.now.saturating_mul(1_000));
        let paid = buckets.take(&settings.bounds.rates, self.pass.payer, cost, now, 0);
        paid.map_err(|micros| micros.div_ceil(1_000_000).max(1))
    }
}

/// A request that has been let in, taken apart.
pub(crate) struct Call {
    pub(crate) admission: Admission,
    pub(crate) id: String,
    pub(crate) query: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// Says what is to be done for a request that has been let in.
#[must_use]
pub fn answer<S: Answers + 'static>(
    settings: &Settings,
    buckets: &mut Buckets,
    request: Request,
) -> Todo<S> {
    if let Err(seconds) = request.pay(settings, buckets) {
        return Todo::Answer(Answer::too_fast(seconds));
    }
    todo(settings, request).unwrap_or_else(Todo::Answer)
}

fn todo<S: Answers + 'static>(settings: &Settings, request: Request) -> Result<Todo<S>, Answer> {
    let Request { head, pass, body, .. } = request;
    let Some((Ok(Route { target, .. }), method)) = head.rest().map(Route::parse).zip(head.method)
    else {
        return Err(Answer::internal());
    };
    let Pass { id, admission, .. } = pass;
    let headers = Headers::read(&head)?;
    let call = Call { admission, id, query: head.query, headers, body };
    Ok(match (target, method) {
        (Target::Datastore | Target::Datastores, Method::Post) => {
            Todo::Write(datastores::open(settings, call)?)
        }
        (Target::Datastore, Method::Get) => Todo::Read(datastores::get(call)),
        (Target::Datastore, Method::Patch) => Todo::Write(datastores::alter(settings, call)?),
        (Target::Datastore, Method::Delete) => Todo::Remove,
        (Target::Records { collection }, Method::Get) => {
            Todo::Read(records::list(collection, &call)?)
        }
        (Target::Record { collection, key }, Method::Get) => {
            Todo::Read(records::get(collection, key, call))
        }
        (Target::Record { collection, key }, method) => {
            Todo::Write(records::write(collection, key, method, call)?)
        }
        (Target::Mutations, Method::Post) => Todo::Write(mutations::apply(call)?),
        (Target::Items { pool }, Method::Get) => Todo::Read(pools::list(&pool, &call)?),
        (Target::Items { pool }, Method::Post) => Todo::Write(pools::add(&pool, &call)?),
        (Target::Changes, Method::Get) => Todo::Read(changes::get(&call)?),
        (Target::Export, Method::Get) => Todo::Export(Exporter::new(call.id)),
        (Target::Import, Method::Post) => Todo::Import(Importer::new(settings, call.id)),
        (Target::Stats, Method::Get) => Todo::Read(datastores::stats()),
        (Target::Socket, Method::Get) => Todo::Socket,
        #[cfg(feature = "contract")]
        (Target::Contract, _) => Todo::Contract(call.body),
        _ => return Err(Answer::internal()),
    })
}
