//! Bytes of the log's commands, the state machine's own values and snapshots: little-endian numbers, lengths before what
//! is variable. Decoding never panics and never allocates more than the bytes at hand.

use bytes::{Buf, BufMut, Bytes};

/// What was read is not what this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes end early, or hold what this version does not know")]
pub struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// Takes numbers and byte strings off the front.
pub(crate) struct Decoder(pub(crate) Bytes);

impl Decoder {
    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.0.try_get_u8().map_err(|_| Malformed)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.0.try_get_u32_le().map_err(|_| Malformed)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.0.try_get_u64_le().map_err(|_| Malformed)
    }

    pub(crate) fn u128(&mut self) -> Result<u128> {
        self.0.try_get_u128_le().map_err(|_| Malformed)
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| Malformed)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes> {
        let len = usize::try_from(self.u32()?).map_err(|_| Malformed)?;
        if len > self.0.len() {
            return Err(Malformed);
        }
        Ok(self.0.split_to(len))
    }

    /// As many items as a number in front says.
    pub(crate) fn many<T>(&mut self, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u32()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<()> {
        self.is_empty().then_some(()).ok_or(Malformed)
    }
}

pub(crate) fn put_bytes(out: &mut impl BufMut, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.put_slice(bytes);
}

pub(crate) fn put_len(out: &mut impl BufMut, len: usize) {
    let len =
        u32::try_from(len).expect("requests are bounded far below 4 GiB before they get here");
    out.put_u32_le(len);
}
