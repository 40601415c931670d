//! One client: says mutations that carry a moment, hears the moments of everyone's.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use neap_core::{
    datastore::{Kind, Options},
    id::{ReplicaId, Seq, Turn},
    limits::READ_STEP_BYTES,
    mutation::{Condition, Op},
    wire::{self, Cursor, Down, Hello, Introduction, Push, Role, Up, VERSION},
};
use tokio::{net::TcpStream, time};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::{
    Trouble,
    dialect::{self, Protocol, Said},
};

/// One connection.
pub struct Peer {
    protocol: Protocol,
    socket: WebSocketStream<TcpStream>,
    /// Names its records and tells its own messages from those of others.
    name: u64,
    said: u64,
    settled: u64,
    /// Bytes of frames heard and not yet spoken of.
    unread: u64,
    /// What it holds of Neap's order.
    head: Seq,
}

impl Peer {
    /// Connects, and waits until all that is there has been heard.
    pub async fn connect(protocol: Protocol, url: &str) -> Result<Peer, Trouble> {
        let mut request = url.into_client_request()?;
        if protocol == Protocol::Neap {
            let offered = HeaderValue::from_static("neap.v1");
            request.headers_mut().insert("sec-websocket-protocol", offered);
        }
        let stream =
            TcpStream::connect(request.uri().authority().ok_or("no host")?.as_str()).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = client_async(request, stream).await?;
        let name = fresh();
        let mut peer =
            Peer { protocol, socket, name, said: 0, settled: 0, unread: 0, head: Seq::ZERO };
        match protocol {
            Protocol::Neap => peer.greet().await?,
            Protocol::Tldraw => {
                peer.socket.send(dialect::tldraw_hello()).await?;
                while dialect::count(&peer.receive().await?, r#""type":"connect""#) == 0 {}
            }
            Protocol::Raw | Protocol::Yjs | Protocol::TinyBase => {}
        }
        Ok(peer)
    }

    async fn greet(&mut self) -> Result<(), Trouble> {
        let mut id = [7; 16];
        id[..8].copy_from_slice(&self.name.to_le_bytes());
        let me = Introduction {
            id: ReplicaId(id),
            role: Role::Speaker,
            generation: 1,
            attempt: 1,
            birth: None,
            acked: Turn::ZERO,
        };
        let hello = Hello {
            version: VERSION,
            options: Options { kind: Some(Kind::Permanent), ..Options::default() },
            epoch: None,
            cursor: Cursor { after: Seq::ZERO, floor: Seq::ZERO },
            authors: vec![me],
        };
        self.send(wire::encode_up(&Up::Hello(hello))).await?;
        loop {
            let bytes = self.receive().await?;
            let (down, _) = wire::decode_down(&bytes).map_err(|_| "a bad frame")?;
            if let Down::Page(page) = down {
                if page.last.is_some() {
                    self.head = page.head;
                    return Ok(());
                }
                self.send(wire::encode_up(&Up::Next(page.cursor))).await?;
            }
        }
    }

    /// Says one mutation of about 100 bytes that carries a moment.
    pub async fn say(&mut self, stamp: u64) -> Result<(), Trouble> {
        self.said += 1;
        let said = Said { writer: self.name, turn: self.said, stamp };
        let message = match self.protocol {
            Protocol::Neap => self.push(&said),
            Protocol::Raw => Message::binary(said.json().into_bytes()),
            Protocol::Yjs => said.yjs(),
            Protocol::TinyBase => said.tinybase(),
            Protocol::Tldraw => said.tldraw(),
        };
        Ok(self.socket.send(message).await?)
    }

    fn push(&self, said: &Said) -> Message {
        let (key, data) = (said.key(), said.json());
        let op = Op::Set { collection: "tasks", key: &key, data: &data, only_if: Condition::None };
        let mut block = Vec::new();
        wire::append_to_block(&mut block, &wire::encode_ops(&[op]));
        let push =
            Push { author: 0, acked: Turn(self.settled), first: Turn(said.turn), block: &block };
        Message::binary(wire::encode_up(&Up::Push(push)))
    }

    /// Waits for the next frame and gives the moments in it.
    pub async fn hear(&mut self) -> Result<Vec<u64>, Trouble> {
        let bytes = self.receive().await?;
        match self.protocol {
            Protocol::Neap => return self.read(&bytes).await,
            Protocol::Raw => {
                self.settled += dialect::count(&bytes, &format!("{:016x}", self.name));
            }
            Protocol::Tldraw => self.settled += dialect::count(&bytes, "push_result"),
            Protocol::Yjs | Protocol::TinyBase => {}
        }
        Ok(dialect::moments(&bytes))
    }

    async fn read(&mut self, bytes: &[u8]) -> Result<Vec<u64>, Trouble> {
        self.unread += bytes.len() as u64;
        if self.unread >= READ_STEP_BYTES {
            let read = std::mem::take(&mut self.unread);
            self.send(wire::encode_up(&Up::Read(read))).await?;
        }
        let (down, changes) = wire::decode_down(bytes).map_err(|_| "a bad frame")?;
        let mut settled = Vec::new();
        match down {
            Down::Delta(delta) => (self.head, settled) = (delta.to, delta.settled),
            // Who reads too slowly is told no more until it asks.
            Down::Behind => {
                let here = Cursor { after: self.head, floor: self.head };
                self.send(wire::encode_up(&Up::Next(here))).await?;
            }
            Down::Page(page) => match page.last {
                Some(last) => (self.head, settled) = (page.head, last.settled),
                None => self.send(wire::encode_up(&Up::Next(page.cursor))).await?,
            },
            Down::Welcome(_) | Down::Pool(_) | Down::Presence(_) | Down::Rates(_) => {}
        }
        for one in settled {
            self.settled = self.settled.max(one.turn.0);
        }
        Ok(changes
            .rows()
            .filter_map(|row| row.ok()?.data)
            .flat_map(|data| dialect::moments(data.as_bytes()))
            .collect())
    }

    /// Hears on until all that it said is settled.
    pub async fn settle(&mut self, patience: Duration) -> Result<(), Trouble> {
        let end = Instant::now() + patience;
        while self.protocol.acknowledges() && self.settled < self.said {
            time::timeout_at(end.into(), self.hear())
                .await
                .map_err(|_| "not settled in time")??;
        }
        Ok(())
    }

    async fn send(&mut self, frame: Vec<u8>) -> Result<(), Trouble> {
        Ok(self.socket.send(Message::Binary(frame.into())).await?)
    }

    async fn receive(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            match self.socket.next().await.ok_or("the socket was closed")?? {
                Message::Binary(bytes) => return Ok(bytes.into()),
                Message::Text(text) => return Ok(text.as_bytes().to_vec()),
                Message::Close(why) => return Err(format!("the socket was closed: {why:?}").into()),
                _ => {}
            }
        }
    }
}

/// A number that no other peer of this machine has had.
fn fresh() -> u64 {
    use std::{
        hash::{BuildHasher, RandomState},
        sync::atomic::{AtomicU64, Ordering},
    };
    static NEXT: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed))
}
