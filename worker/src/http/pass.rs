//! How the worker tells an object what a request may do, in a header that no client's request brings.

use neap_core::authority::Admission;
use neap_http::Pass;

/// Writes what the worker has found.
pub(crate) fn write(pass: &Pass) -> String {
    let bit = |flag: bool, name: char| if flag { name } else { '-' };
    let Admission { read, write, admin, until, subject } = pass.admission;
    let flags = [bit(read, 'r'), bit(write, 'w'), bit(admin, 'a')];
    let flags = String::from_iter(flags);
    format!("{flags} {until} {subject} {} {}", pass.payer, pass.id)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(text: &str) -> Option<Pass> {
    let mut parts = text.split(' ');
    let (flags, until, subject) = (parts.next()?, parts.next()?, parts.next()?);
    let admission = Admission {
        read: flags.contains('r'),
        write: flags.contains('w'),
        admin: flags.contains('a'),
        until: until.parse().ok()?,
        subject: subject.parse().ok()?,
    };
    let payer = parts.next()?.parse().ok()?;
    Some(Pass { id: parts.next()?.into(), admission, payer })
}
