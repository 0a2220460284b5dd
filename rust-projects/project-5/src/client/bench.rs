//! A load generator: closed loops over many connections, with a histogram of latencies.
//!
//! Each connection sends `pipeline` requests together, reads all their replies, and goes on. The latency of a request is
//! the time from sending its group to reading its reply. Keys are drawn evenly and reproducibly.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hdrhistogram::Histogram;
use secrets::Secret;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use wire::{Reply, ReplyLimits, ReplyParser, encode_request};

use super::{BenchArgs, Failure};

/// Longest latency told apart, in microseconds.
const MAX_LATENCY_US: u64 = 600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// Width of the longest bar.
const BAR_WIDTH: u64 = 50;

/// Runs the load and prints the result.
pub(super) fn run(
    args: &BenchArgs,
    addr: SocketAddr,
    timeout: Duration,
    password: Option<&Secret>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let failure = |source| Failure::Bench { addr, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failure)?;
    let report = LocalSet::new()
        .block_on(&runtime, measure(args, addr, timeout, password.cloned()))
        .map_err(failure)?;
    let text = if args.json {
        let json = serde_json::to_string(&report).map_err(io::Error::from);
        json.map_err(failure)? + "\n"
    } else {
        report.to_text()
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::Output)
}

async fn measure(
    args: &BenchArgs,
    addr: SocketAddr,
    timeout: Duration,
    password: Option<Secret>,
) -> io::Result<Report> {
    let mut loads = Vec::new();
    let left = Rc::new(Cell::new(args.requests));
    for seed in 0..args.connections {
        let connecting = Load::connect(args, addr, u64::from(seed), Rc::clone(&left));
        let mut load = within(timeout, connecting).await?;
        if let Some(password) = &password {
            within(timeout, load.authenticate(password)).await?;
        }
        loads.push(load);
    }
    let started = Instant::now();
    let tasks: Vec<_> = loads
        .into_iter()
        .map(|load| tokio::task::spawn_local(load.run(timeout)))
        .collect();
    let mut latencies = histogram();
    let mut errors = Errors::default();
    for task in tasks {
        let done = task.await.map_err(io::Error::other)??;
        latencies.add(&done.latencies).map_err(io::Error::other)?;
        errors.count += done.errors.count;
        errors.first = errors.first.or(done.errors.first);
    }
    Ok(Report::new(started.elapsed(), &latencies, errors))
}

/// What `work` gives, unless the server takes longer than `timeout` for it.
async fn within<T>(timeout: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::other(format!(
            "the server did not answer within {} s",
            timeout.as_secs()
        ))),
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(MAX_LATENCY_US, SIGNIFICANT_DIGITS)
        .expect("the bounds are constant and valid")
}

#[derive(Debug, Default)]
struct Errors {
    count: u64,
    first: Option<String>,
}

/// One connection and what it has measured.
struct Load {
    args: BenchArgs,
    stream: TcpStream,
    parser: ReplyParser,
    input: BytesMut,
    output: Vec<u8>,
    value: Vec<u8>,
    random: u64,
    left: Rc<Cell<u64>>,
    latencies: Histogram<u64>,
    errors: Errors,
}

