//! For tests: the store over a node that does as it is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use percolator::{Intent, Mode, Mutation, Prewrite, Timestamp};
use raft::{LogId, Refused};
use replica::{Answer, Epoch, Lead, Region};
use storage::{Engine, MemoryEngine};

use super::Api;
use super::store::Store;
use crate::inbox::{Bounds, Incoming, Limit};
use crate::node::{Inbox, Input};
use crate::tls::Credentials;
use crate::view::{Shared, Standing, View};

/// A prewrite of one key, by a transaction that has no other.
pub(super) fn prewrite(key: Bytes, intent: Intent, start_ts: Timestamp, mode: Mode) -> Prewrite {
    Prewrite {
        mutations: vec![Mutation::new(key.clone(), intent)],
        primary: key,
        start_ts,
        ttl_ms: 3000,
        txn_size: 1,
        min_commit_ts: Timestamp::ZERO,
        for_update_ts: Timestamp::ZERO,
        mode,
    }
}

/// A node of term 1 that keeps what it is given at once, for as long as it leads.
pub(super) struct Led {
    pub(super) leads: AtomicBool,
    pub(super) questions: AtomicU64,
    pub(super) engine: Arc<MemoryEngine>,
}

impl Led {
    fn serve(&self, incoming: &Incoming) {
        while let Some(input) = incoming.next(Duration::from_secs(30)) {
            let leads = self.leads.load(Ordering::Relaxed);
            match input {
                Input::Stop => return,
                Input::Lead(asker) => {
                    self.questions.fetch_add(1, Ordering::Relaxed);
                    asker.tell(match leads {
                        true => Answer::Leads(Lead {
                            term: 1,
                            engine: Arc::clone(&self.engine) as _,
                        }),
                        false => Answer::Refused(Refused::NotLeader(None)),
                    });
                }
                Input::Decided(changes, asker) => asker.tell(match leads {
                    true => {
                        self.engine.write(&changes.batch).unwrap();
                        Answer::Done(LogId { term: 1, index: 1 })
                    }
                    false => Answer::Unknown,
                }),
                _ => {}
            }
        }
    }
}

pub(super) struct World {
    pub(super) store: Arc<Store>,
    pub(super) node: Arc<Led>,
    pub(super) inbox: Inbox,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl World {
    pub(super) fn new() -> Self {
        let limit = Limit {
            count: 2,
            bytes: 1 << 20,
        };
        let (inbox, incoming) = Inbox::new(Bounds {
            clients: limit,
            peers: limit,
        });
        let identity = crate::identity::Identity {
            node: 1,
            ..Default::default()
        };
        let shared = Shared::new(View {
            cluster: identity.cluster_text(),
            identity,
            token: None,
            registry: Arc::default(),
            standing: Standing {
                term: 1,
                leader: Some(1),
                ..Standing::default()
            },
            founders: BTreeSet::new(),
            given: None,
            credentials: Credentials::default(),
            api: Api::V2,
        });
        let node = Arc::new(Led {
            leads: AtomicBool::new(true),
            questions: AtomicU64::new(0),
            engine: Arc::new(MemoryEngine::new()),
        });
        let serving = Arc::clone(&node);
        let thread = std::thread::spawn(move || serving.serve(&incoming));
        Self {
            store: Arc::new(Store::new(shared, inbox.clone())),
            node,
            inbox,
            thread: Some(thread),
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.store.standing().region.epoch
    }

    pub(super) async fn timestamp(&self) -> Timestamp {
        self.store.timestamps(&[1]).await.unwrap()[0].last()
    }

    /// From now on this is the region.
    pub(super) fn set_region(&self, region: Region) {
        let standing = Standing {
            region: Arc::new(region),
            ..self.store.standing()
        };
        self.store.shared().stand(standing);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.inbox.stop();
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(ended.is_some_and(|ended| ended.is_ok()));
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}
