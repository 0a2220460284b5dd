//! Whether what transactions saw can be explained by snapshot isolation.
//!
//! # What it is
//!
//! A checker of histories of transactions that read what they overwrite. So the versions of a key form a chain, the order of versions need
//! not be guessed, and looking for anomalies is looking for circles of dependencies (Adya, "Weak Consistency", 1999, section 4.2), in time
//! that grows with the number of dependencies. A circle is allowed if two of its anti-dependencies are next to each other, as in write skew; any
//! other is forbidden (Cerone and Gotsman, "Analysing Snapshot Isolation", 2018, theorem 10). Whoever begins after another has ended depends on it: the
//! snapshots are as new as they look.
//!
//! # What it guarantees
//!
//! [`check`] finds an anomaly if there is one: a version that nobody wrote, or one of a transaction that was aborted, was read; two overwrote the same version;
//! or a forbidden circle, which it names.
//!
//! # What it does not
//!
//! Transactions that write a key without reading it cannot be told. Moments come from one monotonic clock, and two that are equal are taken to be concurrent.
//!
//! # How it works
//!
//! ```text
//!   T1 writes x, T2 reads the x of T1          T1 --> T2   read dependency, and the same for overwriting
//!   T2 reads x, T3 overwrites it               T2 ~~> T3   anti-dependency: T2 came before T3, or did not see it
//!   T1 has ended, and then T2 begins           T1 --> T2   by way of moments, which have an order
//!
//!   search: (T, came by -->) may go on by --> and ~~>,  (T, came by ~~>) by --> only
//! ```

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Number of a transaction: its place in the history.
pub type Writer = usize;

/// What became of a transaction, as its client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was committed, and this was known at this moment.
    Committed(u64),
    /// It never took and never will take effect.
    Aborted,
    /// Nobody told. It was committed if somebody read what it wrote.
    Unknown,
}

/// A transaction as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// When it began.
    pub called: u64,
    /// What became of it.
    pub fate: Fate,
    /// Keys that it read and did not overwrite, and who had written what it read; `None`: it was as in the beginning.
    pub reads: Vec<(u64, Option<Writer>)>,
    /// Keys that it wrote, or would have if it had been committed, and who had written what it read there before.
    pub writes: Vec<(u64, Option<Writer>)>,
}

/// How one transaction depends on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// It read or overwrote what the other had written to this key.
    Key(u64),
    /// It read what the other overwrote.
    Anti(u64),
    /// It began after the other had ended.
    Time,
}

