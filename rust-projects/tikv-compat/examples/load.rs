//! A load generator: raw keys, gets at a timestamp, transactions and timestamps through the published client, and timestamps from one
//! stream of the placement driver itself. `cargo xtask bench txn` runs it, a process for each measurement.
//!
//! It prints what it saw as one line of JSON.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use proto::tikv::pdpb;
use proto::tikv::pdpb::pd_client::PdClient;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use tikv_client::transaction::HeartbeatOption;
use tikv_client::{
    CheckLevel, Config, RawClient, Timestamp, TransactionClient, TransactionOptions,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Gets that share a timestamp.
const GETS_PER_TIMESTAMP: usize = 64;
/// Timestamps asked for at once on the stream of the placement driver.
const TIMESTAMPS_PER_REQUEST: u32 = 1000;
/// Requests under way on that stream.
const REQUESTS_UNDER_WAY: usize = 16;
/// Keys written by one transaction, or by one raw call, while the store is filled.
const FILL_BATCH: usize = 500;
/// How long commits in the background may take once nobody writes any more.
const BACKGROUND: Duration = Duration::from_secs(1);

#[derive(Parser)]
struct Arguments {
    #[arg(value_enum)]
    work: Work,
    /// Where the placement driver of each node is
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    /// Tasks that each do one thing at a time
    #[arg(long, default_value_t = 64)]
    clients: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds before that which do not count
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Keys to choose from
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// Keys per transaction, or per raw call
    #[arg(long, default_value_t = 1)]
    size: usize,
    #[arg(long, value_enum, default_value_t = Commit::TwoPhase)]
    commit: Commit,
    /// Locks before it writes, rather than find conflicts at its end
    #[arg(long)]
    pessimistic: bool,
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Work {
    /// Writes every key once, raw and in transactions
    Fill,
    RawGet,
    RawPut,
    /// At a timestamp that was acquired before
    Get,
    /// A transaction that reads one key: a timestamp for each
    BeginAndGet,
    /// Transactions that write
    Write,
    /// Timestamps through the client
    Timestamp,
    /// Timestamps in batches over one stream, without the client
    TimestampStream,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Commit {
    TwoPhase,
    Async,
    OnePhase,
}

/// What a client did: when it was done, and how long it took. `None`: it ended in a conflict.
type Done = Vec<(Instant, Option<Duration>)>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arc::new(Arguments::parse());
    match arguments.work {
        Work::Fill => fill(&arguments).await,
        Work::TimestampStream => timestamp_stream(&arguments).await,
        _ => measure(arguments).await,
    }
}

fn config() -> Config {
    Config::default().with_default_keyspace()
}

async fn raw(arguments: &Arguments) -> Result<RawClient> {
    Ok(RawClient::new_with_config(arguments.endpoints.clone(), config()).await?)
}

async fn transactions(arguments: &Arguments) -> Result<TransactionClient> {
    Ok(TransactionClient::new_with_config(arguments.endpoints.clone(), config()).await?)
}

fn key(number: usize) -> Vec<u8> {
    format!("load-{number:010}").into_bytes()
}

async fn fill(arguments: &Arguments) -> Result<()> {
    let (raw, transactions) = (raw(arguments).await?, transactions(arguments).await?);
    let numbers: Vec<usize> = (0..arguments.keys).collect();
    for numbers in numbers.chunks(FILL_BATCH) {
        let value = || vec![b'x'; arguments.value_bytes];
        let pairs = numbers.iter().map(|&number| (key(number), value()));
        raw.batch_put(pairs).await?;
        let mut transaction = transactions.begin_optimistic().await?;
        for &number in numbers {
            transaction.put(key(number), value()).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// One client's connections and choices; all share the client of the package, as the threads of a program would.
struct Worker {
    arguments: Arc<Arguments>,
    raw: RawClient,
    transactions: Arc<TransactionClient>,
    rng: SmallRng,
    acquired: Option<(Timestamp, usize)>,
}

async fn measure(arguments: Arc<Arguments>) -> Result<()> {
    let raw = raw(&arguments).await?;
    let transactions = Arc::new(transactions(&arguments).await?);
    let clients = arguments.clients;
    let ready = Arc::new(Barrier::new(clients + 1));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let mut worker = Worker {
            arguments: Arc::clone(&arguments),
            raw: raw.clone(),
            transactions: Arc::clone(&transactions),
            rng: SmallRng::seed_from_u64(arguments.seed << 32 | client as u64),
            acquired: None,
        };
        let (ready, stop) = (Arc::clone(&ready), Arc::clone(&stop));
        tasks.spawn(async move {
            ready.wait().await;
            let mut done = Done::new();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let is_done = worker.once().await?;
                let ended = Instant::now();
                done.push((ended, is_done.then(|| ended - began)));
            }
            Result::Ok(done)
        });
    }
    ready.wait().await;
    tokio::time::sleep(Duration::from_secs_f64(arguments.warm_up)).await;
    let from = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(arguments.seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let to = Instant::now();
    let mut all = Done::new();
    while let Some(done) = tasks.join_next().await {
        let done = done??.into_iter();
        all.extend(done.filter(|(at, _)| (from..=to).contains(at)));
    }
    if arguments.work == Work::Write {
        // What the client commits in the background would end with this process, and its locks be met by the next.
        tokio::time::sleep(BACKGROUND).await;
    }
    report(all, to - from)
}

/// Prints rates per second, the share of conflicts, and percentiles of the latency in seconds.
fn report(all: Done, lasted: Duration) -> Result<()> {
    let tried = all.len();
    let mut latencies: Vec<_> = all.into_iter().filter_map(|(_, took)| took).collect();
    latencies.sort_unstable();
    let at = |share: f64| {
        let rank = (latencies.len() as f64 * share).ceil() as usize;
        let latency = latencies.get(rank.saturating_sub(1));
        latency.ok_or("nothing was done").map(Duration::as_secs_f64)
    };
    let figures = serde_json::json!({
        "per_s": latencies.len() as f64 / lasted.as_secs_f64(),
        "conflicts": (tried - latencies.len()) as f64 / tried as f64,
        "p50_s": at(0.5)?,
        "p99_s": at(0.99)?,
    });
    println!("{figures}");
    Ok(())
}

impl Worker {
    /// Does one thing; false if it ended in a conflict.
    async fn once(&mut self) -> Result<bool> {
        match self.arguments.work {
            Work::RawGet => {
                let key = self.key();
                found(self.raw.get(key).await?.as_ref())
            }
            Work::RawPut => self.raw_put().await,
            Work::Get => self.get().await,
            Work::BeginAndGet => {
                let mut transaction = self.transactions.begin_with_options(reading()).await?;
                found(transaction.get(self.key()).await?.as_ref())
            }
            Work::Write => self.write().await,
            Work::Timestamp => {
                self.transactions.current_timestamp().await?;
                Ok(true)
            }
            Work::Fill | Work::TimestampStream => Err("not a client's work".into()),
        }
    }

    fn key(&mut self) -> Vec<u8> {
        key(self.rng.random_range(0..self.arguments.keys))
    }

    fn pairs(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let numbers =
            rand::seq::index::sample(&mut self.rng, self.arguments.keys, self.arguments.size);
        let pair = |number| {
            let mut value = vec![0; self.arguments.value_bytes];
            self.rng.fill_bytes(&mut value);
            (key(number), value)
        };
        numbers.into_iter().map(pair).collect()
    }

    async fn raw_put(&mut self) -> Result<bool> {
        let mut pairs = self.pairs();
        match (pairs.len(), pairs.pop()) {
            (1, Some((key, value))) => self.raw.put(key, value).await?,
            (_, last) => self.raw.batch_put(pairs.into_iter().chain(last)).await?,
        }
        Ok(true)
    }

    async fn get(&mut self) -> Result<bool> {
        let (at, left) = match self.acquired.take() {
            Some((at, left)) if left > 0 => (at, left),
            _ => {
                let at = self.transactions.current_timestamp().await?;
                (at, GETS_PER_TIMESTAMP)
            }
        };
        self.acquired = Some((at.clone(), left - 1));
        // A new one each time: a snapshot remembers what it has read.
        let mut snapshot = self.transactions.snapshot(at, reading());
        found(snapshot.get(self.key()).await?.as_ref())
    }

    async fn write(&mut self) -> Result<bool> {
        let pairs = self.pairs();
        let options = match self.arguments.pessimistic {
            true => TransactionOptions::new_pessimistic(),
            false => TransactionOptions::new_optimistic(),
        };
        let options = match self.arguments.commit {
            Commit::TwoPhase => options,
            Commit::Async => options.use_async_commit(),
            Commit::OnePhase => options.try_one_pc(),
        };
        // The client's heartbeat is a task that sleeps for ten seconds after each transaction, however short.
        let options = options
            .heartbeat_option(HeartbeatOption::NoHeartbeat)
            .drop_check(CheckLevel::None);
        let mut transaction = self.transactions.begin_with_options(options).await?;
        let written = async {
            for (key, value) in pairs {
                transaction.put(key, value).await?;
            }
            transaction.commit().await
        };
        match written.await {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => {
                transaction.rollback().await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn reading() -> TransactionOptions {
    TransactionOptions::new_optimistic()
        .read_only()
        .drop_check(CheckLevel::None)
}

/// Whether another transaction came first, which is no failure.
fn is_conflict(error: &tikv_client::Error) -> bool {
    use tikv_client::Error::{
        ExtractedErrors, KeyError, MultipleKeyErrors, PessimisticLockError, ResolveLockError,
    };
    match error {
        KeyError(error) => {
            error.conflict.is_some() || error.deadlock.is_some() || error.locked.is_some()
        }
        ExtractedErrors(errors) | MultipleKeyErrors(errors) => errors.iter().all(is_conflict),
        PessimisticLockError { inner, .. } => is_conflict(inner),
        ResolveLockError(_) => true,
        _ => false,
    }
}

fn found(value: Option<&Vec<u8>>) -> Result<bool> {
    match value {
        Some(_) => Ok(true),
        None => Err("a read found nothing: fill the store first".into()),
    }
}

async fn timestamp_stream(arguments: &Arguments) -> Result<()> {
    let connect = |endpoint: &String| PdClient::connect(format!("http://{endpoint}"));
    let any = arguments.endpoints.first().ok_or("no endpoint")?;
    let mut any = connect(any).await?;
    let members = any.get_members(pdpb::GetMembersRequest::default()).await?;
    let members = members.into_inner();
    let leader = members.leader.ok_or("nobody leads")?;
    let url = leader
        .client_urls
        .first()
        .ok_or("the leader has no address")?;
    let mut leader = PdClient::connect(url.clone()).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(REQUESTS_UNDER_WAY);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let ask = || pdpb::TsoRequest {
        count: TIMESTAMPS_PER_REQUEST,
        ..pdpb::TsoRequest::default()
    };
    for _ in 0..REQUESTS_UNDER_WAY {
        sender.send(ask()).await?;
    }
    let mut given = leader.tso(requests).await?.into_inner();
    let warm = Instant::now() + Duration::from_secs_f64(arguments.warm_up);
    let end = warm + Duration::from_secs_f64(arguments.seconds);
    let (mut counted, mut last) = (0_u64, (0, 0));
    while Instant::now() < end {
        let answer = given.message().await?.ok_or("the stream ended")?;
        let timestamp = answer.timestamp.ok_or("no timestamp")?;
        let at = (timestamp.physical, timestamp.logical);
        if at <= last {
            return Err("a timestamp went back".into());
        }
        last = at;
        if Instant::now() >= warm {
            counted += u64::from(answer.count);
        }
        sender.send(ask()).await?;
    }
    let figures = serde_json::json!({ "per_s": counted as f64 / arguments.seconds });
    println!("{figures}");
    Ok(())
}
