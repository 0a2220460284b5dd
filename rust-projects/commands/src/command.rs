//! The table of commands, and finding one in it.

use bytes::Bytes;
use storage::Batch;
use wire::Reply;

use crate::error::{Outcome, Stop, settle};
use crate::{Context, Result, counters, expiry, generic, scan, strings};

/// Decides one command: arguments with the name first, already checked for number.
type Run = fn(&[Bytes], &Context<'_>, &mut Batch) -> Outcome;

/// What a command does to the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Only reads.
    Read,
    /// May write.
    Write,
    /// Concerns the connection; decided by [`crate::Session`].
    Connection,
}

/// What is known of a command before its arguments are looked at.
pub(crate) struct Spec {
    /// In capitals.
    pub(crate) name: &'static str,
    /// Number of arguments including the name; negative: at least so many.
    pub(crate) arity: i8,
    pub(crate) flow: Flow,
    /// First key, last key (negative: from the end) and step, as Redis' COMMAND has them; 0 for no keys.
    pub(crate) keys: (i8, i8, i8),
    run: Run,
}

/// Names are compared as one integer, which takes names up to this length.
const MAX_NAME_BYTES: usize = 16;

const NO_KEYS: (i8, i8, i8) = (0, 0, 0);
const ONE_KEY: (i8, i8, i8) = (1, 1, 1);
const ALL_KEYS: (i8, i8, i8) = (1, -1, 1);
const KEY_VALUE_PAIRS: (i8, i8, i8) = (1, -1, 2);

const fn read(name: &'static str, arity: i8, keys: (i8, i8, i8), run: Run) -> Spec {
    Spec {
        name,
        arity,
        flow: Flow::Read,
        keys,
        run,
    }
}

const fn write(name: &'static str, arity: i8, keys: (i8, i8, i8), run: Run) -> Spec {
    Spec {
        name,
        arity,
        flow: Flow::Write,
        keys,
        run,
    }
}

const fn connection(name: &'static str, arity: i8, keys: (i8, i8, i8)) -> Spec {
    Spec {
        name,
        arity,
        flow: Flow::Connection,
        keys,
        run: not_here,
    }
}

/// Every command, by name.
pub(crate) static COMMANDS: &[Spec] = &[
    write("APPEND", 3, ONE_KEY, strings::append),
    connection("AUTH", -2, NO_KEYS),
    connection("CLIENT", -2, NO_KEYS),
    connection("COMMAND", -1, NO_KEYS),
    connection("CONFIG", -2, NO_KEYS),
    read("DBSIZE", 1, NO_KEYS, generic::dbsize),
    write("DECR", 2, ONE_KEY, counters::decr),
    write("DECRBY", 3, ONE_KEY, counters::decrby),
    write("DEL", -2, ALL_KEYS, generic::del),
    connection("DISCARD", 1, NO_KEYS),
    read("ECHO", 2, NO_KEYS, generic::echo),
    connection("EXEC", 1, NO_KEYS),
    read("EXISTS", -2, ALL_KEYS, generic::exists),
    write("EXPIRE", -3, ONE_KEY, expiry::expire),
    write("EXPIREAT", -3, ONE_KEY, expiry::expireat),
    read("EXPIRETIME", 2, ONE_KEY, expiry::expiretime),
    write("FLUSHALL", -1, NO_KEYS, generic::flush),
    write("FLUSHDB", -1, NO_KEYS, generic::flush),
    read("GET", 2, ONE_KEY, strings::get),
    write("GETDEL", 2, ONE_KEY, strings::getdel),
    write("GETEX", -2, ONE_KEY, strings::getex),
    read("GETRANGE", 4, ONE_KEY, strings::getrange),
    write("GETSET", 3, ONE_KEY, strings::getset),
    connection("HELLO", -1, NO_KEYS),
    write("INCR", 2, ONE_KEY, counters::incr),
    write("INCRBY", 3, ONE_KEY, counters::incrby),
    write("INCRBYFLOAT", 3, ONE_KEY, counters::incrbyfloat),
    connection("INFO", -1, NO_KEYS),
    read("KEYS", 2, NO_KEYS, scan::keys),
    read("MGET", -2, ALL_KEYS, strings::mget),
    write("MSET", -3, KEY_VALUE_PAIRS, strings::mset),
    write("MSETNX", -3, KEY_VALUE_PAIRS, strings::msetnx),
    connection("MULTI", 1, NO_KEYS),
    write("PERSIST", 2, ONE_KEY, expiry::persist),
    write("PEXPIRE", -3, ONE_KEY, expiry::pexpire),
    write("PEXPIREAT", -3, ONE_KEY, expiry::pexpireat),
    read("PEXPIRETIME", 2, ONE_KEY, expiry::pexpiretime),
    read("PING", -1, NO_KEYS, generic::ping),
    write("PSETEX", 4, ONE_KEY, strings::psetex),
    read("PTTL", 2, ONE_KEY, expiry::pttl),
    connection("QUIT", -1, NO_KEYS),
    connection("READONLY", 1, NO_KEYS),
    connection("READWRITE", 1, NO_KEYS),
    connection("RESET", 1, NO_KEYS),
    read("SCAN", -2, NO_KEYS, scan::scan),
    connection("SELECT", 2, NO_KEYS),
    write("SET", -3, ONE_KEY, strings::set),
    write("SETEX", 4, ONE_KEY, strings::setex),
    write("SETNX", 3, ONE_KEY, strings::setnx),
    write("SETRANGE", 4, ONE_KEY, strings::setrange),
    read("STRLEN", 2, ONE_KEY, strings::strlen),
    read("TOUCH", -2, ALL_KEYS, generic::exists),
    read("TTL", 2, ONE_KEY, expiry::ttl),
    read("TYPE", 2, ONE_KEY, generic::type_of),
    write("UNLINK", -2, ALL_KEYS, generic::del),
    connection("UNWATCH", 1, NO_KEYS),
    connection("WATCH", -2, ALL_KEYS),
];

