//! A bank: transfers between accounts and looks at all of them, and a record of what each transaction saw, for `history::snapshot`.
//!
//! A balance is stored with the number of the transaction that wrote it, so that no two versions are alike.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use history::snapshot::{Checked, Fate, Writer, check};
use rand::Rng;
use rand::rngs::SmallRng;
use tikv_client::transaction::HeartbeatOption;
use tikv_client::{
    CheckLevel, Error, Timestamp, Transaction, TransactionClient, TransactionOptions,
};

/// What each account begins with.
const OPENING: u64 = 100;

/// What was seen of an account.
type Seen = (u64, Option<Writer>);

/// A client of the bank, for any number of tasks.
pub(crate) struct Bank {
    client: TransactionClient,
    accounts: u64,
    began: Instant,
    history: Mutex<Vec<history::snapshot::Transaction>>,
    pub(crate) counts: Counts,
}

/// How transactions ended.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) transfers: AtomicU64,
    pub(crate) looks: AtomicU64,
    pub(crate) aborted: AtomicU64,
    pub(crate) unknown: AtomicU64,
    /// Reported by the client, and not seen in the cluster.
    pub(crate) false_commits: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn account(number: u64) -> Vec<u8> {
    format!("account {number:04}").into_bytes()
}

fn parse(value: &[u8]) -> Option<(u64, Writer)> {
    let (balance, writer) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((balance.parse().ok()?, writer.parse().ok()?))
}

/// A transaction of any kind. Few are pessimistic: if a node dies while one asks it for a lock, its client does not know of the lock, which then stays for the 20
/// seconds that it has to live. None has a heartbeat: where the client panics in a commit, that would keep the transaction's locks for ever. Also whether it is
/// committed in two phases.
fn options(rng: &mut SmallRng) -> (TransactionOptions, bool) {
    let options = match rng.random_range(0..10) {
        0 => TransactionOptions::new_pessimistic(),
        _ => TransactionOptions::new_optimistic(),
    };
    let options = options
        .heartbeat_option(HeartbeatOption::NoHeartbeat)
        .drop_check(CheckLevel::None);
    match rng.random_range(0..3) {
        0 => (options, true),
        1 => (options.use_async_commit(), false),
        _ => (options.try_one_pc(), false),
    }
}

/// Whether the error says that nothing was and nothing will be done. Anything else leaves that open.
fn says_no(error: &Error) -> bool {
    match error {
        Error::KeyError(error) => error.conflict.is_some() || error.deadlock.is_some(),
        Error::ExtractedErrors(errors) | Error::MultipleKeyErrors(errors) => {
            !errors.is_empty() && errors.iter().all(says_no)
        }
        Error::PessimisticLockError { inner, .. } => says_no(inner),
        _ => false,
    }
}

/// A transaction that failed: what it locked is given back, if anybody takes the request.
async fn give_up(mut transaction: Transaction) {
    let _ = transaction.rollback().await;
}

impl Bank {
    /// Opens the accounts, in one transaction.
    pub(crate) async fn open(client: TransactionClient, accounts: u64) -> Result<Self, Error> {
        let bank = Self {
            client,
            accounts,
            began: Instant::now(),
            history: Mutex::default(),
            counts: Counts::default(),
        };
        let writer = bank.begin();
        let mut transaction = bank.client.begin_optimistic().await?;
        for number in 0..accounts {
            let value = format!("{OPENING}:{writer}");
            transaction.put(account(number), value).await?;
        }
        transaction.commit().await?;
        let writes = (0..accounts).map(|number| (number, None)).collect();
        bank.end(writer, Fate::Committed(bank.now()), Vec::new(), writes);
        Ok(bank)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("no run lasts 500 years")
    }

    fn history(&self) -> MutexGuard<'_, Vec<history::snapshot::Transaction>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a transaction begins. Nothing is known of its end until somebody tells.
    fn begin(&self) -> Writer {
        let called = self.now();
        let mut history = self.history();
        history.push(history::snapshot::Transaction {
            called,
            fate: Fate::Unknown,
            reads: Vec::new(),
            writes: Vec::new(),
        });
        history.len() - 1
    }

    fn end(&self, writer: Writer, fate: Fate, reads: Vec<Seen>, writes: Vec<Seen>) {
        let mut history = self.history();
        let transaction = &mut history[writer];
        (transaction.fate, transaction.reads, transaction.writes) = (fate, reads, writes);
    }

