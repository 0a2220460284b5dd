//! HELLO, AUTH, SELECT, RESET, CLIENT, COMMAND, CONFIG, INFO.

use bytes::Bytes;
use wire::{Protocol, Reply};

use super::subcommand;
use super::{Env, Host, Session};
use crate::command::{COMMANDS, Spec, find, one_line, quoted};
use crate::error::{NOT_AN_INTEGER, SYNTAX};
use crate::glob::{self, Case};
use crate::number::parse_i64;
use crate::{Command, Flow, Result};

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD_CONFIGURED: &str = "ERR AUTH <password> called without any password configured for the default \
     user. Are you sure your configuration is correct?";
const HELLO_NEEDS_AUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
     HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
     version at the same time";
/// READONLY and READWRITE where there is no replica to choose: see [`Session::route`].
const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";
const DEFAULT_USER: &[u8] = b"default";
/// A name longer than this is refused; Redis sets no limit.
const MAX_NAME_BYTES: usize = 1024;

impl Session {
    pub(super) fn decide_connection(
        &mut self,
        command: &Command<'_>,
        env: &mut Env<'_>,
    ) -> Result<Reply> {
        let args = command.args;
        Ok(match command.name() {
            "AUTH" => self.auth(args, env.host),
            "CLIENT" => self.client(args),
            "COMMAND" => command_table(args),
            "CONFIG" => config(args, env.host),
            "DISCARD" => self.discard(env),
            "HELLO" => self.hello(args, env.host),
            "INFO" => info(args, env.host),
            "MULTI" => self.multi(),
            "READONLY" | "READWRITE" => Reply::error(NO_CLUSTER),
            "RESET" => self.reset(env),
            "SELECT" => select(&args[1]),
            "UNWATCH" => self.unwatch(env),
            "WATCH" => return self.watch(&args[1..], env),
            // EXEC and QUIT never come here: `handle` decides them, and they are not queued.
            other => Reply::error(format!("ERR {other} is not allowed here")),
        })
    }

    /// `AUTH [user] password`
    fn auth(&mut self, args: &[Bytes], host: &dyn Host) -> Reply {
        match args {
            [_, _] if !host.requires_password() => Reply::error(NO_PASSWORD_CONFIGURED),
            [_, password] => self.log_in(DEFAULT_USER, password, host),
            [_, user, password] => self.log_in(user, password, host),
            _ => Reply::error(SYNTAX),
        }
    }

    fn log_in(&mut self, user: &[u8], password: &[u8], host: &dyn Host) -> Reply {
        // Without a password the default user enters with any.
        let is_right = if host.requires_password() {
            host.authenticate(user, password)
        } else {
            user == DEFAULT_USER
        };
        if !is_right {
            return Reply::error(WRONG_PASSWORD);
        }
        self.is_authenticated = true;
        Reply::OK
    }

    /// `HELLO [2 | 3 [AUTH user password] [SETNAME name]]`
    fn hello(&mut self, args: &[Bytes], host: &dyn Host) -> Reply {
        let protocol = match args.get(1).map(|version| parse_i64(version)) {
            None => self.protocol,
            Some(Some(2)) => Protocol::Resp2,
            Some(Some(3)) => Protocol::Resp3,
            Some(Some(_)) => return Reply::error("NOPROTO unsupported protocol version"),
            Some(None) => {
                return Reply::error("ERR Protocol version is not an integer or out of range");
            }
        };
        let options = match HelloOptions::parse(args.get(2..).unwrap_or_default()) {
            Ok(options) => options,
            Err(reply) => return reply,
        };
        // First all that can be refused, so that a refused HELLO changes nothing.
        if let Some(Err(reply)) = options.name.map(|name| check_name(name)) {
            return reply;
        }
        if let Some((user, password)) = options.login {
            let reply = self.log_in(user, password, host);
            if reply != Reply::OK {
                return reply;
            }
        }
        if host.requires_password() && !self.is_authenticated {
            return Reply::error(HELLO_NEEDS_AUTH);
        }
        if let Some(name) = options.name {
            self.name = Bytes::copy_from_slice(name);
        }
        self.protocol = protocol;
        self.greeting(host)
    }

