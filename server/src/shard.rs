//! A thread with its share of the datastores.
//!
//! Each datastore belongs to one shard, so nothing in it is shared and nothing is locked. A shard
//! takes what waits, sorts it by datastore, and runs one transaction for each; only when that has been
//! committed does anybody hear of it. While a disk is flushed the next group gathers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::body::Bytes;
use neap_core::{
    authority::{Admission, Moment, Output, SessionId, Trouble},
    id::{Epoch, Name},
    limits::{GROUP_MAX, TOKEN_SLACK_MS},
    store::Store,
    wire::Pong,
};
use neap_http::{Answer, Exporter, Piece, Read, Settings, Todo};
use tokio::{
    runtime::Handle,
    sync::{mpsc::Receiver, watch},
    time::timeout,
};

use crate::{
    complain,
    data::Data,
    links::{Link, Links, first_until},
    payers::Payers,
    queue::{Job, Reply, Step, Upshot, What},
    rows::{Failure, SqlRows},
};

/// A datastore that nobody is connected to and nobody asked for is let go after this time.
const REST_MS: u64 = 10_000;
/// With more datastores in memory than this, those without connections go at once.
const IN_USE_MAX: usize = 256;
/// Datastores looked after between two groups.
const PURGE_MAX: usize = 16;

type Groups = BTreeMap<Name, Vec<Step>>;
type Storage = Box<dyn FnMut(&Name) -> Result<SqlRows, Failure>>;

/// A thread with its share of the datastores.
pub(crate) struct Shard {
    settings: Arc<Settings>,
    store: Store<SqlRows, Storage>,
    links: Links,
    payers: Payers,
    rested_at: u64,
}

impl Shard {
    /// Starts with the datastores that are its share of what an earlier process has left.
    pub(crate) fn new(settings: Arc<Settings>, data: Arc<Data>, ids: Vec<Name>) -> Shard {
        let storage: Storage = Box::new(move |id| SqlRows::open(data.file(id)));
        let mut store = Store::new(settings.bounds, storage);
        for id in ids {
            store.expect(id);
        }
        Shard { settings, store, links: Links::new(), payers: Payers::default(), rested_at: 0 }
    }

    /// Does what is asked for, and what is due, until the server ends. Its files are closed then, so
    /// that each is whole without its log.
    pub(crate) fn run(
        mut self,
        handle: &Handle,
        mut jobs: Receiver<Job>,
        mut end: watch::Receiver<()>,
    ) {
        loop {
            let wait = self.wait(now());
            let next = async {
                tokio::select! {
                    job = jobs.recv() => job,
                    // Nothing is ever said there: it closes.
                    _ = end.changed() => None,
                }
            };
            match handle.block_on(async { timeout(wait, next).await }) {
                Ok(None) => return,
                Ok(Some(first)) => {
                    let more = std::iter::from_fn(|| jobs.try_recv().ok());
                    let group = std::iter::once(first).chain(more).take(GROUP_MAX).collect();
                    self.work(group);
                }
                Err(_) => {}
            }
            self.upkeep(now());
        }
    }

    /// How long it may wait for something to do.
    fn wait(&self, now: u64) -> Duration {
        let overdue = first_until(&self.links).map(|until| until.saturating_add(TOKEN_SLACK_MS));
        let rest = (self.store.in_use() > 0).then(|| self.rested_at.saturating_add(REST_MS));
        let due = self.store.due().into_iter().chain(overdue).chain(rest).min();
        Duration::from_millis(due.unwrap_or(u64::MAX).saturating_sub(now).min(3_600_000))
    }

