//! A registry that is on no chain: users, their commitments and nonces, in an engine.
//!
//! What it guarantees. A login counts once: its nonce is used up on disk before it is acknowledged. A proof for another user, action or
//! session, or after its expiry, is refused.
//!
//! What it does not. It takes the first who asks for a name, and does not limit how often somebody tries: a wrong password makes no proof,
//! so trying costs a verification each.
//!
//! ```text
//! password/user/USER        commitment (32), memory, passes, lanes (4 each), salt
//! password/nonce/USER       logins so far (8)            USER is user_word, 32 bytes
//! ```

use ark_bn254::Fr;
use gadgets::context::Word;
use proof::statement::Statement;
use proof::verify::{Proof, Verifier, VerifyError};
use storage::Engine;
use zk_store::{Batch, StoreError, number_bytes, read_number};

use crate::client::{Cost, Registration};
use crate::statement::{Challenge, Login, Public, user_word};

/// Longest time in seconds that a challenge may be open. A proof that lies around is a risk, not a convenience.
pub const MAX_OPEN_S: u64 = 600;

/// What the registry knows of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// As the user registered.
    pub registration: Registration,
    /// Logins so far.
    pub nonce: u64,
}

/// Why a registration or login was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The name is taken.
    #[error("the user is registered already")]
    Taken,
    /// There is no such user.
    #[error("there is no such user")]
    Unknown,
    /// The challenge was used, or another login came first.
    #[error("the challenge was used: ask for a new one")]
    Used,
    /// Too late.
    #[error("the challenge has expired: ask for a new one")]
    Expired,
    /// The challenge would be open too long, or is for another registry.
    #[error("the challenge is not one of this registry")]
    Foreign,
    /// The proof is none.
    #[error("the login was refused: {0}")]
    Refused(VerifyError),
}

/// The users of one service in an engine.
#[derive(Debug)]
pub struct Registry<E> {
    engine: E,
    service: String,
}

impl<E: Engine> Registry<E> {
    /// The registry of a service that is kept in `engine`.
    pub fn new(engine: E, service: &str) -> Self {
        Self {
            engine,
            service: service.to_owned(),
        }
    }

    /// Takes a user.
    ///
    /// # Errors
    ///
    /// [`LoginError::Taken`]; those of the store.
    pub fn register(&mut self, user: &str, registration: &Registration) -> Result<(), LoginError> {
        let key = user_key(&user_word(&self.service, user));
        if self.engine.contains(&key).map_err(StoreError::from)? {
            return Err(LoginError::Taken);
        }
        let written = self.engine.put(&key, &to_bytes(registration));
        Ok(written.map_err(StoreError::from)?)
    }

    /// What is known of a user: what the user's client needs to hash the password.
    ///
    /// # Errors
    ///
    /// [`LoginError::Unknown`]; those of the store.
    pub fn record(&self, user: &str) -> Result<Record, LoginError> {
        self.record_of(&user_word(&self.service, user))
    }

    fn record_of(&self, user: &Word) -> Result<Record, LoginError> {
        let key = user_key(user);
        let value = self.engine.get(&key).map_err(StoreError::from)?;
        let value = value.ok_or(LoginError::Unknown)?;
        let registration = from_bytes(&value).ok_or_else(|| StoreError::damaged(&key))?;
        let key = nonce_key(user);
        let nonce = match self.engine.get(&key).map_err(StoreError::from)? {
            None => 0,
            Some(value) => {
                let bytes = value[..].try_into();
                u64::from_be_bytes(bytes.map_err(|_| StoreError::damaged(&key))?)
            }
        };
        Ok(Record {
            registration,
            nonce,
        })
    }

    /// A challenge for a user's next login: `action` is what the login allows, `session` the public key of the session that it opens.
    ///
    /// # Errors
    ///
    /// [`LoginError::Unknown`]; those of the store.
    pub fn challenge(
        &self,
        user: &str,
        action: Word,
        session: Word,
        now_s: u64,
    ) -> Result<Challenge, LoginError> {
        Ok(Challenge {
            chain_id: 0,
            contract: [0; 20],
            user: user_word(&self.service, user),
            nonce: self.record(user)?.nonce,
            expiry_s: now_s.saturating_add(MAX_OPEN_S),
            action,
            session,
        })
    }

    /// Lets a user in who proves knowledge of the password for this challenge, once. `session` is the key of the session that the proof
    /// came through.
    ///
    /// # Errors
    ///
    /// [`LoginError`].
    pub fn login(
        &mut self,
        challenge: &Challenge,
        session: &Word,
        proof: &Proof,
        verifier: &Verifier,
        now_s: u64,
    ) -> Result<(), LoginError> {
        let is_ours = (challenge.chain_id, challenge.contract) == (0, [0; 20]);
        let is_long = challenge.expiry_s > now_s.saturating_add(MAX_OPEN_S);
        if !is_ours || is_long || challenge.session != *session {
            return Err(LoginError::Foreign);
        }
        if now_s > challenge.expiry_s {
            return Err(LoginError::Expired);
        }
        let record = self.record_of(&challenge.user)?;
        if record.nonce != challenge.nonce {
            return Err(LoginError::Used);
        }
        let public = Public {
            commitment: record.registration.commitment,
            context: challenge.context(),
        };
        let verdict = verifier.verify(&Login::public_inputs(&public), proof);
        verdict.map_err(LoginError::Refused)?;
        let mut batch = Batch::new();
        let next = (record.nonce + 1).to_be_bytes();
        batch.put(nonce_key(&challenge.user), next.to_vec());
        Ok(self.engine.write(&batch).map_err(StoreError::from)?)
    }
}

fn user_key(user: &Word) -> Vec<u8> {
    [b"password/user/", &user[..]].concat()
}

fn nonce_key(user: &Word) -> Vec<u8> {
    [b"password/nonce/", &user[..]].concat()
}

fn to_bytes(registration: &Registration) -> Vec<u8> {
    let Cost {
        memory_kib,
        passes,
        lanes,
    } = registration.cost;
    let mut bytes = number_bytes(registration.commitment).to_vec();
    bytes.extend(
        [memory_kib, passes, lanes]
            .map(u32::to_be_bytes)
            .as_flattened(),
    );
    bytes.extend(&registration.salt);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Option<Registration> {
    let (commitment, rest) = bytes.split_first_chunk::<32>()?;
    let (cost, salt) = rest.split_first_chunk::<12>()?;
    let cost = |index: usize| Some(u32::from_be_bytes(*cost[4 * index..].first_chunk()?));
    let commitment: Fr = read_number(commitment)?;
    Some(Registration {
        commitment,
        cost: Cost {
            memory_kib: cost(0)?,
            passes: cost(1)?,
            lanes: cost(2)?,
        },
        salt: salt.to_vec(),
    })
}