impl Load {
    async fn connect(
        args: &BenchArgs,
        addr: SocketAddr,
        seed: u64,
        left: Rc<Cell<u64>>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            parser: ReplyParser::new(ReplyLimits::default()),
            input: BytesMut::new(),
            output: Vec::new(),
            value: vec![b'x'; args.value_bytes as usize],
            random: seed,
            left,
            latencies: histogram(),
            errors: Errors::default(),
            args: args.clone(),
        })
    }

    async fn authenticate(&mut self, password: &Secret) -> io::Result<()> {
        encode_request(&[b"AUTH", password.as_bytes()], &mut self.output);
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        match self.receive().await? {
            Reply::Error(message) => Err(io::Error::other(message)),
            _ => Ok(()),
        }
    }

    async fn run(mut self, timeout: Duration) -> io::Result<Self> {
        loop {
            let group = self.left.get().min(u64::from(self.args.pipeline));
            if group == 0 {
                return Ok(self);
            }
            self.left.set(self.left.get() - group);
            for _ in 0..group {
                self.draw_request();
            }
            within(timeout, self.measure_group(group)).await?;
        }
    }

    /// Sends the requests drawn and reads their replies.
    async fn measure_group(&mut self, requests: u64) -> io::Result<()> {
        let sent = Instant::now();
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        for _ in 0..requests {
            if let Reply::Error(message) = self.receive().await? {
                self.errors.count += 1;
                self.errors.first.get_or_insert(message.into_owned());
            }
            let latency_us = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.latencies.saturating_record(latency_us);
        }
        Ok(())
    }

    fn draw_request(&mut self) {
        let key = format!("bench:{:012}", self.random() % self.args.keys);
        if self.random() % 100 < u64::from(self.args.reads) {
            encode_request(&[b"GET", key.as_bytes()], &mut self.output);
        } else {
            encode_request(&[b"SET", key.as_bytes(), &self.value], &mut self.output);
        }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014): even enough to draw keys.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    async fn receive(&mut self) -> io::Result<Reply> {
        loop {
            if let Some(reply) = self
                .parser
                .parse(&mut self.input)
                .map_err(io::Error::other)?
            {
                return Ok(reply);
            }
            self.parser.reserve(&mut self.input);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
        }
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    requests: u64,
    errors: u64,
    first_error: Option<String>,
    seconds: f64,
    requests_per_second: f64,
    latency_us: Percentiles,
    histogram: Vec<Bucket>,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

/// Requests that took at most so long, and longer than the bucket before.
#[derive(Debug, Serialize)]
struct Bucket {
    up_to_us: u64,
    requests: u64,
}

impl Report {
    fn new(elapsed: Duration, latencies: &Histogram<u64>, errors: Errors) -> Self {
        let seconds = elapsed.as_secs_f64();
        let quantile = |q| latencies.value_at_quantile(q);
        Self {
            requests: latencies.len(),
            errors: errors.count,
            first_error: errors.first,
            seconds,
            requests_per_second: latencies.len() as f64 / seconds,
            latency_us: Percentiles {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                p999: quantile(0.999),
                max: latencies.max(),
            },
            histogram: buckets(latencies),
        }
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let Percentiles {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self.latency_us;
        let _ = writeln!(
            text,
            "{} requests in {:.2} s: {:.0} per second",
            self.requests, self.seconds, self.requests_per_second
        );
        if let Some(first) = &self.first_error {
            let _ = writeln!(text, "{} errors, the first: {first}", self.errors);
        }
        let _ = writeln!(
            text,
            "latency in us: p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, max {max}\n"
        );
        let most = self.histogram.iter().map(|bucket| bucket.requests).max();
        for bucket in &self.histogram {
            let width = (bucket.requests * BAR_WIDTH).div_ceil(most.unwrap_or(1).max(1));
            let bar = "#".repeat(usize::try_from(width).unwrap_or(0));
            let line = format!("<= {:>9} us {:>9} {bar}", bucket.up_to_us, bucket.requests);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

/// One bucket per power of two, from the fastest request to the slowest.
fn buckets(latencies: &Histogram<u64>) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    let mut counted = 0;
    let mut up_to_us: u64 = 1;
    while counted < latencies.len() {
        let below = latencies.count_between(0, up_to_us);
        if below > 0 {
            buckets.push(Bucket {
                up_to_us,
                requests: below - counted,
            });
        }
        counted = below;
        up_to_us *= 2;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(latencies_us: &[u64]) -> Report {
        let mut latencies = histogram();
        for &latency in latencies_us {
            latencies.record(latency).unwrap();
        }
        Report::new(Duration::from_secs(2), &latencies, Errors::default())
    }

    #[test]
    fn every_request_is_in_one_bucket() {
        let report = report(&[3, 4, 5, 70, 9_000_000]);
        let sum: u64 = report.histogram.iter().map(|bucket| bucket.requests).sum();
        assert_eq!(sum, 5);
        assert_eq!(report.histogram[0].up_to_us, 4);
        assert_eq!(report.histogram[0].requests, 2);
        assert!(report.histogram.last().unwrap().up_to_us >= 9_000_000);
    }

    #[test]
    fn the_longest_bar_belongs_to_the_fullest_bucket() {
        let text = report(&[100, 100, 100, 1000]).to_text();
        assert!(
            text.starts_with("4 requests in 2.00 s: 2 per second\n"),
            "{text}"
        );
        let bars: Vec<usize> = text.lines().map(|line| line.matches('#').count()).collect();
        assert_eq!(bars.iter().max(), Some(&50));
        assert_eq!(bars.iter().filter(|&&bar| bar > 0).count(), 2);
    }

    #[test]
    fn a_report_without_requests_is_a_report() {
        assert!(report(&[]).to_text().starts_with("0 requests"));
    }
}