    fn greeting(&self, host: &dyn Host) -> Reply {
        let version = match self.protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        };
        let fields = [
            // Clients take this for the kind of server, not for its make.
            ("server", Reply::bulk("redis")),
            ("version", Reply::bulk(host.version())),
            ("proto", Reply::Integer(version)),
            ("id", Reply::Integer(self.id_number())),
            ("mode", Reply::bulk("standalone")),
            ("role", Reply::bulk("master")),
            ("modules", Reply::Array(Vec::new())),
        ];
        Reply::Map(
            fields
                .into_iter()
                .map(|(name, value)| (Reply::bulk(name), value))
                .collect(),
        )
    }

    fn reset(&mut self, env: &mut Env<'_>) -> Reply {
        self.watches.clear(env.watches);
        *self = Self::new(self.id);
        Reply::Simple("RESET".into())
    }

    /// CLIENT: what client libraries send when they connect.
    fn client(&mut self, args: &[Bytes]) -> Reply {
        let (name, rest) = (capitals(&args[1]), &args[2..]);
        match (&name[..], rest) {
            ("HELP", _) => subcommand::help("CLIENT"),
            ("ID", _) => Reply::Integer(self.id_number()),
            ("GETNAME", _) if self.name.is_empty() => Reply::Null,
            ("GETNAME", _) => Reply::Bulk(self.name.clone()),
            ("SETNAME", [name]) => self.set_name(name),
            ("SETINFO", [attribute, value]) => set_info(attribute, value),
            ("INFO", _) => text(self.description()),
            ("NO-EVICT" | "NO-TOUCH", [mode]) => match &capitals(mode)[..] {
                "ON" | "OFF" => Reply::OK,
                _ => Reply::error(SYNTAX),
            },
            _ => subcommand::unknown(&args[1], "CLIENT"),
        }
    }

    fn set_name(&mut self, name: &[u8]) -> Reply {
        match check_name(name) {
            Ok(()) => {
                self.name = Bytes::copy_from_slice(name);
                Reply::OK
            }
            Err(reply) => reply,
        }
    }

    fn description(&self) -> String {
        let (id, name) = (self.id, String::from_utf8_lossy(&self.name));
        let resp = match self.protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        };
        let watch = self.watches.len();
        format!("id={id} name={name} db=0 watch={watch} user=default resp={resp}\n")
    }

    fn id_number(&self) -> i64 {
        i64::try_from(self.id).unwrap_or(i64::MAX)
    }
}

fn check_name(name: &[u8]) -> std::result::Result<(), Reply> {
    if !name.iter().all(u8::is_ascii_graphic) {
        return Err(Reply::error(
            "ERR Client names cannot contain spaces, newlines or special characters.",
        ));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Reply::error(format!(
            "ERR Client names cannot be longer than {MAX_NAME_BYTES} bytes."
        )));
    }
    Ok(())
}

#[derive(Default)]
struct HelloOptions<'a> {
    login: Option<(&'a Bytes, &'a Bytes)>,
    name: Option<&'a Bytes>,
}

impl<'a> HelloOptions<'a> {
    fn parse(mut args: &'a [Bytes]) -> std::result::Result<Self, Reply> {
        let mut options = Self::default();
        while let [option, rest @ ..] = args {
            args = match (&capitals(option)[..], rest) {
                ("AUTH", [user, password, rest @ ..]) => {
                    options.login = Some((user, password));
                    rest
                }
                ("SETNAME", [name, rest @ ..]) => {
                    options.name = Some(name);
                    rest
                }
                _ => {
                    let option = one_line(quoted(option, usize::MAX));
                    return Err(Reply::error(format!(
                        "ERR Syntax error in HELLO option '{option}'"
                    )));
                }
            };
        }
        Ok(options)
    }
}

/// There is one database.
fn select(index: &[u8]) -> Reply {
    match parse_i64(index) {
        Some(0) => Reply::OK,
        Some(_) => Reply::error("ERR DB index is out of range"),
        None => Reply::error(NOT_AN_INTEGER),
    }
}

