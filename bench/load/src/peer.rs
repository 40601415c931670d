//! One client: says mutations that carry a moment, hears the moments of everyone's.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use neap_core::{
    datastore::{Kind, Options},
    id::{ReplicaId, Seq, Turn},
    limits::READ_STEP_BYTES,
    mutation::{Condition, Op, Outcome},
    wire::{self, Cursor, Down, Hello, Introduction, Push, Role, Settled, Up, VERSION},
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
    /// The moments of what it said, turn by turn.
    stamps: Vec<u64>,
    /// The seqs that its mutations took in Neap's order, with their moments.
    pub placed: Vec<(u64, u64)>,
}

/// What one frame has brought.
#[derive(Default)]
pub struct News {
    /// The moments of the mutations that it tells, where frames have no order.
    pub moments: Vec<u64>,
    /// The rows of Neap that it tells.
    pub rows: u64,
    /// How far it has led in Neap's order.
    pub span: Option<Span>,
}

/// A step along Neap's order: it makes known all that lies on it, though of several mutations of a record only the
/// last is told.
#[derive(Clone, Copy)]
pub struct Span {
    pub from: u64,
    pub to: u64,
    /// Whether it came by pages that the hearer asked for, having been left behind.
    pub is_paged: bool,
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
        let head = Seq::ZERO;
        let (stamps, placed) = (Vec::new(), Vec::new());
        let mut peer =
            Peer { protocol, socket, name, said: 0, settled: 0, unread: 0, head, stamps, placed };
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
        self.stamps.push(stamp);
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

    /// Waits for the next frame and gives what it has brought.
    pub async fn hear(&mut self) -> Result<News, Trouble> {
        let bytes = self.receive().await?;
        match self.protocol {
            Protocol::Neap => return self.read(&bytes).await,
            Protocol::Raw => {
                self.settled += dialect::count(&bytes, &format!("{:016x}", self.name));
            }
            Protocol::Tldraw => self.settled += dialect::count(&bytes, "push_result"),
            Protocol::Yjs | Protocol::TinyBase => {}
        }
        Ok(News { moments: dialect::moments(&bytes), ..News::default() })
    }

    async fn read(&mut self, bytes: &[u8]) -> Result<News, Trouble> {
        let (down, changes) = wire::decode_down(bytes).map_err(|_| "a bad frame")?;
        let mut news = News::default();
        let mut ask = None;
        match down {
            Down::Delta(delta) => {
                news.span = self.step(delta.to, false);
                self.place(&delta.settled);
            }
            // Who reads too slowly is told no more until it asks.
            Down::Behind => ask = Some(Cursor { after: self.head, floor: self.head }),
            Down::Page(page) => match page.last {
                Some(last) => {
                    news.span = self.step(page.head, true);
                    self.place(&last.settled);
                }
                None => ask = Some(page.cursor),
            },
            Down::Welcome(_) | Down::Pool(_) | Down::Presence(_) | Down::Rates(_) => {}
        }
        news.rows = changes.rows().filter(Result::is_ok).count() as u64;
        // Whoever is dropped while it sends has taken in all of the frame but this.
        self.unread += bytes.len() as u64;
        if let Some(cursor) = ask {
            self.send(wire::encode_up(&Up::Next(cursor))).await?;
        }
        if self.unread >= READ_STEP_BYTES {
            let read = std::mem::take(&mut self.unread);
            self.send(wire::encode_up(&Up::Read(read))).await?;
        }
        Ok(news)
    }

    fn step(&mut self, to: Seq, is_paged: bool) -> Option<Span> {
        let from = std::mem::replace(&mut self.head, to);
        (from < to).then_some(Span { from: from.0, to: to.0, is_paged })
    }

    /// Takes the outcomes of its own turns; what was told before says nothing new.
    fn place(&mut self, all: &[Settled]) {
        for Settled { turn, outcome, .. } in all.iter().filter(|one| one.turn.0 > self.settled) {
            let stamp = usize::try_from(turn.0 - 1).ok().and_then(|place| self.stamps.get(place));
            if let (Outcome::Accepted(seq), Some(stamp)) = (outcome, stamp) {
                self.placed.push((seq.0, *stamp));
            }
        }
        self.settled = all.iter().fold(self.settled, |settled, one| settled.max(one.turn.0));
    }

    /// Hears on until all that it said is settled; gives up when it hears nothing for so long.
    pub async fn settle(&mut self, patience: Duration) -> Result<(), Trouble> {
        while self.protocol.acknowledges() && self.settled < self.said {
            time::timeout(patience, self.hear()).await.map_err(|_| "not settled in time")??;
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
