//! What replies look like on the wire, and what the reply parser accepts, refuses and bounds.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Protocol, Reply, ReplyError, ReplyLimits, ReplyParser};

fn parse_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: ReplyLimits,
) -> Result<Vec<Reply>, ReplyError> {
    let mut parser = ReplyParser::new(limits);
    let mut buf = BytesMut::new();
    let mut replies = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        while let Some(reply) = parser.parse(&mut buf)? {
            replies.push(reply);
        }
    }
    Ok(replies)
}

fn parse(stream: &[u8]) -> Result<Vec<Reply>, ReplyError> {
    parse_pieces([stream], ReplyLimits::default())
}

fn encode(reply: &Reply, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(protocol, &mut out);
    out
}

fn text(reply: &Reply, protocol: Protocol) -> String {
    String::from_utf8(encode(reply, protocol)).expect("text")
}

/// What a client sees of a reply: each protocol knows fewer kinds than [`Reply`].
fn as_received(reply: &Reply, protocol: Protocol) -> Reply {
    let all = |items: &[Reply]| {
        items
            .iter()
            .map(|item| as_received(item, protocol))
            .collect()
    };
    let resp2 = protocol == Protocol::Resp2;
    match reply {
        Reply::NullArray if !resp2 => Reply::Null,
        Reply::Set(items) if !resp2 => Reply::Set(all(items)),
        Reply::Push(items) if !resp2 => Reply::Push(all(items)),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => Reply::Array(all(items)),
        Reply::Map(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| (as_received(key, protocol), as_received(value, protocol)));
            if resp2 {
                Reply::Array(pairs.flat_map(|(key, value)| [key, value]).collect())
            } else {
                Reply::Map(pairs.collect())
            }
        }
        Reply::Boolean(value) if resp2 => Reply::Integer(i64::from(*value)),
        Reply::BigNumber(digits) if resp2 => Reply::Bulk(digits.clone()),
        Reply::Verbatim { text, .. } if resp2 => Reply::Bulk(text.clone()),
        other => other.clone(),
    }
}

fn scalars() -> impl Strategy<Value = Reply> {
    prop_oneof![
        "[^\r\n]{0,20}".prop_map(|text| Reply::Simple(text.into())),
        "[^\r\n]{0,20}".prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Integer),
        vec(any::<u8>(), 0..30).prop_map(Reply::bulk),
        Just(Reply::Null),
        Just(Reply::NullArray),
        any::<bool>().prop_map(Reply::Boolean),
        "-?[0-9]{1,40}".prop_map(|digits| Reply::BigNumber(digits.into())),
        (any::<[u8; 3]>(), vec(any::<u8>(), 0..20)).prop_map(|(format, text)| Reply::Verbatim {
            format,
            text: text.into()
        }),
    ]
}

fn replies() -> impl Strategy<Value = Reply> {
    scalars().prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Reply::Array),
            vec(inner.clone(), 0..5).prop_map(Reply::Set),
            vec(inner.clone(), 0..5).prop_map(Reply::Push),
            vec((inner.clone(), inner), 0..4).prop_map(Reply::Map),
        ]
    })
}

proptest! {
    #[test]
    fn replies_are_read_back_in_both_protocols_wherever_the_stream_is_cut(
        sent in vec(replies(), 1..4),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let stream: Vec<u8> = sent.iter().flat_map(|reply| encode(reply, protocol)).collect();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            let received = parse_pieces(pieces, ReplyLimits::default()).unwrap();
            let expected: Vec<Reply> =
                sent.iter().map(|reply| as_received(reply, protocol)).collect();
            prop_assert_eq!(received, expected);
        }
    }

    #[test]
    fn every_double_is_read_back_exactly(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        let received = parse(&encode(&Reply::Double(value), Protocol::Resp3)).unwrap();
        let [Reply::Double(received)] = received[..] else {
            panic!("not a double: {received:?}");
        };
        prop_assert!(received == value || (received.is_nan() && value.is_nan()));
    }
}