    fn work(&mut self, jobs: Vec<Job>) {
        let mut groups = Groups::new();
        let (mut reads, mut pieces, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        for Job { id, what } in jobs {
            let mut step = |step| groups.entry(id.clone()).or_default().push(step);
            match what {
                What::Frame { session, bytes } => step(Step::Frame { session, bytes }),
                What::Request { request, reply } => {
                    match self.payers.plan(&self.settings, &id, request) {
                        Todo::Answer(answer) => tell(reply, answer),
                        Todo::Read(run) => reads.push((id, run, reply)),
                        Todo::Write(run) => step(Step::Ask { run, answer: None, reply }),
                        Todo::Remove => step(Step::remove(reply)),
                        Todo::Export(exporter) => {
                            drop(reply.send(Upshot::Export(Box::new(exporter))))
                        }
                        Todo::Import(importer) => {
                            drop(reply.send(Upshot::Import(Box::new(importer))))
                        }
                        // Sockets come by another way.
                        Todo::Socket => tell(reply, Answer::internal()),
                    }
                }
                What::Write { run, reply } => step(Step::Ask { run, answer: None, reply }),
                What::Piece { exporter, reply } => pieces.push((id, exporter, reply)),
                What::Ping { session } => pings.push(session),
                What::Probe { session } => {
                    if let Some(link) = self.links.get(&session) {
                        link.probe();
                    }
                }
                What::Token { session, token } => {
                    step(Step::Token { session, token, renewed: None });
                }
                What::Welcome { admission, link, reply } => {
                    self.flush(&mut groups, &id);
                    let session = self.welcome(&id, admission, link);
                    if let Err(Some(session)) = reply.send(session) {
                        self.leave(&id, session);
                    }
                }
                What::Leave { session } => {
                    // What it has said before it left still counts.
                    self.flush(&mut groups, &id);
                    self.leave(&id, session);
                }
            }
        }
        for (id, steps) in groups {
            self.group(&id, steps);
        }
        for (id, run, reply) in reads {
            tell(reply, self.read(&id, run));
        }
        for (id, mut exporter, reply) in pieces {
            let piece = self.read_piece(&id, &mut exporter);
            let _ = reply.send((exporter, piece));
        }
        for session in pings {
            self.answer_ping(session);
        }
    }

    fn flush(&mut self, groups: &mut Groups, id: &Name) {
        if let Some(steps) = groups.remove(id) {
            self.group(id, steps);
        }
    }

    /// Runs steps in one transaction, commits it, and then lets it be heard.
    fn group(&mut self, id: &Name, mut steps: Vec<Step>) {
        let Err(trouble) = self.attempt(id, &mut steps) else {
            steps.into_iter().for_each(Step::tell);
            return;
        };
        complain(&format!("{}: rolled back: {trouble:?}", &**id));
        if steps.len() > 1 {
            // One of them is at fault: each on its own, so that it takes nobody with it.
            for step in steps {
                self.group(id, vec![step]);
            }
            return;
        }
        match steps.pop() {
            Some(Step::Frame { session, .. } | Step::Token { session, .. }) => {
                if let Some(link) = self.links.remove(&session) {
                    link.close(1011, "internal");
                }
                self.leave(id, session);
            }
            Some(Step::Ask { reply, .. }) => tell(reply, Answer::trouble(&trouble)),
            None => {}
        }
    }

    fn attempt(&mut self, id: &Name, steps: &mut [Step]) -> Result<(), Trouble<Failure>> {
        let moment = Moment { now: now(), dice: Epoch(dice()?) };
        let ran = self.store.run(id, moment.now, |authority| {
            let by = (&*self.settings, id);
            steps.iter_mut().try_for_each(|step| step.run(authority, by, moment))?;
            Ok(authority.take_costs())
        });
        let ran = ran.map(|costs| {
            self.payers.charge(&self.settings.bounds.rates, id, costs, moment.now);
            self.renewed(steps);
        });
        self.carry_out(moment.now);
        ran
    }

    /// Answers from what is committed.
    fn read(&mut self, id: &Name, run: Read<SqlRows>) -> Answer {
        let now = now();
        let answer = self.store.read(id, now, |authority| run(authority, now));
        self.carry_out(now);
        answer.unwrap_or_else(|trouble| {
            complain_of(id, &trouble);
            Answer::trouble(&trouble)
        })
    }

    /// Reads the next piece of an export from what is committed.
    fn read_piece(&mut self, id: &Name, exporter: &mut Exporter) -> Result<Piece, Answer> {
        let now = now();
        let piece = self.store.read(id, now, |authority| exporter.piece(authority, now));
        self.carry_out(now);
        piece.map_err(|trouble| {
            complain_of(id, &trouble);
            Answer::trouble(&trouble)
        })
    }

    fn welcome(&mut self, id: &Name, admission: Admission, link: Link) -> Option<SessionId> {
        let now = now();
        if self.is_full(id, now) {
            // Whoever has not said Hello in good time gives up its place.
            let ran = self.store.run(id, now, |_| Ok(()));
            self.carry_out(now);
            if let Err(trouble) = ran {
                complain_of(id, &trouble);
            }
        }
        if self.is_full(id, now) {
            link.close(4429, "too-many-sockets");
            return None;
        }
        let session = self.store.arrive();
        self.links.insert(session, link);
        let joined = self.store.join(session, id, admission, now);
        self.carry_out(now);
        if let Err(trouble) = joined {
            complain_of(id, &trouble);
            if let Some(link) = self.links.remove(&session) {
                link.close(1011, "internal");
            }
            self.leave(id, session);
            return None;
        }
        Some(session)
    }

    fn is_full(&mut self, id: &Name, now: u64) -> bool {
        let present = self.store.read(id, now, |authority| Ok(authority.session_count()));
        present.is_ok_and(|present| present >= self.settings.sockets_max)
    }

    /// Keeps until when the tokens hold that a group has brought, or ends their sockets.
    fn renewed(&mut self, steps: &[Step]) {
        for step in steps {
            let Step::Token { session, renewed: Some(renewed), .. } = step else { continue };
            match *renewed {
                Ok(until) => {
                    if let Some(link) = self.links.get_mut(session) {
                        link.until = until;
                    }
                }
                Err((code, reason)) => self.end(*session, code, reason),
            }
        }
    }

    fn leave(&mut self, id: &Name, session: SessionId) {
        let now = now();
        self.links.remove(&session);
        if let Err(trouble) = self.store.depart(session, now) {
            complain_of(id, &trouble);
        }
        self.carry_out(now);
    }

    /// Answers with how far the datastore has come: who has missed something learns of it.
    fn answer_ping(&mut self, session: SessionId) {
        let Some(link) = self.links.get(&session) else { return };
        let text = self.store.read(&link.id, now(), |authority| {
            Ok(authority.meta().map_or_else(String::new, |meta| Pong::of(meta).to_text()))
        });
        if let Ok(text) = text {
            link.answer_ping(text);
        }
    }

    /// Does what is due by itself.
    fn upkeep(&mut self, now: u64) {
        let overdue = |(id, link): (&SessionId, &Link)| (link.until < now).then_some(*id);
        let overdue: Vec<SessionId> = self.links.iter().filter_map(overdue).collect();
        for session in overdue {
            self.end(session, 4401, "unauthorized");
        }
        if self.store.due().is_some_and(|due| due <= now) {
            for (id, trouble) in self.store.purge(now, PURGE_MAX).failed {
                complain_of(&id, &trouble);
            }
            self.carry_out(now);
        }
        if self.store.in_use() > IN_USE_MAX {
            self.store.rest(now);
        } else if self.rested_at.saturating_add(REST_MS) <= now {
            self.store.rest(now.saturating_sub(REST_MS));
            self.rested_at = now;
        }
    }

    /// Carries out what committed groups have led to. One dead socket stops nobody else.
    fn carry_out(&mut self, now: u64) {
        let mut slow = Vec::new();
        self.tell(now, Some(&mut slow));
        if slow.is_empty() {
            return;
        }
        for (id, session) in slow {
            // What they were not sent they will ask for, once they have read all that still waits: the
            // frame that tells them stands behind it. Were it to fail, their next ping would tell.
            let _ = self.store.run(&id, now, |authority| {
                authority.fall_behind(session);
                Ok(())
            });
        }
        self.tell(now, None);
    }

    /// Carries out what waits. Where there is room for who is slow, they are not sent more.
    fn tell(&mut self, now: u64, mut slow: Option<&mut Vec<(Name, SessionId)>>) {
        let mut over = Vec::new();
        for told in self.store.take_outputs() {
            match told.output {
                Output::Send { to, frame } => {
                    let frame = Bytes::from(frame);
                    for session in to {
                        let Some(link) = self.links.get(&session) else { continue };
                        if link.until < now {
                            over.push(session);
                            continue;
                        }
                        match &mut slow {
                            // It is told once that it has missed something.
                            Some(slow) if slow.iter().any(|(_, other)| *other == session) => {}
                            Some(slow) if !link.keeps_up() => slow.push((told.id.clone(), session)),
                            Some(_) | None => link.send(&frame),
                        }
                    }
                }
                Output::Close { session, why } => {
                    if let Some(link) = self.links.remove(&session) {
                        link.close(why.code(), why.reason());
                    }
                }
                // The store remembers by itself.
                Output::Remember { .. } => {}
            }
        }
        for session in over {
            self.end(session, 4401, "unauthorized");
        }
    }

    fn end(&mut self, session: SessionId, code: u16, reason: &'static str) {
        let Some(link) = self.links.remove(&session) else { return };
        let id = link.id.clone();
        link.close(code, reason);
        self.leave(&id, session);
    }
}

/// Tells the operator what went wrong in a datastore.
fn complain_of(id: &Name, trouble: &Trouble<Failure>) {
    complain(&format!("{}: {trouble:?}", &**id));
}

fn tell(reply: Reply, answer: Answer) {
    let _ = reply.send(Upshot::Answer(answer));
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Fresh random bytes.
pub(crate) fn dice<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Dice(error.to_string()))?;
    Ok(bytes)
}
