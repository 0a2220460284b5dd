//! Which version of TiKV's API a cluster speaks: decided by its first leader, kept in its state, and the same for ever.
//!
//! Version 2 has raw and transactional keys side by side, told apart by how they begin. Version 1 has no such beginning, so a cluster of version 1 has
//! keys of one kind only.

use std::sync::OnceLock;

use bytes::Bytes;
use clap::ValueEnum;
use percolator::Column;
use proto::tikv::kvrpcpb::ApiVersion;
use replica::{Epoch, Lead, Region};
use storage::{Batch, Direction, KeyRange};

use super::route::Mode;
use super::store::{Failure, Store};
use super::values;

/// Where it is kept: no user key is there.
const API_KEY: &[u8] = b"a";
/// Raw keys of version 1 are not encoded, and clients take a region without an end for one that they have not come to the end of. So it has one,
/// behind all keys that anybody is likely to use. It is an encoded key all the same (24 bytes of 0xff), as transactional clients decode it before they are told
/// that there is nothing for them.
const RAW_END: &[u8] = &{
    let mut end = [0xff; 36];
    let mut at = 27;
    while at < 35 {
        end[at] = 0;
        at += 1;
    }
    end[35] = 0xf7;
    end
};

/// Which version of TiKV's API a cluster speaks, and with version 1 for which keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Api {
    /// Version 2: raw and transactional keys, for clients with a keyspace
    #[default]
    #[value(name = "2")]
    V2,
    /// Version 1 with raw keys only, for clients without a keyspace
    #[value(name = "1-raw")]
    V1Raw,
    /// Version 1 with transactional keys only, for clients without a keyspace
    #[value(name = "1-txn")]
    V1Transactional,
}

impl Api {
    /// As `--api-version` takes it, and as the state keeps it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V2 => "2",
            Self::V1Raw => "1-raw",
            Self::V1Transactional => "1-txn",
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let all = Self::value_variants().iter();
        all.copied().find(|api| api.name().as_bytes() == bytes)
    }

    /// Whether clients of this version are served.
    pub(super) fn serves(self, version: ApiVersion) -> bool {
        match self {
            Self::V2 => version == ApiVersion::V2,
            Self::V1Raw => matches!(version, ApiVersion::V1 | ApiVersion::V1ttl),
            Self::V1Transactional => version == ApiVersion::V1,
        }
    }

    /// Which kind of keys `key` is of; `None` if of none that the cluster has.
    pub(super) fn mode_of(self, key: &[u8]) -> Option<Mode> {
        match (self, key.first()) {
            (Self::V2, Some(b'r')) | (Self::V1Raw, _) => Some(Mode::Raw),
            (Self::V2, Some(b'x')) | (Self::V1Transactional, _) => Some(Mode::Transactional),
            (Self::V2, _) => None,
        }
    }

    /// A key as it lies in a region.
    pub(super) fn in_region(self, key: &[u8]) -> Bytes {
        match self {
            Self::V1Raw => Bytes::copy_from_slice(key),
            Self::V2 | Self::V1Transactional => percolator::memcomparable_key(key).into(),
        }
    }

    /// A region's end as clients' requests have keys.
    pub(super) fn of_region(self, end: &Bytes) -> Bytes {
        match self {
            Self::V1Raw => end.clone(),
            // Empty at the very beginning and the very end.
            Self::V2 | Self::V1Transactional => percolator::memcomparable_decoded(end)
                .unwrap_or_default()
                .into(),
        }
    }

    /// What makes a new cluster one of this version.
    fn founding(self, epoch: Epoch) -> Batch {
        let mut batch = Batch::new();
        batch.put(API_KEY, self.name());
        let end = match self {
            // The region is as it must be.
            Self::V2 => return batch,
            Self::V1Raw => Bytes::from_static(RAW_END),
            Self::V1Transactional => Bytes::new(),
        };
        let region = Region {
            start: Bytes::new(),
            end,
            epoch: Epoch {
                version: epoch.version + 1,
                ..epoch
            },
        };
        region.put(&mut batch);
        batch
    }
}

/// What this node knows of it.
#[derive(Debug)]
pub(super) struct KnownApi {
    /// For a cluster that has none yet.
    wanted: Api,
    known: OnceLock<Api>,
}

impl KnownApi {
    pub(super) fn new(wanted: Api) -> Self {
        Self {
            wanted,
            known: OnceLock::new(),
        }
    }

    /// The version, once this node has come to know it, which it has when it carries out requests.
    pub(super) fn get(&self) -> Option<Api> {
        self.known.get().copied()
    }

    /// Finds out which version it is; a new cluster gets the one that its first leader was started with.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) async fn learn(&self, store: &Store) -> Result<(), Failure> {
        if self.get().is_some() {
            return Ok(());
        }
        let _held = store.latch([Bytes::from_static(API_KEY)].into()).await?;
        let api = loop {
            let lead = store.lead().await?;
            let epoch = store.standing().region.epoch;
            let reader = lead.engine.latest();
            if let Some(bytes) = reader.get(API_KEY)? {
                let api = Api::decode(&bytes);
                break api.ok_or_else(|| {
                    Failure::Broken("the version of TiKV's API is none that this node knows".into())
                })?;
            }
            let founded = self.founded(&lead)?;
            match store.apply(lead.term, epoch, founded.founding(epoch)).await {
                Ok(()) | Err(Failure::Stale) => {}
                Err(failure) => return Err(failure),
            }
        };
        if api != self.wanted {
            let (api, wanted) = (api.name(), self.wanted.name());
            tracing::warn!(
                api,
                wanted,
                "the cluster was created with another version of TiKV's API, which stays"
            );
        }
        // Two that learn at a time learn the same.
        let _ = self.known.set(api);
        Ok(())
    }

    /// Keys that are there already were written as those of version 2, before there was a choice.
    fn founded(&self, lead: &Lead) -> Result<Api, Failure> {
        let reader = lead.engine.latest();
        let all = KeyRange::all();
        let transactional = Column::ALL.iter().map(|column| column.range(&all));
        for range in transactional.chain([values::column(&all)]) {
            if let Some(key) = reader.scan_keys(&range, Direction::Forward).next() {
                key?;
                return Ok(Api::V2);
            }
        }
        Ok(self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read_as_it_was_written() {
        for &api in Api::value_variants() {
            assert_eq!(Api::decode(api.name().as_bytes()), Some(api));
            assert_eq!(Api::from_str(api.name(), false), Ok(api));
        }
        assert_eq!(Api::decode(b"3"), None);
    }

    #[test]
    fn raw_keys_end_where_an_encoded_key_is() {
        assert_eq!(RAW_END, &percolator::memcomparable_key(&[0xff; 24])[..]);
    }

    #[test]
    fn keys_are_of_the_kind_that_the_version_says() {
        let mode = |api: Api, key: &[u8]| api.mode_of(key);
        assert_eq!(mode(Api::V2, b"r\0\0\0k"), Some(Mode::Raw));
        assert_eq!(mode(Api::V2, b"x\0\0\0k"), Some(Mode::Transactional));
        assert_eq!(mode(Api::V2, b"k"), None);
        assert_eq!(mode(Api::V1Raw, b"x"), Some(Mode::Raw));
        assert_eq!(mode(Api::V1Transactional, b""), Some(Mode::Transactional));
    }
}
