//! The user's side: from a password and a key file to the numbers that the commitment hides.
//!
//! What it guarantees. No less work for a guess than [`Cost::MINIMUM`], whatever a registry asks for: a registry that lies about the cost
//! or the salt would otherwise get a commitment that is cheap to guess. Passwords, keys and what is made of them are wiped.
//!
//! What it does not. It cannot make a weak password strong: without a key file, who gets the registry can try passwords.

use argon2::{Algorithm, Argon2, Params, Version};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, PrimeField};
use ark_std::rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;
use zk_store::{TextError, decode_text, encode_text};

use crate::statement::{Challenge, Private, Public, identity, user_word};

/// Bytes of Argon2id that become a number: 128 bits more than r has, so that the number is uniform.
const HASH_BYTES: usize = 48;
/// Shortest salt in bytes.
pub const MIN_SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const PREFIX: &str = "keyproof-login-key-1-";

/// What one guess of a password costs ([RFC 9106]).
///
/// [RFC 9106]: https://www.rfc-editor.org/rfc/rfc9106
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// RFC 9106's second recommendation: 64 MiB, three passes.
    pub const DEFAULT: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 4,
    };

    /// The least that the client accepts: 19 MiB, two passes, as OWASP recommends.
    pub const MINIMUM: Self = Self {
        memory_kib: 19 << 10,
        passes: 2,
        lanes: 1,
    };

    /// The most: 1 GiB, 16 passes and lanes. A registry could otherwise stop its users by asking for more than they have.
    pub const MAXIMUM: Self = Self {
        memory_kib: 1 << 20,
        passes: 16,
        lanes: 16,
    };
}

/// What a client refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A password without characters.
    #[error("the password is empty")]
    EmptyPassword,
    /// The salt is short.
    #[error("the salt has {0} bytes, at least {MIN_SALT_BYTES} are needed")]
    ShortSalt(usize),
    /// A guess would be too cheap.
    #[error(
        "the registry asks for {found} {what}, less than the {least} that keep guesses expensive"
    )]
    CheapGuess {
        /// Of what.
        what: &'static str,
        /// What is asked for.
        found: u32,
        /// What would do.
        least: u32,
    },
    /// The cost is out of proportion.
    #[error("the registry asks for {found} {what}, more than {most}")]
    Unaffordable {
        /// Of what.
        what: &'static str,
        /// What is asked for.
        found: u32,
        /// What would do.
        most: u32,
    },
    /// Argon2 refuses the parameters together, or there is no memory.
    #[error("Argon2id cannot be computed: {0}")]
    Argon2(argon2::Error),
}

/// 32 random bytes that the commitment hides beside the password. Wiped when dropped, never printed. As text it is
/// `keyproof-login-key-1-<32 bytes><checksum, 4>`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyFile(..)")
    }
}

impl KeyFile {
    /// A new key.
    pub fn random<R: RngCore + CryptoRng>(random: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The key as text.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        encode_text(PREFIX, &*self.0)
    }

    /// The key as a number. Keys that are the same modulo r are as good as each other.
    fn number(&self) -> Fr {
        Fr::from_be_bytes_mod_order(&*self.0)
    }
}

impl std::str::FromStr for KeyFile {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        decode_text(PREFIX, text).map(Self)
    }
}

/// What the registry is told, besides the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// For Argon2id; random, of this user only.
    pub salt: Vec<u8>,
    /// What a guess costs.
    pub cost: Cost,
    /// What is hidden in it.
    pub commitment: Fr,
}

/// What a user knows at one service. Wiped when dropped, never printed.
#[derive(Debug, Clone)]
pub struct Secrets(Private);

impl Secrets {
    /// Hashes the password: takes the time and memory of `cost`. Without a key file, who gets the registry can guess at the password.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn derive(
        service: &str,
        user: &str,
        password: &[u8],
        key: Option<&KeyFile>,
        salt: &[u8],
        cost: Cost,
    ) -> Result<Self, ClientError> {
        if password.is_empty() {
            return Err(ClientError::EmptyPassword);
        }
        if salt.len() < MIN_SALT_BYTES {
            return Err(ClientError::ShortSalt(salt.len()));
        }
        check(cost)?;
        let parameters = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(HASH_BYTES))
            .map_err(ClientError::Argon2)?;
        let mut hash = Zeroizing::new([0; HASH_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(password, salt, &mut *hash)
            .map_err(ClientError::Argon2)?;
        Ok(Self(Private {
            identity: identity(user_word(service, user)),
            password: Fr::from_be_bytes_mod_order(&*hash),
            key: key.map_or(Fr::ZERO, KeyFile::number),
        }))
    }

    /// What to register: with a new salt.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn register<R: RngCore + CryptoRng>(
        service: &str,
        user: &str,
        password: &[u8],
        key: Option<&KeyFile>,
        cost: Cost,
        random: &mut R,
    ) -> Result<Registration, ClientError> {
        let mut salt = vec![0; MIN_SALT_BYTES];
        random.fill_bytes(&mut salt);
        let secrets = Self::derive(service, user, password, key, &salt, cost)?;
        Ok(Registration {
            commitment: secrets.commitment(),
            salt,
            cost,
        })
    }

    /// What the registry should know. Compare before proving: the password may be wrong.
    #[must_use]
    pub fn commitment(&self) -> Fr {
        self.0.commitment()
    }

    /// What is to be proved for a challenge.
    #[must_use]
    pub fn login(&self, challenge: &Challenge) -> (Public, Private) {
        let public = Public {
            commitment: self.commitment(),
            context: challenge.context(),
        };
        (public, self.0.clone())
    }
}

fn check(cost: Cost) -> Result<(), ClientError> {
    let (least, most) = (Cost::MINIMUM, Cost::MAXIMUM);
    for (what, found, least, most) in [
        (
            "KiB of memory",
            cost.memory_kib,
            least.memory_kib,
            most.memory_kib,
        ),
        ("passes", cost.passes, least.passes, most.passes),
        ("lanes", cost.lanes, least.lanes, most.lanes),
    ] {
        if found < least {
            return Err(ClientError::CheapGuess { what, found, least });
        }
        if found > most {
            return Err(ClientError::Unaffordable { what, found, most });
        }
    }
    Ok(())
}