/// A command whose name and number of arguments are right; options are looked at when it is decided, as in Redis.
#[derive(Clone, Copy)]
pub struct Command<'a> {
    pub(crate) spec: &'static Spec,
    pub(crate) args: &'a [Bytes],
}

impl<'a> Command<'a> {
    /// Finds the command that `args`, its name first, ask for.
    ///
    /// # Errors
    /// The error reply for an unknown command or a wrong number of arguments.
    pub fn parse(args: &'a [Bytes]) -> std::result::Result<Self, Reply> {
        let name = args.first().map_or(&b""[..], |name| &name[..]);
        let Some(spec) = find(name) else {
            return Err(unknown_command(args));
        };
        let wanted = usize::from(spec.arity.unsigned_abs());
        let fits = if spec.arity < 0 {
            args.len() >= wanted
        } else {
            args.len() == wanted
        };
        if !fits {
            return Err(wrong_arity(&spec.name.to_ascii_lowercase()));
        }
        Ok(Self { spec, args })
    }

    /// The name in capitals.
    pub fn name(&self) -> &'static str {
        self.spec.name
    }

    /// What the command does to the data.
    pub fn flow(&self) -> Flow {
        self.spec.flow
    }

    /// Whether the command may write.
    pub fn is_write(&self) -> bool {
        self.spec.flow == Flow::Write
    }

    /// The user keys among the arguments. Commands over the whole keyspace (KEYS, FLUSHDB ...) name none.
    pub fn keys(&self) -> impl Iterator<Item = &'a Bytes> + use<'a> {
        let (first, last, step) = self.spec.keys;
        let end = match last {
            0 => 0,
            last if last < 0 => self.args.len(),
            last => usize::from(last.unsigned_abs()) + 1,
        };
        let (first, step) = (usize::from(first.unsigned_abs()), step.unsigned_abs());
        self.args[..end]
            .iter()
            .skip(first)
            .step_by(usize::from(step).max(1))
    }

    pub(crate) fn run(&self, context: &Context<'_>, batch: &mut Batch) -> Result<Reply> {
        settle((self.spec.run)(self.args, context, batch))
    }
}

/// The command called `name`, in whatever case.
pub(crate) fn find(name: &[u8]) -> Option<&'static Spec> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let mut capitals = [0; MAX_NAME_BYTES];
    capitals[..name.len()].copy_from_slice(name);
    capitals.make_ascii_uppercase();
    let wanted = u128::from_be_bytes(capitals);
    let found = ORDER.binary_search(&wanted).ok()?;
    // A name followed by zero bytes has the same number.
    Some(&COMMANDS[found]).filter(|spec| spec.name.len() == name.len())
}

/// The names of [`COMMANDS`] as numbers, ascending because the table is sorted.
static ORDER: [u128; COMMANDS.len()] = {
    let mut order = [0; COMMANDS.len()];
    let mut index = 0;
    while index < order.len() {
        order[index] = packed(COMMANDS[index].name);
        assert!(index == 0 || order[index - 1] < order[index], "sorted");
        index += 1;
    }
    order
};

const fn packed(name: &str) -> u128 {
    let mut bytes = [0; MAX_NAME_BYTES];
    let mut index = 0;
    while index < name.len() {
        bytes[index] = name.as_bytes()[index];
        index += 1;
    }
    u128::from_be_bytes(bytes)
}

/// `name` in small letters; a subcommand as `client|setname`.
pub(crate) fn wrong_arity(name: &str) -> Reply {
    Reply::error(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

/// How much of what the client sent an error message repeats.
const MAX_QUOTED_BYTES: usize = 128;

fn unknown_command(args: &[Bytes]) -> Reply {
    let name = args.first().map_or(&b""[..], |name| &name[..]);
    let mut message = b"ERR unknown command '".to_vec();
    message.extend(quoted(name, MAX_QUOTED_BYTES));
    message.extend(b"', with args beginning with: ");
    let before = message.len();
    for arg in args.iter().skip(1) {
        let used = message.len() - before;
        if used >= MAX_QUOTED_BYTES {
            break;
        }
        message.push(b'\'');
        message.extend(quoted(arg, MAX_QUOTED_BYTES - used));
        message.extend(b"' ");
    }
    Reply::error(one_line(&message))
}

/// The first `max` bytes of `bytes` up to a zero byte, as C prints them.
pub(crate) fn quoted(bytes: &[u8], max: usize) -> &[u8] {
    let end = bytes.len().min(max);
    let end = bytes[..end]
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(end);
    &bytes[..end]
}

/// Text for an error reply, which ends at the first line break: those become blanks.
pub(crate) fn one_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(['\r', '\n'], " ")
}

/// Commands of the connection get here only if [`crate::execute`] is called with them.
fn not_here(args: &[Bytes], _: &Context<'_>, _: &mut Batch) -> Outcome {
    Err(Stop::Refuse(Reply::error(format!(
        "ERR {} needs a connection",
        one_line(&args[0])
    ))))
}
