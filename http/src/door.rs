//! Lets requests in: route, method, origin and token, before anybody's datastore is touched.

use neap_core::{
    authority::{Admission, Authority, SessionId},
    rate::{Buckets, Cost, Rates},
    storage::Storage,
};

use crate::{
    Answer, Head, Settings,
    admit::{Denied, Grant, Need, allows_origin, suffices},
    datastores::Opening,
    openapi,
    route::{Method, NoRoute, Route, Target},
};

/// What a request that goes no further is answered. Not always a refusal: what needs no datastore is
/// answered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// This answer.
    Answer(Answer),
    /// The socket is accepted only to be closed with a code, which a browser shows, as it does not show
    /// the status of a failed upgrade.
    Socket {
        /// The close code.
        code: u16,
        /// The close reason.
        reason: &'static str,
        /// Whether the client has offered our subprotocol, so that the handshake may name it.
        speaks_ours: bool,
    },
}

impl Denial {
    /// The request for a socket is none that can be met.
    const fn bad_socket(speaks_ours: bool) -> Denial {
        Denial::Socket { code: 4400, reason: "bad-request", speaks_ours }
    }
}

impl From<Answer> for Denial {
    fn from(answer: Answer) -> Self {
        Denial::Answer(answer)
    }
}

/// A request that is let in as far as its head tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    target: Target,
    id: String,
    need: Need,
    grant: Grant,
    /// Stands for the client's address, in open mode.
    client: Option<u64>,
    manner: Manner,
    /// Whether it may make a datastore.
    opens: bool,
    now: u64,
}

/// A request that is let in, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The datastore.
    pub id: String,
    /// What the request may do with it.
    pub admission: Admission,
    /// Whose speed it counts for: stands for the token's subject or, in open mode, for the address.
    pub payer: u64,
}

/// Lets a request in at the moment `now`, in milliseconds since 1970.
///
/// # Errors
/// What it is answered instead.
pub fn enter(settings: &Settings, head: &Head, now: u64) -> Result<Visit, Denial> {
    let route = Route::parse(head.rest().unwrap_or(""));
    let manner = Manner::of(&route, head);
    if !allows_origin(settings, head.header("Origin")) {
        return Err(manner.deny(Denied::Forbidden, "this origin may not connect"));
    }
    if head.method == Some(Method::Options) {
        return Err(Answer::preflight(route.ok().map(|route| route.allow())).into());
    }
    let route = route.map_err(|none| manner.turn_away(none))?;
    let Some(need) = head.method.and_then(|method| route.need(method)) else {
        return Err(Answer::wrong_method(route.allow()).into());
    };
    let Route { target, id } = route;
    if target == Target::Health {
        return Err(Answer::health().into());
    }
    if target == Target::Openapi {
        return Err(openapi::answer(settings).into());
    }
    let grant = Grant::check(settings, head.token(), now)
        .map_err(|denied| manner.deny(denied, "a valid token is needed"))?;
    if target == Target::Socket && !head.is_upgrade() {
        let detail = "this is a WebSocket; ask for an upgrade";
        return Err(Answer::problem(426, "upgrade-required", detail).into());
    }
    if manner == (Manner::Socket { speaks_ours: false }) {
        return Err(Denial::bad_socket(false));
    }
    let client = settings.secrets.is_none().then(|| head.client());
    let is_post = head.method == Some(Method::Post);
    let opens = matches!(target, Target::Socket | Target::Import)
        || is_post && matches!(target, Target::Datastores | Target::Datastore);
    Ok(Visit { target, id, need, grant, client, manner, opens, now })
}

impl Visit {
    /// Lets it in to the datastore that its path names, or its body; where neither does, to one with
    /// the id that `mint` makes. Each datastore counts for itself how fast its clients are; how fast they open new ones
    /// is counted here, in `openings`, which outlives the visit.
    ///
    /// # Errors
    /// What it is answered instead.
    pub fn admit(
        self,
        settings: &Settings,
        openings: &mut Buckets,
        body: &[u8],
        mint: impl FnOnce() -> String,
    ) -> Result<Pass, Denial> {
        let id = if self.target == Target::Datastores {
            Opening::parse(body)?.id().map_or_else(mint, String::from)
        } else {
            self.id.clone()
        };
        let admission = self.grant.to(&id).and_then(|admission| {
            suffices(&admission, self.need)?;
            Ok(admission)
        });
        match admission {
            Ok(admission) => {
                let payer = self.client.unwrap_or(admission.subject);
                self.pay(settings, openings, payer)?;
                Ok(Pass { id, admission, payer })
            }
            Err(denied) => Err(self.manner.deny(denied, "the token does not allow this")),
        }
    }

    /// Takes from a client's bucket what may make a datastore. One that is there already is opened by many, but not by
    /// so many at one address.
    fn pay(&self, settings: &Settings, openings: &mut Buckets, payer: u64) -> Result<(), Denial> {
        if !self.opens {
            return Ok(());
        }
        let rates = Rates { mutations: settings.openings, ..Rates::default() };
        let (cost, now) = (Cost { mutations: 1, bytes: 0 }, self.now.saturating_mul(1_000));
        let paid = openings.take(&rates, payer, cost, now, 0);
        paid.map_err(|micros| self.manner.slow_down(micros))
    }

