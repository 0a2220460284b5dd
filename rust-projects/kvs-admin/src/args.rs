//! The command line, and the request that it is checked into.

use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  kvs-admin verify /var/lib/kvs
  kvs-admin repair --dry-run /var/lib/kvs && kvs-admin repair /var/lib/kvs
  kvs-admin stats --json /var/lib/kvs
  kvs-admin dump /var/lib/kvs > pairs.jsonl && kvs-client import pairs.jsonl
  kvs-admin backup /var/lib/kvs /backup/monday
  kvs-admin restore /var/lib/kvs /backup/monday
  kvs-admin cluster status --addr 127.0.0.1:2379 --token-file /var/lib/node-1/TOKEN

Exit codes: 0 done, 1 failed or damage found, 2 wrong command line.
A directory that a server has open is refused: stop the server first.";

/// Looks after a data directory of engine `kvs`, or after a replicated store.
#[derive(Debug, Parser)]
#[command(name = "kvs-admin", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,

    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check every byte; exit code 1 when there is damage
    Verify {
        /// The data directory
        dir: PathBuf,
    },
    /// Salvage all that is intact and report what was dropped
    ///
    /// Damaged files stay under names that end in `.damaged`. A sound directory is not touched.
    Repair {
        /// The data directory
        dir: PathBuf,
        /// Only say what would be done; exit code 1 when there is damage
        #[arg(long)]
        dry_run: bool,
    },
    /// Print figures: keys, bytes, garbage
    Stats {
        /// The data directory
        dir: PathBuf,
    },
    /// Print all pairs as JSON lines, the form that `kvs-client import` takes
    ///
    /// Each line is {"key": "...", "value": "...", "expires_at_ms": N}, the last being optional; bytes that are not UTF-8
    /// go as key_base64 and value_base64. Pairs whose time has passed are left out.
    Dump {
        /// The data directory
        dir: PathBuf,
        /// Print what the engine holds, in base64: {"key_base64": "...", "value_base64": "..."}
        #[arg(long)]
        raw: bool,
    },
    /// Copy a data directory and verify the copy
    Backup {
        /// The data directory
        dir: PathBuf,
        /// The copy, which must not exist or be empty
        to: PathBuf,
    },
    /// Bring a backup back as a data directory
    Restore {
        /// The data directory, which must not exist or be empty
        dir: PathBuf,
        /// The backup
        from: PathBuf,
    },
    /// Look after a replicated store: its members, its leader, its backups
    #[command(subcommand)]
    Cluster(crate::cluster::Verb),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What to do, checked.
#[derive(Debug)]
pub(crate) enum Request {
    Cluster {
        verb: crate::cluster::Verb,
        json: bool,
    },
    Verify {
        dir: PathBuf,
        json: bool,
    },
    Repair {
        dir: PathBuf,
        plan: bool,
        json: bool,
    },
    Stats {
        dir: PathBuf,
        json: bool,
    },
    Dump {
        dir: PathBuf,
        raw: bool,
    },
    Copy {
        from: PathBuf,
        to: PathBuf,
        json: bool,
    },
    Completions {
        shell: Shell,
    },
}

impl Arguments {
    /// Checks what clap cannot; misuse ends the process with exit code 2.
    pub(crate) fn request(self) -> Request {
        let json = self.json;
        match self.action {
            Action::Verify { dir } => Request::Verify { dir, json },
            Action::Repair { dir, dry_run } => Request::Repair {
                dir,
                plan: dry_run,
                json,
            },
            Action::Stats { dir } => Request::Stats { dir, json },
            Action::Dump { dir, raw } => Request::Dump { dir, raw },
            Action::Backup { dir, to } => copy(dir, to, json),
            Action::Restore { dir, from } => copy(from, dir, json),
            Action::Cluster(verb) => Request::Cluster { verb, json },
            Action::Completions { shell } => Request::Completions { shell },
        }
    }
}

fn copy(from: PathBuf, to: PathBuf, json: bool) -> Request {
    if inside(&to, &from) || inside(&from, &to) {
        let message = format!(
            "{} and {} lie within one another: choose a directory elsewhere",
            from.display(),
            to.display()
        );
        Arguments::command()
            .error(ErrorKind::ValueValidation, message)
            .exit();
    }
    Request::Copy { from, to, json }
}

fn inside(inner: &Path, outer: &Path) -> bool {
    let absolute = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        path.canonicalize().unwrap_or(path)
    };
    absolute(inner).starts_with(absolute(outer))
}
