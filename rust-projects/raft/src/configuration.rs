//! Who votes, and what a majority is: simple and joint configurations with learners (section 6; Ongaro's thesis, 4.3).
//!
//! In a joint configuration a decision needs a majority of the old voters (`outgoing`) *and* one of the new (`voters`).
//! A voter that is to become a learner is still in `outgoing`, so it waits in `incoming_learners` until the joint phase ends:
//!
//! ```text
//! {1 2 3}  --change to {3 4 5}, learner 1-->  {3 4 5} with {1 2 3}, incoming learner 1  --leave-->  {3 4 5}, learner 1
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::NodeId;

/// The members of a cluster and their parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// Those whose majority decides.
    pub voters: BTreeSet<NodeId>,
    /// While a change is under way: the voters before it, whose majority must agree too. Otherwise empty.
    pub outgoing: BTreeSet<NodeId>,
    /// Those that receive the log and count for nothing.
    pub learners: BTreeSet<NodeId>,
    /// Voters of the outgoing half that become learners when the change ends.
    pub incoming_learners: BTreeSet<NodeId>,
}

/// What has become of an election, or of any question that members answer with yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Enough said yes.
    Won,
    /// So many said no that the others cannot make up for it.
    Lost,
    /// Neither yet.
    Pending,
}

/// Why a configuration cannot be changed to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ChangeError {
    /// Nobody would vote.
    #[error("a cluster needs at least one voter")]
    NoVoters,
    /// A server was named as a voter and as a learner.
    #[error("server {0} cannot be a voter and a learner")]
    Both(NodeId),
    /// An earlier change is not finished, or the leader has not committed an entry of its own term yet.
    #[error("an earlier change of the members is not finished; try again later")]
    UnderWay,
    /// The change changes nothing.
    #[error("the cluster already has these members")]
    Nothing,
}