    /// Whether it asks for the socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.target == Target::Socket
    }
}

/// Takes another token of a session's bearer at the moment `now`, in milliseconds since 1970: what the session
/// says from here on is judged by that. Gives until when it holds, and `None` where the session has been closed
/// for saying too much.
///
/// # Errors
/// The code and the reason that the shell is to close the socket with.
pub fn renew<S: Storage>(
    machine: &mut Authority<S>,
    settings: &Settings,
    id: &str,
    session: SessionId,
    token: &str,
    now: u64,
) -> Option<Result<u64, (u16, &'static str)>> {
    // Before it is looked at, which costs more than to count it.
    machine.bear(session, token.len(), now).then(|| {
        let admission = readmit(settings, id, token, now)?;
        let is_same = machine.readmit(session, admission);
        let (status, reason) = Denied::Unauthorized.status();
        is_same.then_some(admission.until).ok_or((status.saturating_add(CLOSE_CODES), reason))
    })
}

/// Admits the bearer of another token on a socket that is open.
fn readmit(
    settings: &Settings,
    id: &str,
    token: &str,
    now: u64,
) -> Result<Admission, (u16, &'static str)> {
    let admitted = Grant::check(settings, Some(token), now).and_then(|grant| grant.to(id));
    let admitted = admitted.and_then(|admission| {
        suffices(&admission, Need::Read)?;
        Ok(admission)
    });
    admitted.map_err(|denied| {
        let (status, reason) = denied.status();
        (status.saturating_add(CLOSE_CODES), reason)
    })
}

/// What a status is higher by as a close code.
const CLOSE_CODES: u16 = 4_000;

impl Denied {
    /// The status and the public code.
    fn status(self) -> (u16, &'static str) {
        match self {
            Denied::Unauthorized => (401, "unauthorized"),
            Denied::Elsewhere => (404, "not-found"),
            Denied::Forbidden => (403, "forbidden"),
        }
    }
}

/// How somebody wants to be told no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Request,
    Socket { speaks_ours: bool },
}

impl Manner {
    fn of(route: &Result<Route, NoRoute>, head: &Head) -> Manner {
        let is_socket = match route {
            Ok(route) => route.target == Target::Socket,
            // A browser hides what a failed upgrade is answered.
            Err(_) => head.rest().is_some_and(|rest| rest.ends_with("/socket")),
        };
        if is_socket && head.is_upgrade() {
            Manner::Socket { speaks_ours: head.speaks_ours() }
        } else {
            Manner::Request
        }
    }

    /// Says that it is too fast, by so many microseconds.
    fn slow_down(self, micros: u64) -> Denial {
        match self {
            Manner::Socket { speaks_ours } => {
                Denial::Socket { code: 4429, reason: "rate-limited", speaks_ours }
            }
            Manner::Request => Answer::too_fast(micros.div_ceil(1_000_000).max(1)).into(),
        }
    }

    /// Says that there is nothing of such a name.
    fn turn_away(self, none: NoRoute) -> Denial {
        match (self, none) {
            (Manner::Socket { speaks_ours }, NoRoute::Name) => Denial::bad_socket(speaks_ours),
            _ => none.answer().into(),
        }
    }

    /// Says no: to a request with a status, to a socket with a close code.
    fn deny(self, denied: Denied, detail: &str) -> Denial {
        let (status, code) = denied.status();
        match self {
            Manner::Socket { speaks_ours } => {
                let code_of_close = status.saturating_add(CLOSE_CODES);
                Denial::Socket { code: code_of_close, reason: code, speaks_ours }
            }
            Manner::Request if status == 404 => Answer::absent().into(),
            Manner::Request => Answer::problem(status, code, detail).into(),
        }
    }
}

impl NoRoute {
    fn answer(self) -> Answer {
        match self {
            NoRoute::Unknown => Answer::nothing_here(),
            NoRoute::Name => {
                Answer::problem(400, "invalid-name", "a name is 1 to 64 of A-Z a-z 0-9 _ -")
            }
            NoRoute::Key => Answer::problem(
                400,
                "invalid-key",
                "a key is a text of 1 to 512 bytes of UTF-8, percent-encoded",
            ),
        }
    }
}

/// The headers that let pages of other origins read an answer to a request of this origin.
#[must_use]
pub fn share(settings: &Settings, origin: Option<&str>) -> Vec<(&'static str, String)> {
    let mut headers = vec![("Access-Control-Expose-Headers", "ETag, Retry-After".into())];
    if settings.origins.is_none() {
        headers.push(("Access-Control-Allow-Origin", "*".into()));
        return headers;
    }
    if let Some(origin) = origin.filter(|origin| allows_origin(settings, Some(origin))) {
        headers.push(("Access-Control-Allow-Origin", origin.into()));
    }
    headers.push(("Vary", "Origin".into()));
    headers
}