/// Accepts the name and version of a client library, which nothing asks for.
fn set_info(attribute: &[u8], value: &[u8]) -> Reply {
    let name = one_line(attribute);
    if !matches!(&capitals(attribute)[..], "LIB-NAME" | "LIB-VER") {
        return Reply::error(format!("ERR Unrecognized option '{name}'"));
    }
    if !value.iter().all(u8::is_ascii_graphic) {
        return Reply::error(format!(
            "ERR {name} cannot contain spaces, newlines or special characters."
        ));
    }
    Reply::OK
}

/// `INFO [section ...]`
fn info(args: &[Bytes], host: &dyn Host) -> Reply {
    let sections: Vec<String> = args[1..]
        .iter()
        .map(|section| capitals(section).to_ascii_lowercase())
        .collect();
    text(host.info(&sections))
}

/// Text for a person to read.
fn text(text: String) -> Reply {
    Reply::Verbatim {
        format: *b"txt",
        text: text.into(),
    }
}

/// `CONFIG GET pattern ...`
fn config(args: &[Bytes], host: &dyn Host) -> Reply {
    match &capitals(&args[1])[..] {
        "HELP" => subcommand::help("CONFIG"),
        "GET" => {
            let wanted = |name: &str| {
                args[2..]
                    .iter()
                    .any(|pattern| glob::matches(pattern, name.as_bytes(), Case::Insensitive))
            };
            let parameters = host.config().into_iter();
            Reply::Map(
                parameters
                    .filter(|(name, _)| wanted(name))
                    .map(|(name, value)| (Reply::bulk(name), Reply::bulk(value)))
                    .collect(),
            )
        }
        _ => subcommand::unknown(&args[1], "CONFIG"),
    }
}

/// `COMMAND [COUNT | LIST | INFO name ... | DOCS name ...]`
fn command_table(args: &[Bytes]) -> Reply {
    let Some(subcommand) = args.get(1) else {
        return Reply::Array(COMMANDS.iter().map(describe).collect());
    };
    let (subcommand_name, names) = (capitals(subcommand), &args[2..]);
    match &subcommand_name[..] {
        "HELP" => subcommand::help("COMMAND"),
        "COUNT" => Reply::Integer(i64::try_from(COMMANDS.len()).unwrap_or(i64::MAX)),
        "LIST" if names.is_empty() => Reply::Array(COMMANDS.iter().map(small_name).collect()),
        "LIST" => Reply::error(SYNTAX),
        "INFO" if names.is_empty() => Reply::Array(COMMANDS.iter().map(describe).collect()),
        "INFO" => Reply::Array(
            names
                .iter()
                .map(|name| find(name).map_or(Reply::NullArray, describe))
                .collect(),
        ),
        // redis-cli asks for these to give hints and does without.
        "DOCS" => Reply::Map(Vec::new()),
        _ => subcommand::unknown(subcommand, "COMMAND"),
    }
}

fn small_name(spec: &Spec) -> Reply {
    Reply::bulk(spec.name.to_ascii_lowercase())
}

/// An entry as Redis 7 has it: name, arity, flags, keys, and four lists that are empty here.
fn describe(spec: &Spec) -> Reply {
    let flag = match spec.flow {
        Flow::Read => "readonly",
        Flow::Write => "write",
        Flow::Connection => "noscript",
    };
    let (first, last, step) = spec.keys;
    let mut entry = vec![
        small_name(spec),
        Reply::Integer(spec.arity.into()),
        Reply::Set(vec![Reply::Simple(flag.into())]),
        Reply::Integer(first.into()),
        Reply::Integer(last.into()),
        Reply::Integer(step.into()),
    ];
    // Categories, hints, key specifications, and an array of subcommands.
    entry.extend((0..3).map(|_| Reply::Set(Vec::new())));
    entry.push(Reply::Array(Vec::new()));
    Reply::Array(entry)
}

pub(super) fn capitals(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_uppercase()
}
