//! The string interface of the course over any engine, in the layout that every server here reads.
//!
//! # What it is
//!
//! [`set`], [`get`] and [`remove`] for text, and [`Request`], the few commands that a server with nothing but these
//! three can answer. The milestones build their stores and servers from it.
//!
//! # What it guarantees
//!
//! What is set here is what GET of the full server shows, and the other way round: expired keys are absent.
//!
//! # What it does not
//!
//! It removes no expired keys (the full server does), and [`remove`] is two steps: of two at once both may find the key.

use bytes::Bytes;
use storage::{Batch, Engine, Reader};
use wire::Reply;

use crate::{Command, keyspace};

/// Why a store of strings could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The key to remove is not there. Nothing was changed.
    #[error("Key not found")]
    KeyNotFound,
    /// The engine failed, or what it holds was not written by this version.
    #[error(transparent)]
    Store(#[from] crate::Error),
    /// The value is not text. Read it with a client that takes bytes.
    #[error("the value of key {key:?} is not UTF-8 text")]
    NotText {
        /// The key.
        key: String,
    },
}

impl From<storage::Error> for Error {
    fn from(error: storage::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Sets `key` to `value`, for good.
///
/// # Errors
/// As [`Engine::write`].
pub fn set(engine: &dyn Engine, key: &str, value: &str) -> Result<(), Error> {
    let mut batch = Batch::new();
    keyspace::set(&mut batch, key.as_bytes(), value.as_bytes(), None);
    Ok(engine.write(&batch)?)
}

/// The value of `key` as of `now_ms`, in milliseconds since 1970.
///
/// # Errors
/// As [`keyspace::get`]; [`Error::NotText`].
pub fn get(reader: &dyn Reader, key: &str, now_ms: u64) -> Result<Option<String>, Error> {
    let Some(value) = keyspace::get(reader, key.as_bytes(), now_ms)? else {
        return Ok(None);
    };
    match String::from_utf8(value.payload.into()) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::NotText {
            key: key.to_owned(),
        }),
    }
}

/// Removes `key`.
///
/// # Errors
/// [`Error::KeyNotFound`] when it is not there as of `now_ms`; as [`keyspace::get`] and [`Engine::write`].
pub fn remove(engine: &dyn Engine, key: &str, now_ms: u64) -> Result<(), Error> {
    if keyspace::get(engine, key.as_bytes(), now_ms)?.is_none() {
        return Err(Error::KeyNotFound);
    }
    let mut batch = Batch::new();
    keyspace::remove(&mut batch, key.as_bytes());
    Ok(engine.write(&batch)?)
}

/// What a client may ask of a store of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// PING: is anyone there? With a message, that message back.
    Ping(Option<Bytes>),
    /// SET of a key, without options.
    Set(String, String),
    /// GET of a key.
    Get(String),
    /// DEL of one or more keys.
    Remove(Vec<String>),
}

impl Request {
    /// Understands `args`, the name of the command first.
    ///
    /// # Errors
    /// The error reply, as Redis words it, for an unknown command and a wrong number of arguments; and one for options
    /// and commands that only the full server has, and for bytes that are not text.
    pub fn parse(args: &[Bytes]) -> Result<Self, Reply> {
        let command = Command::parse(args)?;
        match (command.name(), &args[1..]) {
            ("PING", []) => Ok(Self::Ping(None)),
            ("PING", [message]) => Ok(Self::Ping(Some(message.clone()))),
            ("SET", [key, value]) => Ok(Self::Set(text(key)?, text(value)?)),
            ("GET", [key]) => Ok(Self::Get(text(key)?)),
            ("DEL", keys) => Ok(Self::Remove(
                keys.iter().map(text).collect::<Result<_, _>>()?,
            )),
            (name, args) => Err(Reply::error(format!(
                "ERR this server has no {name} with {} argument(s): use kvs-server",
                args.len()
            ))),
        }
    }
}

