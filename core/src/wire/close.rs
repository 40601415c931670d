//! Why a connection ends, as its close frame says it.

/// Why a session is closed: the code and reason of the WebSocket's close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The peer broke the protocol.
    BadRequest,
    /// Its admission has run out.
    Unauthorized,
    /// It may not do this.
    Forbidden,
    /// Kind or primary field differ from those of the datastore.
    Options,
    /// The datastore is gone.
    Expired,
    /// It has not said Hello in good time.
    TooSlow,
    /// It ignores the rates that Welcome has told.
    RateLimited,
    /// Another owner speaks for its replica.
    Superseded,
    /// The datastore is being imported: come again later.
    Importing,
}

impl Close {
    /// The close code.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Close::BadRequest => 4400,
            Close::Unauthorized => 4401,
            Close::Forbidden => 4403,
            Close::TooSlow => 4408,
            Close::Options => 4409,
            Close::Expired => 4410,
            Close::Superseded => 4411,
            Close::RateLimited => 4429,
            Close::Importing => 1013,
        }
    }

    /// The reason, which is also the public code.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Close::BadRequest => "bad-request",
            Close::Unauthorized => "unauthorized",
            Close::Forbidden => "forbidden",
            Close::TooSlow => "too-slow",
            Close::Options => "options-mismatch",
            Close::Expired => "expired",
            Close::Superseded => "superseded",
            Close::RateLimited => "rate-limited",
            Close::Importing => "importing",
        }
    }
}