/// What snapshot isolation forbids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// What was read was never written to this key.
    NeverWritten {
        /// Who read it.
        reader: Writer,
        /// Where.
        key: u64,
        /// Who is said to have written it.
        writer: Writer,
    },
    /// What was read is of a transaction that was aborted (Adya's G1a).
    AbortedRead {
        /// Who read it.
        reader: Writer,
        /// Where.
        key: u64,
        /// Who wrote it.
        writer: Writer,
    },
    /// Two were committed that overwrote the same version.
    LostUpdate {
        /// Where.
        key: u64,
        /// Both.
        writers: [Writer; 2],
    },
    /// A forbidden circle: each depends on the one before it, in this way, and the first one on the last.
    Circle(Vec<(Writer, Dependency)>),
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverWritten {
                reader,
                key,
                writer,
            } => write!(
                f,
                "T{reader} read a version of key {key} that T{writer} never wrote"
            ),
            Self::AbortedRead {
                reader,
                key,
                writer,
            } => write!(
                f,
                "T{reader} read what T{writer} wrote to key {key}, and that was aborted"
            ),
            Self::LostUpdate { key, writers } => write!(
                f,
                "T{} and T{} both overwrote the same version of key {key}",
                writers[0], writers[1]
            ),
            Self::Circle(circle) => {
                f.write_str("a circle:")?;
                for (writer, dependency) in circle {
                    match dependency {
                        Dependency::Key(key) => write!(f, " --{key}-> T{writer}")?,
                        Dependency::Anti(key) => write!(f, " ~~{key}~> T{writer}")?,
                        Dependency::Time => write!(f, " --time-> T{writer}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Transactions that were committed, those included whose clients were not told.
    pub committed: usize,
    /// Of those, whose clients were not told.
    pub told_by_others: usize,
    /// Dependencies of all kinds.
    pub dependencies: usize,
}

/// Checks a history.
///
/// # Errors
/// The first [`Anomaly`] that was found.
pub fn check(history: &[Transaction]) -> Result<Checked, Box<Anomaly>> {
    let happened = happened(history)?;
    let graph = Graph::of(history, &happened)?;
    match graph.circle() {
        Some(circle) => Err(Box::new(Anomaly::Circle(circle))),
        None => Ok(Checked {
            committed: happened.iter().filter(|happened| **happened).count(),
            told_by_others: (history.iter().zip(&happened))
                .filter(|(transaction, happened)| transaction.fate == Fate::Unknown && **happened)
                .count(),
            dependencies: graph.dependencies,
        }),
    }
}

/// All versions that a transaction read: where, and who wrote them.
fn seen(transaction: &Transaction) -> impl Iterator<Item = (u64, Option<Writer>)> {
    let reads = transaction.reads.iter().chain(&transaction.writes);
    reads.copied()
}

/// Which transactions were committed. Everything that was read must be of one of them.
fn happened(history: &[Transaction]) -> Result<Vec<bool>, Box<Anomaly>> {
    let told = history.iter();
    let told = told.map(|transaction| matches!(transaction.fate, Fate::Committed(_)));
    let mut happened: Vec<_> = told.collect();
    for (reader, transaction) in history.iter().enumerate() {
        for (key, writer) in seen(transaction) {
            let Some(writer) = writer else { continue };
            let wrote = history.get(writer).filter(|wrote| {
                let mut writes = wrote.writes.iter();
                writer != reader && writes.any(|(written, _)| *written == key)
            });
            let anomaly = match wrote.map(|wrote| wrote.fate) {
                Some(Fate::Committed(_)) => continue,
                Some(Fate::Unknown) => {
                    happened[writer] = true;
                    continue;
                }
                Some(Fate::Aborted) => Anomaly::AbortedRead {
                    reader,
                    key,
                    writer,
                },
                None => Anomaly::NeverWritten {
                    reader,
                    key,
                    writer,
                },
            };
            return Err(Box::new(anomaly));
        }
    }
    Ok(happened)
}

/// Transactions first, then moments at which some had ended.
struct Graph {
    transactions: usize,
    /// Who depends on each node.
    follows: Vec<Vec<(usize, Dependency)>>,
    dependencies: usize,
}

impl Graph {
    fn of(history: &[Transaction], happened: &[bool]) -> Result<Self, Box<Anomaly>> {
        // Who overwrote which version of which key.
        let mut next = HashMap::new();
        for (writer, transaction) in history.iter().enumerate().filter(|(at, _)| happened[*at]) {
            for &(key, over) in &transaction.writes {
                if let Some(other) = next.insert((key, over), writer) {
                    let writers = [other, writer];
                    return Err(Box::new(Anomaly::LostUpdate { key, writers }));
                }
            }
        }
        let mut graph = Self {
            transactions: history.len(),
            follows: vec![Vec::new(); history.len()],
            dependencies: 0,
        };
        for (at, transaction) in history.iter().enumerate() {
            for (key, writer) in seen(transaction) {
                if let Some(writer) = writer {
                    graph.depends(writer, at, Dependency::Key(key));
                }
                match next.get(&(key, writer)) {
                    Some(&over) if over != at => graph.depends(at, over, Dependency::Anti(key)),
                    _ => {}
                }
            }
        }
        graph.add_moments(history);
        Ok(graph)
    }

    fn depends(&mut self, first: usize, then: usize, how: Dependency) {
        self.follows[first].push((then, how));
        self.dependencies += 1;
    }

    fn add_moments(&mut self, history: &[Transaction]) {
        let ends = history.iter().enumerate();
        let ends = ends.filter_map(|(at, transaction)| match transaction.fate {
            Fate::Committed(moment) => Some((moment, at)),
            Fate::Aborted | Fate::Unknown => None,
        });
        let mut moments = BTreeMap::<u64, Vec<usize>>::new();
        for (moment, at) in ends {
            moments.entry(moment).or_default().push(at);
        }
        let mut nodes = BTreeMap::new();
        for (moment, ended) in moments {
            let node = self.follows.len();
            self.follows.push(Vec::new());
            nodes.insert(moment, node);
            if node > self.transactions {
                self.depends(node - 1, node, Dependency::Time);
            }
            for at in ended {
                self.depends(at, node, Dependency::Time);
            }
        }
        for (at, transaction) in history.iter().enumerate() {
            if let Some((_, &node)) = nodes.range(..transaction.called).next_back() {
                self.depends(node, at, Dependency::Time);
            }
        }
    }

    /// A circle in which no anti-dependency comes after another. Depth first; without recursion, as paths are long.
    fn circle(&self) -> Option<Vec<(Writer, Dependency)>> {
        /// A node, and whether it was come to by an anti-dependency.
        type State = (usize, bool);
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            OnPath,
            Done,
        }
        let index = |(node, by_anti): State| 2 * node + usize::from(by_anti);
        let mut marks = vec![Mark::New; 2 * self.follows.len()];
        for start in 0..self.follows.len() {
            if marks[index((start, false))] != Mark::New {
                continue;
            }
            // Each with the dependency that led to it, and how many of its own were followed.
            let mut path: Vec<(State, Dependency, usize)> =
                vec![((start, false), Dependency::Time, 0)];
            marks[index((start, false))] = Mark::OnPath;
            while let Some((state, _, tried)) = path.last_mut() {
                let (node, by_anti) = *state;
                let Some(&(then, how)) = self.follows[node].get(*tried) else {
                    marks[index((node, by_anti))] = Mark::Done;
                    path.pop();
                    continue;
                };
                *tried += 1;
                let is_anti = matches!(how, Dependency::Anti(_));
                if by_anti && is_anti {
                    continue;
                }
                let state = (then, is_anti);
                match marks[index(state)] {
                    Mark::Done => {}
                    Mark::New => {
                        marks[index(state)] = Mark::OnPath;
                        path.push((state, how, 0));
                    }
                    Mark::OnPath => {
                        let from = path.iter().position(|(on_path, ..)| *on_path == state)?;
                        let mut circle = vec![(then, how)];
                        circle.extend(path[from + 1..].iter().map(|((at, _), how, _)| (*at, *how)));
                        return Some(self.without_moments(circle));
                    }
                }
            }
        }
        None
    }

    fn without_moments(&self, circle: Vec<(usize, Dependency)>) -> Vec<(Writer, Dependency)> {
        let writers = circle.into_iter();
        writers
            .filter(|(node, _)| *node < self.transactions)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: u64 = 1;
    const Y: u64 = 2;

    /// Committed, and concurrent with all others.
    fn concurrent(
        reads: &[(u64, Option<Writer>)],
        writes: &[(u64, Option<Writer>)],
    ) -> Transaction {
        Transaction {
            called: 0,
            fate: Fate::Committed(1000),
            reads: reads.to_vec(),
            writes: writes.to_vec(),
        }
    }

    fn anomaly(history: &[Transaction]) -> Anomaly {
        *check(history).unwrap_err()
    }

    #[test]
    fn transfers_one_after_another_are_fine() {
        let history = [
            concurrent(&[], &[(X, None), (Y, None)]),
            concurrent(&[], &[(X, Some(0)), (Y, Some(0))]),
            concurrent(&[(X, Some(1)), (Y, Some(1))], &[]),
            concurrent(&[(X, None), (Y, None)], &[]),
        ];
        let checked = check(&history).unwrap();
        assert_eq!((checked.committed, checked.told_by_others), (4, 0));
    }

    #[test]
    fn write_skew_is_allowed() {
        let history = [
            concurrent(&[(Y, None)], &[(X, None)]),
            concurrent(&[(X, None)], &[(Y, None)]),
        ];
        assert!(check(&history).is_ok());
    }

    #[test]
    fn a_lost_update_is_found() {
        let history = [concurrent(&[], &[(X, None)]), concurrent(&[], &[(X, None)])];
        let writers = [0, 1];
        assert_eq!(anomaly(&history), Anomaly::LostUpdate { key: X, writers });
    }

    #[test]
    fn who_sees_half_of_a_transaction_is_found() {
        let history = [
            concurrent(&[], &[(X, None), (Y, None)]),
            concurrent(&[(X, Some(0)), (Y, None)], &[]),
        ];
        let Anomaly::Circle(circle) = anomaly(&history) else {
            panic!("{:?}", anomaly(&history));
        };
        assert_eq!(circle.len(), 2);
        assert!(circle.contains(&(1, Dependency::Key(X))));
        assert!(circle.contains(&(0, Dependency::Anti(Y))));
    }

    #[test]
    fn two_readers_who_see_two_writers_in_different_orders_are_found() {
        let history = [
            concurrent(&[], &[(X, None)]),
            concurrent(&[], &[(Y, None)]),
            concurrent(&[(X, Some(0)), (Y, None)], &[]),
            concurrent(&[(X, None), (Y, Some(1))], &[]),
        ];
        assert!(matches!(anomaly(&history), Anomaly::Circle(circle) if circle.len() == 4));
    }

    #[test]
    fn an_old_snapshot_is_found_by_the_time() {
        let mut history = [concurrent(&[], &[(X, None)]), concurrent(&[(X, None)], &[])];
        assert!(check(&history).is_ok(), "while they are concurrent");
        history[0].fate = Fate::Committed(10);
        history[1].called = 11;
        assert!(matches!(anomaly(&history), Anomaly::Circle(_)));
        history[1].called = 10;
        assert!(check(&history).is_ok(), "equal moments tell nothing");
    }

    #[test]
    fn time_passes_through_moments_in_between() {
        let mut history = [
            concurrent(&[], &[(X, None)]),
            concurrent(&[], &[(Y, None)]),
            concurrent(&[(X, None)], &[]),
        ];
        history[0].fate = Fate::Committed(10);
        history[1].fate = Fate::Committed(20);
        history[2].called = 30;
        assert!(matches!(anomaly(&history), Anomaly::Circle(_)));
    }

    #[test]
    fn nobody_reads_what_was_aborted_or_never_written() {
        let mut history = [
            concurrent(&[], &[(X, None)]),
            concurrent(&[(X, Some(0))], &[]),
        ];
        history[0].fate = Fate::Aborted;
        assert!(matches!(
            anomaly(&history),
            Anomaly::AbortedRead { writer: 0, .. }
        ));
        history[1].reads = vec![(Y, Some(0))];
        assert!(matches!(
            anomaly(&history),
            Anomaly::NeverWritten { key: Y, .. }
        ));
        history[1].reads = vec![(X, Some(7))];
        assert!(matches!(
            anomaly(&history),
            Anomaly::NeverWritten { writer: 7, .. }
        ));
    }

    #[test]
    fn what_nobody_told_happened_if_somebody_saw_it() {
        let mut history = vec![concurrent(&[], &[(X, None)]), concurrent(&[], &[(X, None)])];
        history[0].fate = Fate::Unknown;
        assert!(check(&history).is_ok(), "it may never have happened");
        history.push(concurrent(&[(X, Some(0))], &[]));
        assert!(matches!(anomaly(&history), Anomaly::LostUpdate { .. }));
    }

    #[test]
    fn what_aborted_transactions_saw_was_a_snapshot_too() {
        let mut history = [
            concurrent(&[], &[(X, None), (Y, None)]),
            concurrent(&[(Y, None)], &[(X, Some(0))]),
        ];
        history[1].fate = Fate::Aborted;
        assert!(matches!(anomaly(&history), Anomaly::Circle(_)));
    }
}
