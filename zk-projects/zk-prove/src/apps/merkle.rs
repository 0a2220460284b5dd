//! `merkle`: members of a list say something, without showing which of them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolValue;
use ark_bn254::Fr;
use ark_std::rand::rngs::OsRng;
use gadgets::context::keccak;
use merkle_proof::member::{number_of, scope_of};
use merkle_proof::{Group, Member, Membership, Public, PublicMembership, read_leaves};
use proof::private_file;
use serde::Serialize;
use smart_contracts::abi::Membership as contract;
use smart_contracts::contracts::MEMBERSHIP;
use smart_contracts::words::{proof_argument, word};
use storage::Engine;

use super::{Gas, Shown, milliseconds, read_secret_text};
use crate::failure::Failure;
use crate::ready::{Ready, Timed};
use crate::world::{OPERATOR, World};

/// The list of a world: the tree, and the contract that knows its root.
pub(crate) struct List<'w> {
    world: &'w mut World,
    ready: Ready<Membership>,
    /// How long making the key took, if it was not there.
    setup: Option<Duration>,
    address: Address,
    group: Group<Box<dyn Engine>>,
}

/// A member that was made.
#[derive(Debug, Serialize)]
pub(crate) struct NewMember {
    leaf: String,
}

impl fmt::Display for NewMember {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.leaf)
    }
}

/// A list that grew.
#[derive(Debug, Serialize)]
pub(crate) struct Built {
    added: usize,
    leaves: u64,
    root: String,
    gas: u64,
}

impl fmt::Display for Built {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (added, leaves) = (self.added, self.leaves);
        writeln!(
            out,
            "{added} leaves added, {leaves} in all; root {}; {} gas",
            self.root, self.gas
        )
    }
}

/// What was said.
#[derive(Debug, Serialize)]
pub(crate) struct Said {
    message: String,
    leaves: u64,
    /// None where no contract was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    gas: Option<u64>,
    witness_ms: f64,
    proving_ms: f64,
}

impl fmt::Display for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (message, leaves) = (self.message.escape_debug(), self.leaves);
        let proving = self.proving_ms;
        match self.gas {
            Some(gas) => writeln!(
                out,
                "one of {leaves} members says \"{message}\", {gas} gas; proved in {proving} ms"
            ),
            None => writeln!(
                out,
                "the value is one of {leaves}, with the message \"{message}\"; proved in {proving} ms and verified here. Anybody who has the list could have proved it."
            ),
        }
    }
}

impl<'w> List<'w> {
    /// The list of a world: key, contracts and tree are made if they are not there.
    pub(crate) fn open(world: &'w mut World) -> Result<Self, Failure> {
        let (ready, setup) = world.ready()?;
        let verifier = world.verifier(&ready)?;
        let group = Group::new(world.shared_store("merkle-proof")?);
        let root = word(group.root()?);
        let address = world.contract("membership", || {
            let arguments = (verifier, OPERATOR, root).abi_encode();
            Ok((MEMBERSHIP.creation_code(), arguments))
        })?;
        let mut list = Self {
            world,
            ready,
            setup,
            address,
            group,
        };
        // After a verb that ended between the tree and the contract.
        let told = list
            .world
            .chain()
            .view(OPERATOR, address, &contract::rootCall {})?;
        if told != root {
            list.tell(root)?;
        }
        Ok(list)
    }

    /// Tells the contract the root of the tree. Gas.
    fn tell(&mut self, root: U256) -> Result<u64, Failure> {
        let call = contract::setRootCall { root_: root };
        Ok(self
            .world
            .call(OPERATOR, self.address, U256::ZERO, &call)?
            .gas)
    }

    /// Adds leaves and tells the contract the new root.
    pub(crate) fn build(&mut self, leaves: &[Fr], are_values: bool) -> Result<Built, Failure> {
        let root = match are_values {
            true => self.group.add_values(leaves)?,
            false => self.group.add(leaves)?,
        };
        let gas = self.tell(word(root))?;
        Ok(Built {
            added: leaves.len(),
            leaves: self.group.leaves()?,
            root: root.to_string(),
            gas,
        })
    }

