//! The items of a reply that may have many.

use wire::Reply;

use crate::Context;
use crate::error::{Outcome, Stop};

/// Collects the items of a reply and refuses once they take more memory than a reply may.
pub(crate) struct Items {
    items: Vec<Reply>,
    bytes: usize,
    max_bytes: usize,
    /// What is too long, and what to do instead.
    words: [&'static str; 2],
}

impl Items {
    /// `subject` is what would be too long, `advice` what to do instead.
    pub(crate) fn new(context: &Context<'_>, subject: &'static str, advice: &'static str) -> Self {
        Self {
            items: Vec::new(),
            bytes: 0,
            max_bytes: context.max_reply_bytes,
            words: [subject, advice],
        }
    }

    pub(crate) fn push(&mut self, item: Reply) -> Outcome<()> {
        self.bytes = self.bytes.saturating_add(memory_bytes(&item));
        if self.bytes > self.max_bytes {
            let ([subject, advice], max) = (self.words, self.max_bytes);
            return Err(Stop::Refuse(Reply::error(format!(
                "ERR {subject} would take more than {max} bytes: {advice}"
            ))));
        }
        self.items.push(item);
        Ok(())
    }

    pub(crate) fn into_reply(self) -> Reply {
        Reply::Array(self.items)
    }
}

/// What `reply` takes in memory.
fn memory_bytes(reply: &Reply) -> usize {
    let beyond = match reply {
        Reply::Simple(text) | Reply::Error(text) => text.len(),
        Reply::Bulk(bytes) | Reply::BigNumber(bytes) | Reply::Verbatim { text: bytes, .. } => {
            bytes.len()
        }
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            items.iter().map(memory_bytes).sum()
        }
        Reply::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| memory_bytes(key) + memory_bytes(value))
            .sum(),
        Reply::Integer(_)
        | Reply::Null
        | Reply::NullArray
        | Reply::Double(_)
        | Reply::Boolean(_) => 0,
    };
    size_of::<Reply>() + beyond
}