fn text(bytes: &Bytes) -> Result<String, Reply> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| Reply::error("ERR keys and values of this server are UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, ScanCursors};
    use storage::MemoryEngine;

    fn parse(words: &[&'static str]) -> Result<Request, Reply> {
        let args: Vec<_> = words
            .iter()
            .map(|word| Bytes::from_static(word.as_bytes()))
            .collect();
        Request::parse(&args)
    }

    fn refusal(words: &[&'static str]) -> String {
        match parse(words) {
            Err(Reply::Error(message)) => message.into_owned(),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn text_that_was_set_is_found_until_it_is_removed_once() {
        let engine = MemoryEngine::new();
        assert_eq!(get(&engine, "k", 0).unwrap(), None);
        set(&engine, "k", "1").unwrap();
        set(&engine, "k", "2").unwrap();
        assert_eq!(get(&engine, "k", 0).unwrap().as_deref(), Some("2"));
        remove(&engine, "k", 0).unwrap();
        assert!(matches!(remove(&engine, "k", 0), Err(Error::KeyNotFound)));
        assert_eq!(get(&engine, "k", 0).unwrap(), None);
    }

    #[test]
    fn a_key_whose_time_has_passed_is_neither_found_nor_removed() {
        let engine = MemoryEngine::new();
        let mut batch = Batch::new();
        keyspace::set(&mut batch, b"k", b"v", Some(1000));
        engine.write(&batch).unwrap();
        assert_eq!(get(&engine, "k", 1000).unwrap().as_deref(), Some("v"));
        assert_eq!(get(&engine, "k", 1001).unwrap(), None);
        assert!(matches!(
            remove(&engine, "k", 1001),
            Err(Error::KeyNotFound)
        ));
    }

    #[test]
    fn a_value_that_is_not_text_is_an_error_that_names_the_key() {
        let engine = MemoryEngine::new();
        let mut batch = Batch::new();
        keyspace::set(&mut batch, b"k", b"\xff", None);
        engine.write(&batch).unwrap();
        let error = get(&engine, "k", 0).unwrap_err();
        assert!(matches!(error, Error::NotText { key } if key == "k"));
    }

    #[test]
    fn the_full_server_shows_what_was_set_here_and_the_other_way_round() {
        let engine = MemoryEngine::new();
        let cursors = ScanCursors::new(1);
        let execute = |words: &[&'static str]| {
            let args: Vec<_> = words
                .iter()
                .map(|w| Bytes::from_static(w.as_bytes()))
                .collect();
            let context = Context {
                reader: &engine,
                now_ms: 0,
                limits: engine.limits(),
                max_reply_bytes: usize::MAX,
                cursors: &cursors,
            };
            let mut batch = Batch::new();
            let reply = crate::execute(&Command::parse(&args).unwrap(), &context, &mut batch);
            engine.write(&batch).unwrap();
            reply.unwrap()
        };
        set(&engine, "ours", "1").unwrap();
        assert_eq!(execute(&["GET", "ours"]), Reply::bulk("1"));
        execute(&["SET", "theirs", "2"]);
        assert_eq!(get(&engine, "theirs", 0).unwrap().as_deref(), Some("2"));
    }

    #[test]
    fn the_four_commands_are_understood_in_any_case() {
        assert_eq!(parse(&["ping"]), Ok(Request::Ping(None)));
        assert_eq!(
            parse(&["PING", "x"]),
            Ok(Request::Ping(Some(Bytes::from_static(b"x"))))
        );
        assert_eq!(
            parse(&["Set", "k", "v"]),
            Ok(Request::Set("k".to_owned(), "v".to_owned()))
        );
        assert_eq!(parse(&["get", "k"]), Ok(Request::Get("k".to_owned())));
        assert_eq!(
            parse(&["del", "a", "b"]),
            Ok(Request::Remove(vec!["a".to_owned(), "b".to_owned()]))
        );
    }

    #[test]
    fn what_is_not_understood_gets_an_error_reply_and_no_request() {
        assert!(refusal(&["get"]).starts_with("ERR wrong number of arguments for 'get'"));
        assert!(refusal(&["nonsense"]).starts_with("ERR unknown command 'nonsense'"));
        assert!(refusal(&["set", "k", "v", "ex", "1"]).contains("use kvs-server"));
        assert!(refusal(&["hello", "3"]).contains("use kvs-server"));
        assert!(refusal(&[]).starts_with("ERR"));
        let not_text = [Bytes::from_static(b"get"), Bytes::from_static(b"\xff")];
        assert!(Request::parse(&not_text).is_err());
    }
}