    /// Proves that a member says a message about a topic.
    pub(crate) fn prove(
        &self,
        member: &Member,
        topic: &str,
        message: &str,
    ) -> Result<(Timed, Public), Failure> {
        let topic = keccak(topic.as_bytes());
        let chain_id = self.world.chain().chain_id();
        let scope = scope_of(chain_id, self.address.into_array(), topic);
        let (public, private) = self
            .group
            .say(member, scope, number_of(message.as_bytes()))?;
        Ok((self.ready.prove(&public, &private)?, public))
    }

    /// Sends it. Gas.
    pub(crate) fn send(
        &mut self,
        topic: &str,
        message: &str,
        (timed, public): &(Timed, Public),
    ) -> Result<u64, Failure> {
        let call = contract::signalCall {
            proof: proof_argument(&timed.proof),
            nullifier: word(public.nullifier),
            topic: B256::from(keccak(topic.as_bytes())),
            message: Bytes::copy_from_slice(message.as_bytes()),
        };
        Ok(self
            .world
            .call(OPERATOR, self.address, U256::ZERO, &call)?
            .gas)
    }

    pub(crate) fn say(
        &mut self,
        member: &Member,
        topic: &str,
        message: &str,
    ) -> Result<Said, Failure> {
        let proved = self.prove(member, topic, message)?;
        let gas = self.send(topic, message, &proved)?;
        self.said(message, &proved.0, Some(gas))
    }

    /// The second mode: that a public value is in the list, which hides nothing but its place.
    pub(crate) fn show(&mut self, value: Fr, message: &str) -> Result<Said, Failure> {
        let (ready, _) = self.world.ready::<PublicMembership>()?;
        let (public, private) = self.group.show(value, number_of(message.as_bytes()))?;
        let timed = ready.prove(&public, &private)?;
        self.said(message, &timed, None)
    }

    fn said(&self, message: &str, timed: &Timed, gas: Option<u64>) -> Result<Said, Failure> {
        Ok(Said {
            message: message.to_owned(),
            leaves: self.group.leaves()?,
            gas,
            witness_ms: milliseconds(timed.witness),
            proving_ms: milliseconds(timed.proving),
        })
    }
}

/// Makes a member whose secret is in a new file of mode 0600.
pub(crate) fn new_member(path: &Path) -> Result<NewMember, Failure> {
    let member = Member::random(&mut OsRng);
    private_file::write_new(path, member.to_text().as_bytes())?;
    Ok(NewMember {
        leaf: member.leaf().to_string(),
    })
}

pub(crate) fn read_member(path: &Path) -> Result<Member, Failure> {
    read_secret_text(path)?.parse().map_err(Failure::text(path))
}

/// The leaves of a file.
pub(crate) fn leaves_of(path: &Path) -> Result<Vec<Fr>, Failure> {
    let bytes = crate::paths::read(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::NotText(path.to_owned()))?;
    read_leaves(text).map_err(|source| Failure::Leaves {
        path: path.to_owned(),
        source,
    })
}

/// A list of ten, of which one says something; a second word of theirs about the topic, and other words under the proof, are refused.
pub(crate) fn demo(world: &mut World, _: &Path) -> Result<Shown, Failure> {
    let members: Vec<Member> = (0..10).map(|_| Member::random(&mut OsRng)).collect();
    let leaves: Vec<Fr> = members.iter().map(Member::leaf).collect();
    let mut list = List::open(world)?;
    let built = list.build(&leaves, false)?;
    let proved = list.prove(&members[7], "budget", "yes")?;
    let mut shown = Shown::new(&list.ready, list.setup, &proved.0)?;
    let other = list.send("budget", "no", &proved);
    let gas = list.send("budget", "yes", &proved)?;
    let again = list.say(&members[7], "budget", "yes, twice");
    shown.accepted = other.is_err() && again.is_err();
    shown.gas = vec![
        Gas {
            call: "setRoot",
            gas: built.gas,
        },
        Gas {
            call: "signal",
            gas,
        },
    ];
    Ok(shown)
}
