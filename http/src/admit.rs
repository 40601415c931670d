//! Who may: tokens, scopes, origins. Nothing else in the relay decides about that.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use neap_core::{authority::Admission, limits::TOKEN_BYTES_MAX};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{input::Named, settings::Settings};

/// The subprotocol that carries a token begins so.
pub(crate) const TOKEN_PROTOCOL: &str = "neap.token.";

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No token, or none that counts.
    Unauthorized,
    /// The token is for another datastore, which looks as if this one were absent.
    Elsewhere,
    /// The token does not reach that far.
    Forbidden,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To read and to subscribe.
    Read,
    /// To mutate, and to create temporary datastores.
    Write,
    /// To change and delete datastores.
    Admin,
}

/// What a token grants, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The datastore; `None` for all of them.
    datastore: Option<String>,
    admission: Admission,
}

impl Grant {
    /// Looks at the bearer's token. In open mode anybody may do anything.
    pub(crate) fn check(
        settings: &Settings,
        token: Option<&str>,
        now: u64,
    ) -> Result<Self, Denied> {
        let Some(secrets) = &settings.secrets else {
            return Ok(Grant { datastore: None, admission: Admission::OPEN });
        };
        let token = token.filter(|token| token.len() <= TOKEN_BYTES_MAX);
        let claims = token.and_then(|token| verify(secrets, token)).ok_or(Denied::Unauthorized)?;
        claims.grant(now).ok_or(Denied::Unauthorized)
    }

    /// The admission to one datastore.
    pub(crate) fn to(&self, id: &str) -> Result<Admission, Denied> {
        match &self.datastore {
            Some(only) if only != id => Err(Denied::Elsewhere),
            Some(_) | None => Ok(self.admission),
        }
    }
}

/// Whether an admission is enough.
pub(crate) fn suffices(admission: &Admission, need: Need) -> Result<(), Denied> {
    let enough = match need {
        Need::Read => admission.read,
        Need::Write => admission.write,
        Need::Admin => admission.admin,
    };
    if enough { Ok(()) } else { Err(Denied::Forbidden) }
}

/// Whether a browser's page may talk to the relay. What is no browser has no origin, and may.
pub(crate) fn allows_origin(settings: &Settings, origin: Option<&str>) -> bool {
    match (&settings.origins, origin) {
        (Some(allowed), Some(origin)) => allowed.iter().any(|one| one == origin),
        (None, _) | (_, None) => true,
    }
}

/// The head of a JWT (RFC 7519, section 5).
#[derive(Deserialize)]
struct Head {
    alg: String,
    /// Extensions that must be understood (RFC 7515, section 4.1.11); none is.
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    ds: String,
    exp: f64,
    nbf: Option<f64>,
    #[serde(default)]
    scope: Vec<String>,
    #[serde(default)]
    sub: String,
}

impl Claims {
    fn grant(&self, now: u64) -> Option<Grant> {
        // Whole milliseconds; a cast from a float saturates, and makes zero of what is no number.
        let ends = (self.exp * 1_000.0) as u64;
        let begins = (self.nbf.unwrap_or(0.0) * 1_000.0) as u64;
        if now >= ends || now < begins {
            return None;
        }
        let has = |name: &str| self.scope.iter().any(|scope| scope == name);
        // Each scope holds what stands below it.
        let admin = has("admin");
        let write = admin || has("write");
        let read = write || has("read");
        Some(Grant {
            datastore: (self.ds != "*").then(|| self.ds.clone()),
            admission: Admission {
                read,
                write,
                admin,
                until: ends.saturating_sub(1),
                subject: subject(&self.sub),
            },
        })
    }
}

/// Checks the signature under each secret, in constant time, with the one algorithm there is.
fn verify(secrets: &[String], token: &str) -> Option<Claims> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let Named(head) =
        serde_json::from_slice::<Named<Head>>(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    if head.alg != "HS256" || head.crit.is_some() {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let fits = |secret: &String| {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok();
        mac.is_some_and(|mac| mac.chain_update(signed).verify_slice(&signature).is_ok())
    };
    if !secrets.iter().any(fits) {
        return None;
    }
    let claims = serde_json::from_slice::<Named<Claims>>(&URL_SAFE_NO_PAD.decode(claims).ok()?);
    claims.map(|Named(claims)| claims).ok()
}

/// Stands for a subject in the ledger, or for an address.
pub(crate) fn subject(name: &str) -> u64 {
    let hash = Sha256::digest(name.as_bytes());
    hash.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
