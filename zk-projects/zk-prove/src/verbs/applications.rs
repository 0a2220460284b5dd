//! The applications' verbs: open a world and do one thing.

use std::path::Path;

use password_verifier::Cost;
use zeroize::Zeroizing;

use crate::apps::merkle::{self, List};
use crate::apps::mixer::{self, Payment, Pool};
use crate::apps::password::{self, Credentials, Service};
use crate::apps::read_secret_text;
use crate::apps::token::{Account, To};
use crate::args::apps::{Merkle, Mixer, Password, SharedPlace, Token, WalletFile};
use crate::failure::Failure;
use crate::output::Output;
use crate::world::World;

use super::{Outcome, remembered};

fn open(at: SharedPlace) -> Result<World, Failure> {
    World::open(&at.place.dir, remembered(), at.store)
}

pub(super) fn mixer(verb: Mixer, output: Output) -> Result<Outcome, Failure> {
    match verb {
        Mixer::Deposit { place, note } => {
            let mut world = open(place)?;
            let deposited = Pool::open(&mut world)?.deposit(&note)?;
            output.print(&deposited)?;
        }
        Mixer::Withdraw {
            place,
            note,
            to,
            relayer,
            fee,
        } => {
            let note = mixer::read_note(&note)?;
            let payment = Payment {
                recipient: to,
                relayer: relayer.unwrap_or_default(),
                fee: fee.unwrap_or_default(),
            };
            let mut world = open(place)?;
            let withdrawn = Pool::open(&mut world)?.withdraw(&note, &payment)?;
            output.print(&withdrawn)?;
        }
    }
    Ok(Outcome::Done)
}

/// The first line of a file that only its owner may open, or what is typed at a prompt that shows nothing.
fn password_from(file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let text = match file {
        Some(file) => read_secret_text(file)?,
        None => Zeroizing::new(rpassword::prompt_password("password: ").map_err(Failure::Prompt)?),
    };
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    match line.is_empty() {
        true => Err(Failure::NoPassword),
        false => Ok(line),
    }
}

pub(super) fn password(verb: &Password, output: Output) -> Result<Outcome, Failure> {
    let (Password::Register { user, .. } | Password::Login { user, .. }) = verb;
    let password = password_from(user.password_file.as_deref())?;
    let mut world = open(user.place.clone())?;
    let mut credentials = Credentials {
        user: &user.user,
        password: password.as_bytes(),
        key: None,
    };
    match verb {
        Password::Register { key, .. } => {
            let mut service = Service::open(&mut world)?;
            credentials.key = key.as_deref().map(password::new_key_file).transpose()?;
            let registered = service.register(&credentials, Cost::DEFAULT)?;
            output.print(&registered)?;
        }
        Password::Login { key, action, .. } => {
            credentials.key = key.as_deref().map(password::read_key_file).transpose()?;
            let logged_in = Service::open(&mut world)?.login(&credentials, action)?;
            output.print(&logged_in)?;
        }
    }
    Ok(Outcome::Done)
}

pub(super) fn merkle(verb: Merkle, output: Output) -> Result<Outcome, Failure> {
    match verb {
        Merkle::Member { secret } => output.print(&merkle::new_member(&secret)?)?,
        Merkle::Build {
            place,
            leaves,
            values,
        } => {
            let leaves = merkle::leaves_of(&leaves)?;
            let mut world = open(place)?;
            let built = List::open(&mut world)?.build(&leaves, values)?;
            output.print(&built)?;
        }
        Merkle::Prove {
            place,
            leaves,
            secret,
            value,
            topic,
            message,
        } => {
            let leaves = leaves.as_deref().map(merkle::leaves_of).transpose()?;
            let mut world = open(place)?;
            let mut list = List::open(&mut world)?;
            if let Some(leaves) = leaves {
                list.build(&leaves, value.is_some())?;
            }
            let said = match (secret, value) {
                (Some(secret), _) => list.say(&merkle::read_member(&secret)?, &topic, &message)?,
                (None, value) => {
                    let value = value.unwrap_or_default();
                    let number = proof::decimal::parse(&value);
                    list.show(
                        number.map_err(|error| Failure::Number(value, error))?,
                        &message,
                    )?
                }
            };
            output.print(&said)?;
        }
    }
    Ok(Outcome::Done)
}

/// Where to send, as a user wrote it.
fn receiver(text: &str) -> Result<To, Failure> {
    if let Ok(account) = text.parse() {
        return Ok(To::Public(account));
    }
    let wallet = text.parse().map(To::Private);
    wallet.map_err(|_| Failure::Receiver(text.to_owned()))
}

pub(super) fn token(verb: Token, output: Output) -> Result<Outcome, Failure> {
    let of = |file: &WalletFile| World::open(&file.place.dir, remembered(), None);
    match verb {
        Token::Mint { wallet, amount } => {
            let mut world = of(&wallet)?;
            let moved = Account::open(&mut world, &wallet.wallet, true)?.mint(amount)?;
            output.print(&moved)?;
        }
        Token::Send { wallet, to, amount } => {
            let to = receiver(&to)?;
            let mut world = of(&wallet)?;
            let moved = Account::open(&mut world, &wallet.wallet, false)?.transfer(&to, amount)?;
            output.print(&moved)?;
        }
        Token::Scan { wallet } => {
            let mut world = of(&wallet)?;
            let mut account = Account::open(&mut world, &wallet.wallet, false)?;
            account.rescan()?;
            let balance = account.balance()?;
            output.print(&balance)?;
        }
        Token::Balance { wallet } => {
            let mut world = of(&wallet)?;
            let balance = Account::open(&mut world, &wallet.wallet, true)?.balance()?;
            output.print(&balance)?;
        }
    }
    Ok(Outcome::Done)
}
