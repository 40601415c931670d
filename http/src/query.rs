//! The query of a URL.

use neap_core::{id::Seq, limits::LIST_ROWS_MAX};

use crate::{Answer, input::whole_number};

/// The parameters of a request.
pub(crate) struct Query<'a> {
    text: &'a str,
}

impl<'a> Query<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Query { text }
    }

    /// The value of a parameter; the first, where it comes several times.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.text.as_bytes());
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }

    /// A seq; zero where there is none.
    pub(crate) fn seq(&self, name: &str) -> Result<Seq, Answer> {
        let Some(text) = self.text(name) else { return Ok(Seq::ZERO) };
        whole_number(&text).map(Seq).ok_or_else(|| {
            let detail = format!("{name} is a whole number from 0 to 2^53-1");
            Answer::problem(400, "invalid-query", &detail)
        })
    }

    /// The size of a page, `default` where the request does not say.
    pub(crate) fn limit(&self, default: usize) -> Result<usize, Answer> {
        let Some(text) = self.text("limit") else { return Ok(default) };
        let limit = whole_number(&text).and_then(|limit| usize::try_from(limit).ok());
        limit.filter(|limit| (1..=LIST_ROWS_MAX).contains(limit)).ok_or_else(|| {
            let detail = format!("limit is a whole number from 1 to {LIST_ROWS_MAX}");
            Answer::problem(400, "invalid-query", &detail)
        })
    }
}
