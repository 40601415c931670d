//! The relay of Neap without Cloudflare: one process that serves what the Durable Objects serve, with
//! one SQLite file for each datastore.
//!
//! HTTP is `neap_http`'s, the datastores are a [`Store`](neap_core::store::Store)'s; this crate carries
//! bytes between them, the sockets and the disk. Nothing that was answered 2xx is lost, whatever is
//! killed afterwards: a group is flushed to the disk before anybody hears of it.

mod archive;
mod args;
mod data;
mod http;
mod links;
mod payers;
mod queue;
mod relay;
mod rows;
mod shard;
mod socket;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
};

use args::{Args, USAGE};
use axum::Router;
use neap_http::Settings;
use relay::Relay;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help") {
        let _ = writeln!(io::stdout(), "{USAGE}");
        return ExitCode::SUCCESS;
    }
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(error) => {
            complain(&format!("{error}\n{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match serve(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Serves until it is told to end. Nobody's leave is taken: what was answered is on the disk, and who
/// was connected comes again.
async fn serve(args: &Args) -> Result<(), String> {
    let address = SocketAddr::from((args.host, args.port));
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| format!("{address}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let settings = Settings::read(|name| std::env::var(name).ok(), complain);
    let (relay, end) = Relay::start(args, settings)?;
    let relay = Arc::new(relay);
    let _ = writeln!(io::stdout(), "neap server ready on http://{address}");
    let app = Router::new().fallback(http::handle).with_state(relay);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let ended = tokio::select! {
        ended = axum::serve(listener, app) => ended.map_err(|error| error.to_string()),
        () = told_to_end() => Ok(()),
    };
    end.wait();
    ended
}

async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Tells the operator.
fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "neap server: {what}");
}