    /// Moves money between two accounts; whether it did.
    pub(crate) async fn transfer(&self, rng: &mut SmallRng) -> bool {
        let from = rng.random_range(0..self.accounts);
        let to = (from + rng.random_range(1..self.accounts)) % self.accounts;
        let (options, two_phases) = options(rng);
        let writer = self.begin();
        let Ok(mut transaction) = self.client.begin_with_options(options.clone()).await else {
            self.end(writer, Fate::Aborted, Vec::new(), Vec::new());
            count(&self.counts.aborted);
            return false;
        };
        let lock = options.is_pessimistic();
        let mut seen = Vec::new();
        let written = self
            .write(&mut transaction, writer, [from, to], lock, &mut seen)
            .await;
        if written.is_err() {
            give_up(transaction).await;
            // What was read under a lock that may be lost is no snapshot.
            let reads = if lock { Vec::new() } else { seen };
            self.end(writer, Fate::Aborted, reads, Vec::new());
            count(&self.counts.aborted);
            return false;
        }
        // Before: whoever reads what it wrote must find it here, also if this task ends now.
        self.end(writer, Fate::Unknown, Vec::new(), seen.clone());
        // In a task of its own: now and then the client panics when a node dies during an asynchronous commit.
        let committing = tokio::spawn(async move {
            let ended = transaction.commit().await;
            match &ended {
                // Only then: where the primary key may be committed, a rollback would take away the other one.
                Err(error) if two_phases && says_no(error) => give_up(transaction).await,
                _ => {}
            }
            ended
        });
        let (fate, counter) = match committing.await {
            Ok(Ok(at)) if !self.has(from, writer, at.as_ref()).await => {
                (Fate::Unknown, &self.counts.false_commits)
            }
            Ok(Ok(_)) => (Fate::Committed(self.now()), &self.counts.transfers),
            // What is committed by its prewrites may have been, before the client sent them again.
            Ok(Err(error)) if two_phases && says_no(&error) => {
                (Fate::Aborted, &self.counts.aborted)
            }
            Ok(Err(_)) | Err(_) => (Fate::Unknown, &self.counts.unknown),
        };
        count(counter);
        match fate {
            Fate::Committed(_) => {}
            Fate::Aborted if lock => seen.clear(),
            Fate::Aborted | Fate::Unknown => {}
        }
        self.end(writer, fate, Vec::new(), seen);
        matches!(fate, Fate::Committed(_))
    }

    /// Whether the cluster shows what the client reports as committed. Where the client cannot find a key's region, it takes the request for done that it did not send
    /// (tikv-client 0.4.0, `transaction/requests.rs`: an iterator over an error is empty).
    async fn has(&self, number: u64, writer: Writer, at: Option<&Timestamp>) -> bool {
        let Some(at) = at else { return false };
        let options = TransactionOptions::new_optimistic().drop_check(CheckLevel::None);
        let mut snapshot = self.client.snapshot(at.clone(), options);
        let found = snapshot.get(account(number)).await.ok().flatten();
        found.as_deref().and_then(parse).map(|(_, found)| found) == Some(writer)
    }

    /// Reads two accounts and writes what they will hold.
    async fn write(
        &self,
        transaction: &mut Transaction,
        writer: Writer,
        numbers: [u64; 2],
        lock: bool,
        seen: &mut Vec<Seen>,
    ) -> Result<(), Error> {
        let mut balances = [0; 2];
        for (balance, number) in balances.iter_mut().zip(numbers) {
            let key = account(number);
            let value = match lock {
                true => transaction.get_for_update(key).await?,
                false => transaction.get(key).await?,
            };
            let value = value.as_deref().and_then(parse);
            let (found, before) = value.expect("every account is there, with who wrote it");
            seen.push((number, Some(before)));
            *balance = found;
        }
        let moved = balances[0].min(1 + balances[0] / 10);
        let balances = [balances[0] - moved, balances[1] + moved];
        for (balance, number) in balances.iter().zip(numbers) {
            transaction
                .put(account(number), format!("{balance}:{writer}"))
                .await?;
        }
        Ok(())
    }

    /// Reads all accounts as of one moment, and the sum must be what it was in the beginning.
    ///
    /// # Errors
    /// They could not be read.
    ///
    /// # Panics
    /// If the sum is not, or an account is gone.
    pub(crate) async fn look(&self, backwards: bool) -> Result<(), Error> {
        let writer = self.begin();
        let pairs = match self.read_all(backwards).await {
            Ok(pairs) => pairs,
            Err(error) => {
                self.end(writer, Fate::Aborted, Vec::new(), Vec::new());
                return Err(error);
            }
        };
        let values = pairs.iter().map(|value| parse(value));
        let found: Option<Vec<_>> = values.collect();
        let found = found.expect("every balance is one");
        assert_eq!(found.len() as u64, self.accounts, "an account is gone");
        let sum: u64 = found.iter().map(|(balance, _)| balance).sum();
        assert_eq!(
            sum,
            self.accounts * OPENING,
            "the total has changed: {found:?}"
        );
        let numbers: Box<dyn Iterator<Item = u64> + Send> = match backwards {
            false => Box::new(0..self.accounts),
            true => Box::new((0..self.accounts).rev()),
        };
        let seen = numbers.zip(found);
        let seen = seen.map(|(number, (_, writer))| (number, Some(writer)));
        let seen = seen.collect();
        self.end(writer, Fate::Committed(self.now()), seen, Vec::new());
        count(&self.counts.looks);
        Ok(())
    }

    async fn read_all(&self, backwards: bool) -> Result<Vec<Vec<u8>>, Error> {
        let options = TransactionOptions::new_optimistic().drop_check(CheckLevel::None);
        let mut transaction = self.client.begin_with_options(options).await?;
        let range = account(0)..account(self.accounts);
        let limit = u32::try_from(2 * self.accounts).expect("a small bank");
        let values = match backwards {
            false => transaction
                .scan(range, limit)
                .await?
                .map(tikv_client::KvPair::into_value)
                .collect(),
            true => transaction
                .scan_reverse(range, limit)
                .await?
                .map(tikv_client::KvPair::into_value)
                .collect(),
        };
        give_up(transaction).await;
        Ok(values)
    }

    /// Whether all that was seen can be explained by snapshot isolation.
    ///
    /// # Errors
    /// The anomaly, in words.
    pub(crate) fn check(&self) -> Result<Checked, String> {
        check(&self.history()).map_err(|anomaly| anomaly.to_string())
    }
}