#[test]
fn each_kind_of_reply_has_its_form_in_each_protocol() {
    let items = || vec![Reply::Integer(1), Reply::Null];
    let table = [
        (Reply::OK, "+OK\r\n", "+OK\r\n"),
        (Reply::error("ERR no"), "-ERR no\r\n", "-ERR no\r\n"),
        (
            Reply::Integer(i64::MIN),
            ":-9223372036854775808\r\n",
            ":-9223372036854775808\r\n",
        ),
        (
            Reply::bulk("a\r\nb"),
            "$4\r\na\r\nb\r\n",
            "$4\r\na\r\nb\r\n",
        ),
        (Reply::bulk(""), "$0\r\n\r\n", "$0\r\n\r\n"),
        (Reply::Null, "$-1\r\n", "_\r\n"),
        (Reply::NullArray, "*-1\r\n", "_\r\n"),
        (Reply::Array(vec![]), "*0\r\n", "*0\r\n"),
        (
            Reply::Array(items()),
            "*2\r\n:1\r\n$-1\r\n",
            "*2\r\n:1\r\n_\r\n",
        ),
        (
            Reply::Set(items()),
            "*2\r\n:1\r\n$-1\r\n",
            "~2\r\n:1\r\n_\r\n",
        ),
        (
            Reply::Push(items()),
            "*2\r\n:1\r\n$-1\r\n",
            ">2\r\n:1\r\n_\r\n",
        ),
        (
            Reply::Map(vec![
                (Reply::bulk("proto"), Reply::Integer(3)),
                (Reply::OK, Reply::Null),
            ]),
            "*4\r\n$5\r\nproto\r\n:3\r\n+OK\r\n$-1\r\n",
            "%2\r\n$5\r\nproto\r\n:3\r\n+OK\r\n_\r\n",
        ),
        (Reply::Boolean(true), ":1\r\n", "#t\r\n"),
        (Reply::Boolean(false), ":0\r\n", "#f\r\n"),
        (Reply::Double(1.0), "$1\r\n1\r\n", ",1\r\n"),
        (Reply::Double(-0.25), "$5\r\n-0.25\r\n", ",-0.25\r\n"),
        (Reply::Double(1e300), "$5\r\n1e300\r\n", ",1e300\r\n"),
        (
            Reply::Double(f64::NEG_INFINITY),
            "$4\r\n-inf\r\n",
            ",-inf\r\n",
        ),
        (Reply::Double(f64::NAN), "$3\r\nnan\r\n", ",nan\r\n"),
        (Reply::BigNumber("-12".into()), "$3\r\n-12\r\n", "(-12\r\n"),
        (
            Reply::Verbatim {
                format: *b"txt",
                text: "ab".into(),
            },
            "$2\r\nab\r\n",
            "=6\r\ntxt:ab\r\n",
        ),
    ];
    for (reply, resp2, resp3) in table {
        assert_eq!(text(&reply, Protocol::Resp2), resp2);
        assert_eq!(text(&reply, Protocol::Resp3), resp3);
    }
}

#[test]
fn a_line_break_in_a_status_or_an_error_cannot_forge_a_reply() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let forged = Reply::error("ERR unknown command 'x\r\n+OK\n'");
        assert_eq!(
            text(&forged, protocol),
            "-ERR unknown command 'x  +OK '\r\n"
        );
        let forged = Reply::Simple("\ra\n".into());
        assert_eq!(text(&forged, protocol), "+ a \r\n");
    }
}

#[test]
fn attributes_are_dropped_and_their_value_is_kept() {
    let stream = b"|1\r\n+ttl\r\n*1\r\n:3600\r\n*2\r\n:1\r\n|0\r\n:2\r\n";
    let expected = Reply::Array(vec![Reply::Integer(1), Reply::Integer(2)]);
    assert_eq!(parse(stream).unwrap(), [expected]);
}

#[test]
fn an_error_as_a_byte_string_is_an_error() {
    let expected = [Reply::error("SYNTAX a\r\nb"), Reply::OK];
    assert_eq!(parse(b"!11\r\nSYNTAX a\r\nb\r\n+OK\r\n").unwrap(), expected);
}

