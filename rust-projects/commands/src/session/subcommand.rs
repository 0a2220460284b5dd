//! The second word of CLIENT, COMMAND and CONFIG. As with the first, an unknown one or a wrong number of arguments is
//! refused before anything else is looked at, and so also within MULTI.

use wire::Reply;

use super::connection::capitals;
use crate::Command;
use crate::command::{one_line, quoted, wrong_arity};

/// Name and number of arguments, those of the command itself included; negative: at least so many.
type Subcommand = (&'static str, i8);

const CLIENT: &[Subcommand] = &[
    ("GETNAME", 2),
    ("HELP", 2),
    ("ID", 2),
    ("INFO", 2),
    ("NO-EVICT", 3),
    ("NO-TOUCH", 3),
    ("SETINFO", 4),
    ("SETNAME", 3),
];
const COMMAND: &[Subcommand] = &[
    ("COUNT", 2),
    ("DOCS", -2),
    ("HELP", 2),
    ("INFO", -2),
    ("LIST", -2),
];
const CONFIG: &[Subcommand] = &[("GET", -3), ("HELP", 2)];

fn subcommands(command: &str) -> &'static [Subcommand] {
    match command {
        "CLIENT" => CLIENT,
        "COMMAND" => COMMAND,
        "CONFIG" => CONFIG,
        _ => &[],
    }
}

/// Refuses a subcommand that there is not, or with a wrong number of arguments.
pub(super) fn check(command: &Command<'_>) -> Result<(), Reply> {
    let subcommands = subcommands(command.name());
    let (false, Some(given)) = (subcommands.is_empty(), command.args.get(1)) else {
        return Ok(());
    };
    let wanted = capitals(given);
    let Some((name, arity)) = subcommands.iter().find(|(name, _)| *name == wanted) else {
        return Err(unknown(given, command.name()));
    };
    let len = usize::from(arity.unsigned_abs());
    let fits = if *arity < 0 {
        command.args.len() >= len
    } else {
        command.args.len() == len
    };
    if !fits {
        let full_name = format!("{}|{name}", command.name()).to_ascii_lowercase();
        return Err(wrong_arity(&full_name));
    }
    Ok(())
}

/// The subcommands of `command`, for a person.
pub(super) fn help(command: &str) -> Reply {
    let names = subcommands(command).iter().map(|(name, _)| *name);
    let title = format!("{command} <subcommand> [<arg> ...]. Subcommands are:");
    let lines = std::iter::once(title.into()).chain(names.map(Into::into));
    Reply::Array(lines.map(Reply::Simple).collect())
}

/// How much of an unknown subcommand the error repeats.
const MAX_QUOTED_BYTES: usize = 128;

pub(super) fn unknown(subcommand: &[u8], command: &str) -> Reply {
    let subcommand = one_line(quoted(subcommand, MAX_QUOTED_BYTES));
    Reply::error(format!(
        "ERR unknown subcommand '{subcommand}'. Try {command} HELP."
    ))
}
