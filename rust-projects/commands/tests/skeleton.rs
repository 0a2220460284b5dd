//! The first four commands.

mod support;

use bytes::Bytes;
use commands::{Command, Context, ScanCursors, execute};
use storage::{Batch, Limits};
use support::MapReader;
use wire::Reply;

fn run(data: &mut MapReader, line: &str) -> Reply {
    let args: Vec<Bytes> = line
        .split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect();
    let command = match Command::parse(&args) {
        Ok(command) => command,
        Err(reply) => return reply,
    };
    let mut batch = Batch::new();
    let context = Context {
        reader: data,
        now_ms: 0,
        limits: Limits::default(),
        cursors: &ScanCursors::default(),
    };
    let reply = execute(&command, &context, &mut batch).expect("a map can be read");
    data.apply(&batch);
    reply
}

#[test]
fn what_was_set_is_read_and_what_was_deleted_is_gone() {
    let mut data = MapReader::default();
    assert_eq!(run(&mut data, "PING"), Reply::Simple("PONG".into()));
    assert_eq!(run(&mut data, "set a 1"), Reply::OK);
    assert_eq!(run(&mut data, "get a"), Reply::bulk("1"));
    assert_eq!(run(&mut data, "del a a b"), Reply::Integer(1));
    assert_eq!(run(&mut data, "get a"), Reply::Null);
    assert_eq!(
        run(&mut data, "get"),
        Reply::error("ERR wrong number of arguments for 'get' command")
    );
    assert_eq!(
        run(&mut data, "foo a b"),
        Reply::error("ERR unknown command 'foo', with args beginning with: 'a' 'b' ")
    );
}
