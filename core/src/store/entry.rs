//! One datastore in memory: its authority, and what its sessions are restored with.

use alloc::{collections::BTreeMap, vec::Vec};

use super::Made;
use crate::{
    authority::{Authority, Output, SessionId, Settings, Trouble},
    storage::Transact,
};

/// One datastore in memory.
#[derive(Debug)]
pub(super) struct Entry<S: Transact> {
    /// Loaded when it is needed; thrown away after any trouble, since its memory may then be ahead of
    /// what was rolled back.
    authority: Option<Authority<S>>,
    /// What each session is restored with after trouble.
    sessions: BTreeMap<SessionId, Vec<u8>>,
    /// In milliseconds since 1970.
    pub(super) used_at: u64,
}

impl<S: Transact> Default for Entry<S> {
    fn default() -> Self {
        Entry { authority: None, sessions: BTreeMap::new(), used_at: 0 }
    }
}

impl<S: Transact> Entry<S> {
    pub(super) fn authority(&self) -> Option<&Authority<S>> {
        self.authority.as_ref()
    }

    /// Whether there is neither a datastore nor anybody who waits for one.
    pub(super) fn is_empty(&self) -> bool {
        let is_absent = |authority: &Authority<S>| {
            authority.meta().is_none() && authority.upkeep_due().is_none()
        };
        self.sessions.is_empty() && self.authority.as_ref().is_none_or(is_absent)
    }

    pub(super) fn is_wanted(&self, before: u64) -> bool {
        !self.sessions.is_empty() || self.used_at >= before
    }

    /// Forgets a session. Tells whether a commit is wanted for those who stay.
    pub(super) fn lose(&mut self, session: SessionId, now: u64) -> bool {
        self.sessions.remove(&session);
        let Some(authority) = &mut self.authority else { return false };
        authority.disconnect(session, now);
        authority.wants_commit()
    }

    pub(super) fn read<T>(
        &mut self,
        settings: Settings,
        storage: Made<'_, S>,
        told: &mut Vec<Output>,
        look: impl FnOnce(&Authority<S>) -> Result<T, Trouble<S::Error>>,
    ) -> Result<T, Trouble<S::Error>> {
        let authority = self.take(settings, storage, told)?;
        let seen = look(&authority)?;
        self.authority = Some(authority);
        Ok(seen)
    }

    pub(super) fn run<T>(
        &mut self,
        settings: Settings,
        storage: Made<'_, S>,
        told: &mut Vec<Output>,
        act: impl FnOnce(&mut Authority<S>) -> Result<T, Trouble<S::Error>>,
    ) -> Result<T, Trouble<S::Error>> {
        let mut authority = self.take(settings, storage, told)?;
        authority.storage().begin()?;
        let done = act(&mut authority).and_then(|done| {
            let outputs = authority.commit()?;
            authority.storage().commit()?;
            Ok((done, outputs))
        });
        match done {
            Ok((done, outputs)) => {
                self.authority = Some(authority);
                self.keep(outputs, told);
                Ok(done)
            }
            Err(trouble) => {
                authority.storage().roll_back();
                Err(trouble)
            }
        }
    }

    /// Takes the authority out, built from what is stored and remembered where there is none.
    fn take(
        &mut self,
        settings: Settings,
        storage: Made<'_, S>,
        told: &mut Vec<Output>,
    ) -> Result<Authority<S>, Trouble<S::Error>> {
        if let Some(authority) = self.authority.take() {
            return Ok(authority);
        }
        let mut authority = Authority::load(storage()?, settings)?;
        for (session, bytes) in &self.sessions {
            authority.restore(*session, bytes);
        }
        if !self.sessions.is_empty() {
            // Nothing was put in, so this writes nothing: it tells whose life is over.
            let outputs = authority.commit()?;
            self.keep(outputs, told);
        }
        Ok(authority)
    }

    /// Remembers what is to be remembered, and passes the rest on.
    fn keep(&mut self, outputs: Vec<Output>, told: &mut Vec<Output>) {
        for output in outputs {
            match output {
                Output::Remember { session, bytes } => {
                    self.sessions.insert(session, bytes);
                }
                Output::Close { session, .. } => {
                    self.sessions.remove(&session);
                    told.push(output);
                }
                Output::Send { .. } => told.push(output),
            }
        }
    }
}
