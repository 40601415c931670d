//! The relay's shell: it queues what comes, decides it in one transaction, and only then tells.

use std::{collections::BTreeMap, rc::Rc};

use neap_core::{
    authority::{Admission, Authority, Output, PageSize, SessionId, Settings, Trouble},
    datastore::{Kind, Options},
    id::{Epoch, ReplicaId, Seq},
    wire::{self, Pong, Up},
};

use super::{
    Check, Lanes,
    copies::Backup,
    naive::Id,
    once::Call,
    pools::Addition,
    random::Random,
    sabotage::Sabotage,
    storage::{Broken, Disk},
    world::{Downward, Upward, World, trace},
};

/// Something that waits for the next flush.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Connect(SessionId),
    Frame(SessionId, Vec<u8>),
    Gone(SessionId),
    /// A mutation over HTTP.
    Request(Id),
    /// A mutation over HTTP under an `Idempotency-Key`.
    Call(Call),
    /// An addition to a pool over HTTP.
    Merge(Addition),
    Open,
    /// What was exported takes the place of what there is; where a place is given, its byte is another.
    Import(Rc<Backup>, Option<usize>),
    Destroy,
    Upkeep,
}

#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) disk: Disk,
    pub(crate) authority: Option<Authority<Disk>>,
    pub(crate) settings: Settings,
    page: PageSize,
    pub(crate) unread_max: u64,
    pub(crate) options: Options,
    pub(crate) queue: Vec<Input>,
    /// Sockets whose end here is open, with what is remembered of each.
    pub(crate) sockets: BTreeMap<SessionId, Option<Vec<u8>>>,
    /// What a ping is answered with.
    pong: String,
    expires_at: Option<u64>,
}

impl Relay {
    pub(crate) fn new(random: &mut Random, lanes: Lanes, sabotage: Option<Sabotage>) -> Self {
        let settings = Settings {
            // Items would count as well.
            records_max: if random.once_in(4) && !lanes.pools { 7 } else { 1_000 },
            history: if random.once_in(2) { 0 } else { 1_000 },
            ..Settings::default()
        };
        let kind = if random.once_in(2) { Kind::Temp } else { Kind::Permanent };
        let options = Options {
            kind: Some(kind),
            primary: None,
            ttl: Some(3_600),
            sliding: Some(random.once_in(2)),
        };
        Relay {
            disk: Disk::new(sabotage),
            authority: None,
            settings,
            page: PageSize { rows: 1 + random.below(4), bytes: 100 + random.below(400) },
            unread_max: 300 + random.below(3_000) as u64,
            options,
            queue: Vec::new(),
            sockets: BTreeMap::new(),
            pong: String::from("none"),
            expires_at: None,
        }
    }

    pub(crate) fn destroy(&mut self) {
        self.queue.push(Input::Destroy);
    }

    pub(crate) fn upkeep(&mut self) {
        self.queue.push(Input::Upkeep);
    }

    pub(crate) fn open(&mut self) {
        self.queue.push(Input::Open);
    }

    /// Moves the clock past the end of the datastore's life, if it has one.
    pub(crate) fn outlive(&mut self, now: &mut u64) -> bool {
        if let Some(last) = self.expires_at {
            *now = (*now).max(last + 1);
            return true;
        }
        false
    }

    /// What the next transaction decides. A deletion stands alone, as does an import: what was told before it is no
    /// longer stored after it.
    pub(super) fn take_group(&mut self) -> Vec<Input> {
        let destroys = |input: &Input| matches!(input, Input::Destroy | Input::Import(..));
        let count = match self.queue.iter().position(destroys) {
            Some(0) => 1,
            Some(place) => place,
            None => self.queue.len(),
        };
        self.queue.drain(..count).collect()
    }

    pub(crate) fn calm(&mut self) {
        self.disk.fail_after(None);
    }

    pub(crate) fn pong(&self, session: SessionId) -> Option<String> {
        self.sockets.contains_key(&session).then(|| self.pong.clone())
    }

