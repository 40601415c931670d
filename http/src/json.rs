//! Writes JSON. Record data goes through as the text that it is.

use neap_core::value::write_string;

/// A JSON object that is being written.
#[derive(Clone, Debug, Default)]
pub struct Object {
    bytes: Vec<u8>,
}

impl Object {
    /// Begins one.
    #[must_use]
    pub fn new() -> Self {
        Object { bytes: Vec::new() }
    }

    fn name(&mut self, name: &str) {
        self.bytes.push(if self.bytes.is_empty() { b'{' } else { b',' });
        write_string(&mut self.bytes, name);
        self.bytes.push(b':');
    }

    /// A member that is a text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        write_string(&mut self.bytes, value);
        self
    }

    /// A member that is a text, or null.
    #[must_use]
    pub fn maybe_text(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// A member that is a whole number.
    #[must_use]
    pub fn number(self, name: &str, value: u64) -> Self {
        self.raw(name, &value.to_string())
    }

    /// A member that is a whole number, or null.
    #[must_use]
    pub fn maybe_number(self, name: &str, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// A member that is true or false.
    #[must_use]
    pub fn flag(self, name: &str, value: bool) -> Self {
        self.raw(name, if value { "true" } else { "false" })
    }

    /// A member whose value is JSON already.
    #[must_use]
    pub fn raw(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    /// A member that is a list of objects.
    #[must_use]
    pub fn list(mut self, name: &str, values: impl Iterator<Item = Object>) -> Self {
        self.name(name);
        let mut mark = b'[';
        for value in values {
            self.bytes.push(mark);
            mark = b',';
            self.bytes.append(&mut value.end());
        }
        if mark == b'[' {
            self.bytes.push(b'[');
        }
        self.bytes.push(b']');
        self
    }

    /// The bytes of the members so far.
    pub(crate) fn so_far(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of the whole.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        if self.bytes.is_empty() {
            self.bytes.push(b'{');
        }
        self.bytes.push(b'}');
        self.bytes
    }
}
