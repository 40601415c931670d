//! The whole server: its shards, and who asks which.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use neap_core::{id::Name, limits::GROUP_MAX};
use neap_http::{Buckets, Settings};
use tokio::{
    runtime::Handle,
    sync::{
        mpsc::{Sender, channel},
        watch,
    },
};
use tower_http::services::ServeDir;

use crate::{
    args::Args,
    data::Data,
    queue::{Job, What},
    shard::Shard,
};

/// The whole server.
pub(crate) struct Relay {
    pub(crate) settings: Arc<Settings>,
    /// The demo.
    pub(crate) files: Option<ServeDir>,
    /// The header in which a proxy tells the client's address.
    pub(crate) client_header: Option<String>,
    /// How fast clients have opened datastores lately.
    pub(crate) openings: Mutex<Buckets>,
    shards: Vec<Sender<Job>>,
}

/// What ends the shards.
pub(crate) struct End {
    threads: Vec<JoinHandle<()>>,
    end: watch::Sender<()>,
}

impl End {
    /// Ends the shards when they have done what they are doing, and waits for them.
    pub(crate) fn wait(self) {
        drop(self.end);
        for thread in self.threads {
            // One that has panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Relay {
    /// Takes the data and starts a shard for each processor.
    ///
    /// # Errors
    /// In words for the operator.
    pub(crate) fn start(args: &Args, settings: Settings) -> Result<(Relay, End), String> {
        let settings = Arc::new(settings);
        let data = Arc::new(Data::take(&args.data)?);
        let count = thread::available_parallelism().map_or(1, usize::from);
        let mut shares = vec![Vec::new(); count];
        for id in data.ids().map_err(|error| format!("{}: {error}", args.data.display()))? {
            if let Some(share) = shares.get_mut(place(&id, count)) {
                share.push(id);
            }
        }
        let (end, ended) = watch::channel(());
        let (mut shards, mut threads) = (Vec::new(), Vec::new());
        for ids in shares {
            // A full group may wait while one is flushed; who asks for more has to wait itself.
            let (sender, jobs) = channel(GROUP_MAX);
            let (settings, data, ended, handle) =
                (Arc::clone(&settings), Arc::clone(&data), ended.clone(), Handle::current());
            let run = move || Shard::new(settings, data, ids).run(&handle, jobs, ended);
            let thread = thread::Builder::new().name("neap-shard".into()).spawn(run);
            threads.push(thread.map_err(|error| error.to_string())?);
            shards.push(sender);
        }
        let relay = Relay {
            shards,
            settings,
            files: args.www.as_ref().map(ServeDir::new),
            client_header: args.client_header.clone(),
            openings: Mutex::default(),
        };
        Ok((relay, End { threads, end }))
    }

    /// Asks the shard of a datastore, waiting while too much waits for it. One that is gone answers
    /// nothing.
    pub(crate) async fn ask(&self, id: Name, what: What) {
        if let Some(shard) = self.shards.get(place(&id, self.shards.len())) {
            let _ = shard.send(Job { id, what }).await;
        }
    }
}

/// Which of so many shards a datastore belongs to, as long as this process lives.
fn place(id: &Name, count: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let count = u64::try_from(count).unwrap_or(1).max(1);
    usize::try_from(hasher.finish() % count).unwrap_or(0)
}
