//! What a login proves.
//!
//! ```text
//! public   commitment, context
//! private  identity, password, key
//!
//! commitment = P3(identity, password, key)
//! context    takes part (it is squared)
//! ```
//!
//! `identity` is the hash of the service's and the user's names, each after its length; `password` is Argon2id of the password, 48 bytes
//! modulo r; `key` is that of a key file with 32 random bytes, or 0.
//!
//! | input | chosen by | attack | prevented by |
//! |---|---|---|---|
//! | commitment | the registry, from the user's record | logging in as somebody else | looked up by the verifier, never taken from the caller |
//! | context | the verifier, from the challenge | a proof seen in a log or on the wire, sent again or by somebody else, for another action or service | the verifier hashes chain, contract, user, nonce, expiry, action and session itself; the nonce counts on with each login |
//! | identity | the user's registration | one commitment in two services, which links them or lets one of them log in at the other | names are hashed in, with their lengths |
//!
//! What can be replayed: nothing. A login changes the nonce that the next context is made of.

use ark_bn254::Fr;
use ark_ff::{PrimeField, UniformRand};
use ark_relations::gr1cs::{ConstraintSystemRef, SynthesisError};
use ark_std::rand::{CryptoRng, Rng, RngCore};
use gadgets::context::{self, Word, address_word, keccak, number_word};
use gadgets::poseidon::{hash, hash_wires};
use gadgets::wire::Circuit;
use proof::statement::{InputError, PrivateInputs, PublicInput, Statement};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// The statement.
#[derive(Debug, Clone, Copy)]
pub struct Login;

/// What everybody sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// What the registry knows of the user.
    #[serde(with = "proof::decimal")]
    pub commitment: Fr,
    /// [`Challenge::context`].
    #[serde(with = "proof::decimal")]
    pub context: Fr,
}

/// What the user knows. Wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// [`user_word`] modulo r.
    #[serde(with = "proof::decimal")]
    pub identity: Fr,
    /// The password's hash.
    #[serde(with = "proof::decimal")]
    pub password: Fr,
    /// The key file's number, or 0.
    #[serde(with = "proof::decimal")]
    pub key: Fr,
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Private(..)")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let numbers = [&mut self.identity, &mut self.password, &mut self.key];
        numbers.into_iter().for_each(Zeroize::zeroize);
    }
}

impl Private {
    /// `P3(identity, password, key)`.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        hash(&[self.identity, self.password, self.key])
    }
}

/// A service's user, as contracts know them: keccak256 over the service's name and the user's, each after its length in bytes (8 bytes,
/// big-endian), so that no two pairs of names are the same bytes.
#[must_use]
pub fn user_word(service: &str, user: &str) -> Word {
    let mut bytes = Vec::new();
    for name in [service, user] {
        bytes.extend((name.len() as u64).to_be_bytes());
        bytes.extend(name.as_bytes());
    }
    keccak(&bytes)
}

/// What a login is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Of the chain; 0 for a registry that is on none.
    pub chain_id: u64,
    /// The registry's address; zeros for one that is on no chain.
    pub contract: [u8; 20],
    /// [`user_word`].
    pub user: Word,
    /// How many logins of the user there were.
    pub nonce: u64,
    /// In seconds since 1970; the login is refused after it.
    pub expiry_s: u64,
    /// What the login allows: keccak256 of a description, or what a contract makes of its call.
    pub action: Word,
    /// Who is logged in: the address of a transaction's sender, or the public key (or a hash) of a session.
    pub session: Word,
}

impl Challenge {
    /// `uint256(keccak256(abi.encode(chain_id, contract, user, nonce, expiry, action, session))) % r`.
    #[must_use]
    pub fn context(&self) -> Fr {
        context::hash(&[
            number_word(self.chain_id.into()),
            address_word(self.contract),
            self.user,
            number_word(self.nonce.into()),
            number_word(self.expiry_s.into()),
            self.action,
            self.session,
        ])
    }
}

impl Statement for Login {
    const NAME: &'static str = "password-verifier";

    const PUBLIC_INPUTS: &'static [PublicInput] = &[
        PublicInput::of_field("commitment", "the registry, from the user's record"),
        PublicInput::of_field("context", "the verifier, from the challenge"),
    ];

    type Public = Public;
    type Private = Private;

    fn public_inputs(public: &Public) -> Vec<Fr> {
        vec![public.commitment, public.context]
    }

    fn check(public: &Public, private: &Private) -> Result<(), InputError> {
        if private.commitment() == public.commitment {
            return Ok(());
        }
        let problem = "hides another password, key file, service or user";
        Err(InputError::new("public.commitment", problem))
    }

    /// 261 constraints for the hash, one that it is the commitment, one for the context.
    fn synthesize(
        system: &ConstraintSystemRef<Fr>,
        public: &Public,
        private: &Private,
    ) -> Result<PrivateInputs, SynthesisError> {
        let circuit = Circuit::new(system);
        let commitment = circuit.public(public.commitment)?;
        let context = circuit.public(public.context)?;
        let identity = circuit.private(private.identity)?;
        let password = circuit.private(private.password)?;
        let key = circuit.private(private.key)?;
        let inputs = PrivateInputs::allocated(system);

        let computed = hash_wires(&circuit, &[identity, password, key])?;
        circuit.enforce_equal(&computed, &commitment)?;
        context::bind(&circuit, &context)?;
        Ok(inputs)
    }

    fn sample<R: RngCore + CryptoRng>(random: &mut R) -> (Public, Private) {
        let user = user_word("example", "somebody");
        let challenge = Challenge {
            chain_id: 31_337,
            contract: random.r#gen(),
            user,
            nonce: random.gen_range(0..100),
            expiry_s: random.r#gen(),
            action: random.r#gen(),
            session: random.r#gen(),
        };
        let private = Private {
            identity: identity(user),
            password: Fr::rand(random),
            key: Fr::rand(random),
        };
        let public = Public {
            commitment: private.commitment(),
            context: challenge.context(),
        };
        (public, private)
    }
}

pub(crate) fn identity(user: Word) -> Fr {
    Fr::from_be_bytes_mod_order(&user)
}