    /// Loads the authority and gives it its sessions back.
    pub(super) fn wake(
        &mut self,
        sabotage: Option<Sabotage>,
        now: u64,
    ) -> Result<bool, Trouble<Broken>> {
        if self.authority.is_some() {
            return Ok(false);
        }
        let mut authority = Authority::load(self.disk.clone(), self.settings)?;
        authority.set_page_size(self.page);
        if sabotage != Some(Sabotage::FeedTheStalled) {
            authority.set_unread_max(self.unread_max);
        }
        for (session, bytes) in &self.sockets {
            match bytes {
                Some(_) if sabotage == Some(Sabotage::LoseSessions) => {}
                Some(bytes) => authority.restore(*session, bytes),
                None => authority.connect(*session, Admission::OPEN, now),
            }
        }
        self.authority = Some(authority);
        Ok(self.sockets.values().any(Option::is_some))
    }
}

impl World {
    /// Takes what has come over a connection.
    pub(crate) fn arrive(&mut self, number: usize, upward: Upward) {
        let session = number as SessionId;
        trace!(self, "relay: connection {number} brings {}", show(&upward));
        match upward {
            Upward::Open => {
                self.connections[number].open = true;
                self.relay.sockets.insert(session, None);
                self.relay.queue.push(Input::Connect(session));
            }
            Upward::Gone => {
                if self.relay.sockets.remove(&session).is_some() {
                    self.relay.queue.push(Input::Gone(session));
                }
                self.connections[number].open = false;
            }
            Upward::Frame(frame) => {
                let connection = &mut self.connections[number];
                if !connection.open {
                    return;
                }
                let current = self.clients[connection.client].connection;
                if current != Some(number) {
                    self.report.sights.see("half-open connection answered late");
                }
                if let Ok(Up::Hello(hello)) = wire::decode_up(&frame) {
                    connection.authors = hello.authors.iter().map(|author| author.id).collect();
                }
                self.relay.queue.push(Input::Frame(session, frame));
            }
        }
    }

    /// Someone mutates, or opens, over HTTP.
    pub(crate) fn request(&mut self) -> Check {
        if self.random.once_in(3) {
            self.relay.open();
            return Ok(());
        }
        if self.lanes.pools && self.random.once_in(3) {
            self.request_addition();
            return Ok(());
        }
        let id = self.mint_request();
        self.relay.queue.push(Input::Request(id));
        Ok(())
    }

    pub(crate) fn sleep(&mut self) {
        if self.relay.authority.take().is_some() {
            self.see("relay slept");
            trace!(self, "relay: sleeps");
        }
    }

    /// The process dies: sockets are cut, what was queued is lost.
    pub(crate) fn restart(&mut self) -> Check {
        trace!(self, "relay: restarts");
        self.see("relay restarted");
        self.calls.restarts += 1;
        self.relay.authority = None;
        self.relay.queue.clear();
        let open: Vec<SessionId> = std::mem::take(&mut self.relay.sockets).into_keys().collect();
        for session in open {
            self.see("cut by the relay");
            let connection = &mut self.connections[session as usize];
            connection.open = false;
            connection.pools = Default::default();
            connection.up.clear();
            let kept = self.random.below(connection.down.len() + 1);
            connection.down.truncate(kept);
            connection.down.push_back(Downward::Close(1006));
        }
        Ok(())
    }
}

impl Relay {
    /// Takes note of what a commit has made true.
    pub(super) fn know(&mut self, now: u64) {
        let meta = self.authority.as_ref().and_then(|authority| authority.alive(now));
        self.expires_at = meta.and_then(|meta| meta.info.expires_at);
        // A datastore that is gone has no epoch that anybody knows.
        let nothing = Pong { epoch: Epoch([0; 8]), head: Seq::ZERO, added: 0 };
        self.pong = meta.map_or(nothing, Pong::of).to_text();
    }
}

pub(super) fn receivers(output: &Output) -> Vec<SessionId> {
    match output {
        Output::Send { to, .. } => to.clone(),
        Output::Remember { session, .. } | Output::Close { session, .. } => vec![*session],
    }
}

fn show(upward: &Upward) -> String {
    match upward {
        Upward::Open => "open".into(),
        Upward::Gone => "gone".into(),
        Upward::Frame(frame) => format!("{:?}", wire::decode_up(frame)),
    }
}

/// Whose turns a push brings, if it is one: first turn and how many.
pub(crate) fn turns_of(authors: &[ReplicaId], frame: &[u8]) -> Option<(ReplicaId, u64, u64)> {
    let Ok(Up::Push(push)) = wire::decode_up(frame) else {
        return None;
    };
    let count = wire::split_block(push.block).filter(Result::is_ok).count() as u64;
    Some((*authors.get(usize::from(push.author))?, push.first.0, count))
}
