//! `password`: logins that show knowledge of a password and nothing of it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue;
use ark_std::rand::rngs::OsRng;
use gadgets::context::{address_word, keccak};
use password_verifier::{Challenge, Cost, KeyFile, Login, Registry, Secrets, user_word};
use proof::private_file;
use serde::Serialize;
use smart_contracts::abi::Registry as contract;
use smart_contracts::contracts::REGISTRY;
use smart_contracts::words::{proof_argument, word};
use storage::Engine;

use super::{Gas, Shown, milliseconds, read_secret_text};
use crate::failure::Failure;
use crate::ready::{Ready, Timed};
use crate::world::{OPERATOR, World, now};

/// The service's name, which is part of every commitment.
const SERVICE: &str = "zk-prove";
/// How long a login's proof counts, in seconds.
const EXPIRES_AFTER_S: u64 = 300;

/// The registry of a world: the contract, and salts beside it.
pub(crate) struct Service<'w> {
    world: &'w mut World,
    ready: Ready<Login>,
    /// How long making the key took, if it was not there.
    setup: Option<Duration>,
    address: Address,
    records: Registry<Box<dyn Engine>>,
}

/// A user that was registered.
#[derive(Debug, Serialize)]
pub(crate) struct Registered {
    user: String,
    key_file: bool,
    gas: u64,
}

impl fmt::Display for Registered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} is registered, {} gas", self.user, self.gas)?;
        match self.key_file {
            true => writeln!(
                out,
                "Logging in takes the password and the key file: keep a copy of it."
            ),
            false => writeln!(
                out,
                "WARNING: without a key file, whoever reads the chain can guess at the password."
            ),
        }
    }
}

/// A login that the contract took.
#[derive(Debug, Serialize)]
pub(crate) struct LoggedIn {
    user: String,
    action: String,
    gas: u64,
    witness_ms: f64,
    proving_ms: f64,
}

impl fmt::Display for LoggedIn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, action, gas) = (&self.user, self.action.escape_debug(), self.gas);
        writeln!(
            out,
            "{user} is logged in for \"{action}\", {gas} gas; proved in {} ms",
            self.proving_ms
        )
    }
}

/// What a user types and has.
pub(crate) struct Credentials<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a [u8],
    pub(crate) key: Option<KeyFile>,
}

impl<'w> Service<'w> {
    /// The registry of a world: key, contracts and records are made if they are not there.
    pub(crate) fn open(world: &'w mut World) -> Result<Self, Failure> {
        let (ready, setup) = world.ready()?;
        let verifier = world.verifier(&ready)?;
        let address = world.contract("registry", || {
            Ok((REGISTRY.creation_code(), (verifier,).abi_encode()))
        })?;
        Ok(Self {
            records: Registry::new(world.shared_store("password-verifier")?, SERVICE),
            world,
            ready,
            setup,
            address,
        })
    }

    pub(crate) fn register(
        &mut self,
        of: &Credentials<'_>,
        cost: Cost,
    ) -> Result<Registered, Failure> {
        let key = of.key.as_ref();
        let registration = Secrets::register(SERVICE, of.user, of.password, key, cost, &mut OsRng)?;
        let call = contract::registerCall {
            user: B256::from(user_word(SERVICE, of.user)),
            commitment: word(registration.commitment),
        };
        let receipt = self.world.call(OPERATOR, self.address, U256::ZERO, &call)?;
        // Only now: a name whose registration failed can be tried again.
        self.records.register(of.user, &registration)?;
        Ok(Registered {
            user: of.user.to_owned(),
            key_file: of.key.is_some(),
            gas: receipt.gas,
        })
    }

    /// Proves knowledge of the credentials for one action of the sender, and when that proof expires.
    pub(crate) fn prove(
        &self,
        of: &Credentials<'_>,
        action: &str,
    ) -> Result<(Timed, u64), Failure> {
        let registration = self.records.record(of.user)?.registration;
        let user = user_word(SERVICE, of.user);
        let key = of.key.as_ref();
        let (salt, cost) = (&registration.salt, registration.cost);
        let secrets = Secrets::derive(SERVICE, of.user, of.password, key, salt, cost)?;
        if secrets.commitment() != registration.commitment {
            return Err(Failure::WrongPassword);
        }
        let query = contract::usersCall {
            name: B256::from(user),
        };
        let nonce = self
            .world
            .chain()
            .view(OPERATOR, self.address, &query)?
            .nonce;
        let challenge = Challenge {
            chain_id: self.world.chain().chain_id(),
            contract: self.address.into_array(),
            user,
            nonce: nonce.saturating_to(),
            expiry_s: now() + EXPIRES_AFTER_S,
            action: keccak(action.as_bytes()),
            session: address_word(OPERATOR.into_array()),
        };
        let (public, private) = secrets.login(&challenge);
        Ok((self.ready.prove(&public, &private)?, challenge.expiry_s))
    }

    /// Sends a login from an account. Gas.
    pub(crate) fn send(
        &mut self,
        from: Address,
        user: &str,
        action: &str,
        (timed, expiry_s): &(Timed, u64),
    ) -> Result<u64, Failure> {
        let call = contract::loginCall {
            proof: proof_argument(&timed.proof),
            user: B256::from(user_word(SERVICE, user)),
            action: B256::from(keccak(action.as_bytes())),
            expiry: U256::from(*expiry_s),
        };
        Ok(self.world.call(from, self.address, U256::ZERO, &call)?.gas)
    }

    pub(crate) fn login(
        &mut self,
        of: &Credentials<'_>,
        action: &str,
    ) -> Result<LoggedIn, Failure> {
        let proved = self.prove(of, action)?;
        let gas = self.send(OPERATOR, of.user, action, &proved)?;
        Ok(LoggedIn {
            user: of.user.to_owned(),
            action: action.to_owned(),
            gas,
            witness_ms: milliseconds(proved.0.witness),
            proving_ms: milliseconds(proved.0.proving),
        })
    }
}

/// Makes a key file of mode 0600, which must not be there.
pub(crate) fn new_key_file(path: &Path) -> Result<KeyFile, Failure> {
    let key = KeyFile::random(&mut OsRng);
    private_file::write_new(path, key.to_text().as_bytes())?;
    Ok(key)
}

/// Reads a key file.
pub(crate) fn read_key_file(path: &Path) -> Result<KeyFile, Failure> {
    read_secret_text(path)?.parse().map_err(Failure::text(path))
}

/// A registration and a login; the same proof from another sender, for another action, and once more, is refused.
pub(crate) fn demo(world: &mut World, directory: &Path) -> Result<Shown, Failure> {
    let mut service = Service::open(world)?;
    let credentials = Credentials {
        user: "alice",
        password: b"correct horse battery staple",
        key: Some(new_key_file(&directory.join("alice-key"))?),
    };
    let registered = service.register(&credentials, Cost::DEFAULT)?;
    let action = "show my messages";
    let proved = service.prove(&credentials, action)?;
    let mut shown = Shown::new(&service.ready, service.setup, &proved.0)?;
    let relayed = service.send(Address::repeat_byte(0xee), "alice", action, &proved);
    let other = service.send(OPERATOR, "alice", "delete my messages", &proved);
    let gas = service.send(OPERATOR, "alice", action, &proved)?;
    let again = service.send(OPERATOR, "alice", action, &proved);
    shown.accepted = relayed.is_err() && other.is_err() && again.is_err();
    shown.gas = vec![
        Gas {
            call: "register",
            gas: registered.gas,
        },
        Gas { call: "login", gas },
    ];
    Ok(shown)
}