#[test]
fn malformed_replies_are_refused_by_kind() {
    let table: [(&[u8], ReplyError); 21] = [
        (b"?\r\n", ReplyError::UnknownType(b'?')),
        (b"HTTP/1.1 400\r\n", ReplyError::UnknownType(b'H')),
        (b"$a\r\n", ReplyError::InvalidLength),
        (b"$-2\r\n", ReplyError::InvalidLength),
        (b"!-1\r\n", ReplyError::InvalidLength),
        (b"=-1\r\n", ReplyError::InvalidLength),
        (b"%-1\r\n", ReplyError::InvalidLength),
        (b"*-2\r\n", ReplyError::InvalidLength),
        (b"$?\r\n", ReplyError::Streamed),
        (b"*?\r\n", ReplyError::Streamed),
        (b"$1\r\nabc", ReplyError::ExpectedCrlf),
        (b"+a\rb\r\n", ReplyError::ExpectedCrlf),
        (b":\r\n", ReplyError::InvalidValue("integer")),
        (
            b":9223372036854775808\r\n",
            ReplyError::InvalidValue("integer"),
        ),
        (b",one\r\n", ReplyError::InvalidValue("double")),
        (b"#y\r\n", ReplyError::InvalidValue("boolean")),
        (b"(-\r\n", ReplyError::InvalidValue("big number")),
        (b"(1a\r\n", ReplyError::InvalidValue("big number")),
        (b"_x\r\n", ReplyError::InvalidValue("null")),
        (
            b"=3\r\ntxt\r\n",
            ReplyError::InvalidValue("verbatim string"),
        ),
        (b"*1\r\n*1\r\n:x\r\n", ReplyError::InvalidValue("integer")),
    ];
    for (stream, error) in table {
        assert_eq!(parse(stream), Err(error), "{}", stream.escape_ascii());
        let bytes = parse_pieces(stream.chunks(1), ReplyLimits::default());
        assert_eq!(bytes, Err(error), "{}", stream.escape_ascii());
    }
}

#[test]
fn each_limit_admits_its_value_and_refuses_one_more() {
    let limits = ReplyLimits {
        max_depth: 2,
        max_elements: 4,
        max_bulk_bytes: 5,
        max_line_bytes: 6,
        max_reply_bytes: 24,
    };
    let parse = |stream: &[u8]| parse_pieces([stream], limits).map(|replies| replies.len());
    assert_eq!(parse(b"*1\r\n*1\r\n:1\r\n*0\r\n"), Ok(2), "depth 2, twice");
    assert_eq!(parse(b"*1\r\n*1\r\n*1\r\n"), Err(ReplyError::TooDeep));
    assert_eq!(
        parse(b"*2\r\n*2\r\n:1\r\n:1\r\n:1\r\n"),
        Ok(1),
        "4 elements"
    );
    assert_eq!(parse(b"*2\r\n*3\r\n"), Err(ReplyError::TooManyElements));
    assert_eq!(parse(b"%3\r\n"), Err(ReplyError::TooManyElements));
    assert_eq!(parse(b"$5\r\nabcde\r\n"), Ok(1));
    assert_eq!(parse(b"$6\r\n"), Err(ReplyError::TooManyBytes));
    assert_eq!(parse(b"+abcdef\r\n"), Ok(1));
    assert_eq!(parse(b"+abcdefg"), Err(ReplyError::TooManyBytes));
    let full: &[u8] = b"*2\r\n$4\r\nabcd\r\n$4\r\nabcd\r\n";
    assert_eq!(full.len(), 24);
    assert_eq!(parse(full), Ok(1));
    assert_eq!(
        parse(b"*2\r\n$4\r\nabcd\r\n$5\r\n"),
        Err(ReplyError::TooManyBytes),
        "refused at the declaration, before the bytes"
    );
}

#[test]
fn nesting_without_end_is_refused_and_does_not_recurse() {
    for open in [&b"*1\r\n"[..], b"%1\r\n:1\r\n", b"|1\r\n:1\r\n"] {
        let stream = open.repeat(100_000);
        assert_eq!(parse(&stream), Err(ReplyError::TooDeep));
    }
}

#[test]
fn declared_lengths_reserve_no_memory() {
    let limits = ReplyLimits {
        max_elements: usize::MAX,
        max_bulk_bytes: usize::MAX,
        max_reply_bytes: usize::MAX,
        ..ReplyLimits::default()
    };
    let streams: [&[u8]; 3] = [
        b"*999999999999999999\r\n",
        b"$999999999999999999\r\nabc",
        b"%999999999999999999\r\n~999999999999999999\r\n",
    ];
    for stream in streams {
        let mut parser = ReplyParser::new(limits);
        let mut buf = BytesMut::from(stream);
        assert_eq!(parser.parse(&mut buf), Ok(None));
        parser.reserve(&mut buf);
        assert!(buf.capacity() <= 32 * 1024, "{} reserved", buf.capacity());
    }
}
