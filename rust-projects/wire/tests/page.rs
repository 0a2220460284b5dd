//! `docs/wire.md` tells the truth.

use bytes::BytesMut;
use wire::{Limits, ReplyLimits, RequestParser};

const PAGE: &str = include_str!("../../../docs/wire.md");

#[test]
fn the_request_drawn_on_the_page_is_the_one_it_names() {
    let (_, block) = PAGE.split_once("```hex\n").expect("the drawn request");
    let (block, _) = block.split_once("```").expect("the end of the drawing");
    let mut bytes = BytesMut::new();
    for line in block.lines() {
        let mut columns = line.split('|').map(str::trim);
        let offset = columns.next().expect("an offset");
        assert_eq!(usize::from_str_radix(offset, 16), Ok(bytes.len()), "{line}");
        let hex = columns.next().expect("bytes").split(' ');
        let row = hex.map(|byte| u8::from_str_radix(byte, 16).expect("a byte"));
        bytes.extend(row);
    }
    let mut parser = RequestParser::default();
    let request = parser.parse(&mut bytes).unwrap().expect("a request");
    assert_eq!(request.args, ["GET", "k"]);
    assert!(bytes.is_empty());
}

#[test]
fn the_limits_on_the_page_are_those_of_the_code() {
    let (open, before) = (Limits::default(), Limits::UNAUTHENTICATED);
    let requests = [
        ("max_args", open.max_args, before.max_args),
        ("max_arg_bytes", open.max_arg_bytes, before.max_arg_bytes),
        (
            "max_request_bytes",
            open.max_request_bytes,
            before.max_request_bytes,
        ),
        (
            "max_inline_bytes",
            open.max_inline_bytes,
            before.max_inline_bytes,
        ),
    ];
    for (name, default, unauthenticated) in requests {
        let row = format!("| `{name}` | {default} | {unauthenticated} |\n");
        assert!(PAGE.contains(&row), "{row}");
    }
    let limits = ReplyLimits::default();
    let replies = [
        ("max_depth", limits.max_depth),
        ("max_elements", limits.max_elements),
        ("max_bulk_bytes", limits.max_bulk_bytes),
        ("max_line_bytes", limits.max_line_bytes),
        ("max_reply_bytes", limits.max_reply_bytes),
    ];
    for (name, default) in replies {
        let row = format!("| `{name}` | {default} |\n");
        assert!(PAGE.contains(&row), "{row}");
    }
}
