//! A server that repeats to all what it is told, and stores nothing.

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::{self, Sender},
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::Trouble;

/// Serves until it is killed; prints its address.
pub async fn serve() -> Result<(), Trouble> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}", listener.local_addr()?);
    let (said, _) = broadcast::channel(65_536);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(repeat(stream, said.clone()));
    }
}

async fn repeat(stream: TcpStream, said: Sender<Message>) -> Result<(), Trouble> {
    stream.set_nodelay(true)?;
    let (mut out, mut incoming) = accept_async(stream).await?.split();
    let mut all = said.subscribe();
    loop {
        tokio::select! {
            message = incoming.next() => match message {
                Some(Ok(message @ Message::Binary(_))) => { said.send(message)?; }
                Some(Ok(_)) => {}
                _ => return Ok(()),
            },
            message = all.recv() => out.send(message?).await?,
        }
    }
}