impl Configuration {
    /// A simple configuration.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            voters: voters.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Whether two majorities must agree.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether the vote of `node` counts, in either half.
    #[must_use]
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.voters.contains(&node) || self.outgoing.contains(&node)
    }

    /// Everybody who receives the log, each once, in order.
    pub fn members(&self) -> impl Iterator<Item = NodeId> {
        let all: BTreeSet<_> = [&self.voters, &self.outgoing, &self.learners]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        all.into_iter()
    }

    /// Everybody whose vote counts, each once, in order.
    pub fn electorate(&self) -> impl Iterator<Item = NodeId> {
        self.voters.union(&self.outgoing).copied()
    }

    /// The greatest value that a majority has reached: of each half, the value such that most of its voters have it or
    /// more; in a joint configuration the lesser of the two. With match indexes this is what may be committed, with times of
    /// last contact the time since when a majority has been silent.
    pub fn quorum<T: Ord + Copy>(&self, value: impl Fn(NodeId) -> T) -> Option<T> {
        let of_half = |half: &BTreeSet<NodeId>| {
            let mut values: Vec<_> = half.iter().map(|&node| value(node)).collect();
            values.sort_unstable_by(|a, b| b.cmp(a));
            values.get(half.len() / 2).copied()
        };
        match (of_half(&self.voters), of_half(&self.outgoing)) {
            (Some(new), Some(old)) => Some(new.min(old)),
            (new, _) => new,
        }
    }

    /// Counts the answers given so far. With no voters nothing is ever won.
    #[must_use]
    pub fn tally(&self, answers: &BTreeMap<NodeId, bool>) -> Tally {
        let of_half = |half: &BTreeSet<NodeId>| {
            let count = |wanted| {
                half.iter()
                    .filter(|node| answers.get(node) == Some(&wanted))
                    .count()
            };
            let majority = half.len() / 2 + 1;
            if count(true) >= majority {
                Tally::Won
            } else if count(false) + majority > half.len() {
                Tally::Lost
            } else {
                Tally::Pending
            }
        };
        let new = of_half(&self.voters);
        if !self.is_joint() {
            return new;
        }
        match (new, of_half(&self.outgoing)) {
            (Tally::Won, Tally::Won) => Tally::Won,
            (Tally::Lost, _) | (_, Tally::Lost) => Tally::Lost,
            _ => Tally::Pending,
        }
    }

    /// The configuration with which a change to the given members begins: a joint one, or the final one at once if the
    /// voters stay as they are, because then no majority changes.
    ///
    /// # Errors
    /// [`ChangeError`]; this configuration must not be joint.
    pub fn change_to(
        &self,
        voters: BTreeSet<NodeId>,
        learners: BTreeSet<NodeId>,
    ) -> Result<Self, ChangeError> {
        if self.is_joint() {
            return Err(ChangeError::UnderWay);
        }
        if voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        if let Some(&both) = voters.intersection(&learners).next() {
            return Err(ChangeError::Both(both));
        }
        if voters == self.voters && learners == self.learners {
            return Err(ChangeError::Nothing);
        }
        if voters == self.voters {
            return Ok(Self {
                voters,
                learners,
                ..Self::default()
            });
        }
        let (incoming_learners, learners) = learners
            .into_iter()
            .partition(|learner| self.voters.contains(learner));
        Ok(Self {
            voters,
            outgoing: self.voters.clone(),
            learners,
            incoming_learners,
        })
    }

    /// The configuration with which a joint phase ends.
    #[must_use]
    pub fn leave_joint(&self) -> Self {
        Self {
            voters: self.voters.clone(),
            outgoing: BTreeSet::new(),
            learners: self
                .learners
                .union(&self.incoming_learners)
                .copied()
                .collect(),
            incoming_learners: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Server numbers are below this, so that all subsets of them can be tried.
    const SERVERS: u32 = 6;

    fn set(bits: u32) -> BTreeSet<NodeId> {
        (0..SERVERS)
            .filter(|bit| bits >> bit & 1 == 1)
            .map(NodeId::from)
            .collect()
    }

    fn voters() -> impl Strategy<Value = BTreeSet<NodeId>> {
        (1..1u32 << SERVERS).prop_map(set)
    }

    /// By definition: more than half of each half that there is.
    fn is_quorum(configuration: &Configuration, of: &BTreeSet<NodeId>) -> bool {
        let most = |half: &BTreeSet<NodeId>| {
            half.is_empty() || half.intersection(of).count() * 2 > half.len()
        };
        !configuration.voters.is_empty()
            && most(&configuration.voters)
            && most(&configuration.outgoing)
    }

    fn quorums(configuration: &Configuration) -> Vec<BTreeSet<NodeId>> {
        (0..1 << SERVERS)
            .map(set)
            .filter(|of| is_quorum(configuration, of))
            .collect()
    }

    /// A configuration, and the joint one or the final one with which a change of it begins.
    fn change() -> impl Strategy<Value = (Configuration, Configuration)> {
        let learners = 0..1u32 << SERVERS;
        let changed = (voters(), learners.clone(), voters(), learners);
        changed.prop_filter_map("a change", |(old, watch, new, learn)| {
            let old = Configuration {
                learners: set(watch).difference(&old).copied().collect(),
                ..Configuration::of_voters(old)
            };
            let learners = set(learn).difference(&new).copied().collect();
            let changed = old.change_to(new, learners).ok()?;
            Some((old, changed))
        })
    }

    proptest! {
        #[test]
        fn the_quorum_value_is_the_greatest_that_a_majority_has_reached(
            (_, configuration) in change(),
            values in prop::collection::vec(0..8u64, SERVERS as usize),
        ) {
            let value = |node: NodeId| values[usize::try_from(node).unwrap()];
            let reached = |least: u64| {
                let there = (0..NodeId::from(SERVERS)).filter(|&node| value(node) >= least).collect();
                is_quorum(&configuration, &there)
            };
            let greatest = (0..8).rev().find(|&least| reached(least));
            prop_assert_eq!(configuration.quorum(value), greatest);
        }

        #[test]
        fn an_election_is_won_by_a_quorum_and_lost_when_no_quorum_can_come_any_more(
            (_, configuration) in change(),
            answers in prop::collection::btree_map(0..NodeId::from(SERVERS), any::<bool>(), 0..=SERVERS as usize),
        ) {
            let who = |wanted| {
                let given = answers.iter().filter(move |&(_, answer)| *answer == wanted);
                given.map(|(&node, _)| node).collect::<BTreeSet<_>>()
            };
            let could: BTreeSet<_> = set(u32::MAX).difference(&who(false)).copied().collect();
            let expected = if is_quorum(&configuration, &who(true)) {
                Tally::Won
            } else if is_quorum(&configuration, &could) {
                Tally::Pending
            } else {
                Tally::Lost
            };
            prop_assert_eq!(configuration.tally(&answers), expected);
        }

        #[test]
        fn any_two_quorums_of_neighbouring_configurations_meet((old, changed) in change()) {
            let last = changed.leave_joint();
            let stages = [quorums(&old), quorums(&changed), quorums(&last)];
            for (first, second) in [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)] {
                for one in &stages[first] {
                    for other in &stages[second] {
                        prop_assert!(!one.is_disjoint(other), "{:?} and {:?}", one, other);
                    }
                }
            }
        }

        #[test]
        fn a_change_leads_to_the_members_asked_for_and_nobody_is_forgotten_on_the_way(
            old in voters(),
            new in voters(),
            learn in 0..1u32 << SERVERS,
        ) {
            let old = Configuration::of_voters(old);
            let learners: BTreeSet<_> = set(learn).difference(&new).copied().collect();
            let Ok(changed) = old.change_to(new.clone(), learners.clone()) else {
                prop_assert_eq!((&old.voters, &old.learners), (&new, &learners));
                return Ok(());
            };
            let last = changed.leave_joint();
            let asked = Configuration { learners, ..Configuration::of_voters(new) };
            prop_assert_eq!(&last, &asked);
            let all: BTreeSet<_> = old.voters.iter().copied().chain(last.members()).collect();
            if changed.is_joint() {
                prop_assert_eq!(changed.members().collect::<BTreeSet<_>>(), all);
                let again = changed.change_to(old.voters, BTreeSet::new());
                prop_assert_eq!(again, Err(ChangeError::UnderWay));
            } else {
                prop_assert_eq!(&changed, &asked);
                prop_assert_eq!(&old.voters, &asked.voters);
            }
            prop_assert!(changed.learners.is_disjoint(&changed.electorate().collect()));
        }
    }

    #[test]
    fn with_no_voters_nothing_is_won_and_nothing_committed() {
        let nobody = Configuration::default();
        assert_eq!(nobody.quorum(|_| 7), None);
        assert_eq!(nobody.tally(&BTreeMap::from([(1, true)])), Tally::Lost);
        let refused = nobody.change_to(BTreeSet::new(), BTreeSet::from([1]));
        assert_eq!(refused, Err(ChangeError::NoVoters));
        let both = nobody.change_to(BTreeSet::from([1]), BTreeSet::from([1]));
        assert_eq!(both, Err(ChangeError::Both(1)));
    }
}
