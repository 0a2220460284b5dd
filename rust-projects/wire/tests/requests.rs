//! What the request parser accepts, refuses and bounds.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Limits, ProtocolError, Reply, Request, RequestParser, encode_request};

type Parsed = Result<Vec<Vec<Bytes>>, ProtocolError>;

/// Parses a stream that arrives in the given pieces.
fn parse_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: Limits) -> Parsed {
    let mut parser = RequestParser::new(limits);
    let mut buf = BytesMut::new();
    let mut requests = Vec::new();
    for piece in pieces {
        buf.extend_from_slice(piece);
        while let Some(Request { args }) = parser.parse(&mut buf)? {
            assert!(!args.is_empty(), "an empty request must be skipped");
            requests.push(args);
        }
    }
    Ok(requests)
}

fn parse(stream: &[u8]) -> Parsed {
    parse_pieces([stream], Limits::default())
}

fn request(args: &[&'static [u8]]) -> Vec<Bytes> {
    args.iter().map(|arg| Bytes::from_static(arg)).collect()
}

fn args_strategy() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..40), 1..8)
}

proptest! {
    #[test]
    fn pipelined_requests_are_read_back_wherever_the_stream_is_cut(
        requests in vec(args_strategy(), 1..6),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut stream = Vec::new();
        for args in &requests {
            encode_request(args, &mut stream);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
        prop_assert_eq!(parse_pieces(pieces, Limits::default()).unwrap(), requests);
    }

    #[test]
    fn any_bytes_give_the_same_result_whole_and_byte_by_byte(
        stream in vec(prop_oneof![
            prop::sample::select(&b"*$0123-\r\n\"' aZ\\x"[..]),
            any::<u8>(),
        ], 0..60),
    ) {
        let whole = parse(&stream);
        let single = parse_pieces(stream.chunks(1), Limits::default());
        prop_assert_eq!(whole, single);
    }
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_requests() {
    let stream = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\nSET 'a b' \"\\x00\"\r\n*0\r\n*-1\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\n\r\n*1\r\n$4\r\nab\r\nPING\n";
    let expected = vec![
        request(&[b"GET", b"k"]),
        request(&[b"SET", b"a b", b"\0"]),
        request(&[b"SET", b"", b"\r\n*1\r\n$4\r\nab"]),
        request(&[b"PING"]),
    ];
    assert_eq!(parse(stream).unwrap(), expected);
    for cut in 0..=stream.len() {
        let (head, tail) = stream.split_at(cut);
        assert_eq!(
            parse_pieces([head, tail], Limits::default()).unwrap(),
            expected,
            "cut at {cut}"
        );
    }
}

/// Every malformed request with the text Redis answers, after the code `ERR`.
#[test]
fn malformed_requests_are_refused_with_the_text_of_redis() {
    let table: [(&[u8], &str); 20] = [
        (b"*a\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*1x\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\rx", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n'a'\r\n", "expected '$', got '''"),
        (b"*1\r\n\r\n", "expected '$', got '\\r'"),
        (b"*1\r\n\xff", "expected '$', got '\\xff'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$\r\n", "invalid bulk length"),
        (b"*1\r\n$4a\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$1\r\nabc", "expected CRLF after bulk"),
        (b"SET \"a\r\n", "unbalanced quotes in request"),
        (b"SET 'a'b\r\n", "unbalanced quotes in request"),
    ];
    for (stream, text) in table {
        let error = parse(stream).expect_err("a malformed request");
        let text = format!("Protocol error: {text}");
        assert_eq!(error.to_string(), text, "{}", stream.escape_ascii());
        assert_eq!(error.to_reply(), Reply::error(format!("ERR {text}")));
    }
}

#[test]
fn an_inline_request_is_refused_once_it_is_too_long_with_or_without_its_end() {
    let limit = Limits::default().max_inline_bytes;
    let mut line = vec![b'a'; limit];
    assert_eq!(parse(&line).unwrap().len(), 0, "may yet end here");
    line.push(b'\n');
    assert_eq!(parse(&line).unwrap()[0][0].len(), limit);
    line.insert(0, b'a');
    assert_eq!(parse(&line), Err(ProtocolError::TooBigInline));
    line.pop();
    assert_eq!(parse(&line), Err(ProtocolError::TooBigInline));
    assert_eq!(
        ProtocolError::TooBigInline.to_string(),
        "Protocol error: too big inline request"
    );
}

#[test]
fn an_error_is_final_even_if_a_valid_request_follows() {
    let mut parser = RequestParser::default();
    let mut buf = BytesMut::from(&b"*1\r\n$-5\r\n"[..]);
    let refused = Err(ProtocolError::InvalidBulkLength);
    assert_eq!(parser.parse(&mut buf), refused);
    buf.clear();
    buf.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    assert_eq!(parser.parse(&mut buf), refused);
}

#[test]
fn requests_before_a_malformed_one_are_still_delivered() {
    let mut parser = RequestParser::default();
    let mut buf = BytesMut::from(&b"PING\r\n*x\r\n"[..]);
    let first = parser.parse(&mut buf).unwrap();
    assert_eq!(first.map(|first| first.args), Some(request(&[b"PING"])));
    assert_eq!(
        parser.parse(&mut buf),
        Err(ProtocolError::InvalidMultibulkLength)
    );
}

#[test]
fn each_limit_admits_its_value_and_refuses_one_more() {
    let limits = Limits {
        max_args: 2,
        max_arg_bytes: 3,
        max_request_bytes: 22,
        max_inline_bytes: 5,
    };
    let parse = |stream: &[u8]| parse_pieces([stream], limits).map(|requests| requests.len());
    assert_eq!(
        parse(b"*2\r\n$3\r\nabc\r\n$3\r\nabc\r\n"),
        Ok(1),
        "22 bytes"
    );
    assert_eq!(parse(b"*3\r\n"), Err(ProtocolError::InvalidMultibulkLength));
    assert_eq!(
        parse(b"*1\r\n$4\r\n"),
        Err(ProtocolError::InvalidBulkLength)
    );
    assert_eq!(parse(b"a b\r\nab cd\n"), Ok(2));
    assert_eq!(parse(b"ab cde\n"), Err(ProtocolError::TooBigInline));
    assert_eq!(
        parse(b"a b c\n"),
        Err(ProtocolError::InvalidMultibulkLength)
    );

    let tighter = Limits {
        max_request_bytes: 21,
        ..limits
    };
    let head: &[u8] = b"*2\r\n$3\r\nabc\r\n$3\r\n";
    assert_eq!(
        parse_pieces([head], tighter),
        Err(ProtocolError::TooBigRequest),
        "refused at the declaration, before the bytes"
    );
}

#[test]
fn limits_can_be_widened_after_authentication() {
    let mut parser = RequestParser::new(Limits::UNAUTHENTICATED);
    let mut large = Vec::new();
    encode_request(&[b"SET".as_slice(), b"k", &[b'v'; 20_000]], &mut large);
    let mut buf = BytesMut::from(&b"*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n"[..]);
    assert!(parser.parse(&mut buf).unwrap().is_some());
    parser.set_limits(Limits::default());
    buf.extend_from_slice(&large);
    assert!(parser.parse(&mut buf).unwrap().is_some());
    let unauthenticated = parse_pieces([large.as_slice()], Limits::UNAUTHENTICATED);
    assert_eq!(unauthenticated, Err(ProtocolError::InvalidBulkLength));
}

#[test]
fn declared_lengths_reserve_no_memory() {
    let limits = Limits {
        max_args: usize::MAX,
        max_arg_bytes: usize::MAX,
        max_request_bytes: usize::MAX,
        ..Limits::default()
    };
    let streams: [&[u8]; 3] = [
        b"*999999999999999999\r\n",
        b"*1\r\n$999999999999999999\r\nabc",
        b"*999999999999999999\r\n$999999999999999999\r\n",
    ];
    for stream in streams {
        let mut parser = RequestParser::new(limits);
        let mut buf = BytesMut::from(stream);
        assert_eq!(parser.parse(&mut buf), Ok(None));
        parser.reserve(&mut buf);
        assert!(buf.capacity() <= 32 * 1024, "{} reserved", buf.capacity());
    }
}

/// Receives a value of this size in reads of one chunk each, and returns the highest capacity of the buffer and how
/// often it had to move.
fn receive_slowly(value_len: usize, read_len: usize) -> (usize, usize) {
    let mut parser = RequestParser::default();
    let mut buf = BytesMut::new();
    let mut stream = Vec::new();
    encode_request(
        &[b"SET".as_slice(), b"k", &vec![b'v'; value_len]],
        &mut stream,
    );
    let (mut highest, mut moved, mut arrived) = (0, 0, 0);
    for piece in stream.chunks(read_len) {
        let before = buf.capacity();
        parser.reserve(&mut buf);
        moved += usize::from(buf.capacity() > before);
        highest = highest.max(buf.capacity());
        assert!(
            buf.capacity() <= 4 * arrived + 64 * 1024,
            "{} reserved when {arrived} bytes had arrived",
            buf.capacity()
        );
        assert!(buf.capacity() - buf.len() >= piece.len().min(4096));
        buf.extend_from_slice(piece);
        arrived += piece.len();
        if let Some(request) = parser.parse(&mut buf).expect("a valid stream") {
            assert_eq!(arrived, stream.len());
            assert_eq!(request.args[2].len(), value_len);
            return (highest, moved);
        }
    }
    panic!("the request did not end");
}

#[test]
fn a_large_value_that_trickles_in_grows_the_buffer_by_doubling_only() {
    let value_len = 64 << 20;
    let (highest, moved) = receive_slowly(value_len, 4096);
    assert!(highest <= 2 * value_len, "{highest} bytes for {value_len}");
    // From 16 KiB to 64 MiB are twelve doublings.
    assert!(moved <= 16, "the buffer moved {moved} times");
}

#[test]
fn the_memory_of_a_large_request_is_given_back() {
    let mut parser = RequestParser::default();
    let mut buf = BytesMut::new();
    let mut stream = Vec::new();
    encode_request(&[b"SET".as_slice(), b"k", &[b'v'; 1 << 20]], &mut stream);
    stream.extend_from_slice(b"*1\r\n$4\r\nPI");
    for piece in stream.chunks(4096) {
        parser.reserve(&mut buf);
        buf.extend_from_slice(piece);
        parser.parse(&mut buf).unwrap();
    }
    parser.reserve(&mut buf);
    // Only unshared memory could be reclaimed to its full size.
    assert!(!buf.try_reclaim(256 * 1024), "the large allocation is kept");
    buf.extend_from_slice(b"NG\r\n");
    let request_after = parser.parse(&mut buf).unwrap().expect("the second request");
    assert_eq!(request_after.args, request(&[b"PING"]));
    assert!(parser.is_between_requests(&buf));
}

#[test]
fn arguments_are_slices_of_the_read_buffer() {
    let mut parser = RequestParser::default();
    let mut buf = BytesMut::with_capacity(64);
    buf.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$5\r\nhello\r\nECHO plain\r\n");
    let memory = buf.as_ptr_range();
    for _ in 0..2 {
        let request = parser.parse(&mut buf).unwrap().expect("a request");
        for arg in request.args {
            assert!(memory.contains(&arg.as_ptr()), "{arg:?} was copied");
        }
    }
}

#[test]
fn a_stream_ends_cleanly_only_between_requests() {
    let stream = b"*1\r\n$4\r\nPING\r\n";
    for cut in 0..=stream.len() {
        let mut parser = RequestParser::default();
        let mut buf = BytesMut::from(&stream[..cut]);
        parser.parse(&mut buf).unwrap();
        let clean = cut == 0 || cut == stream.len();
        assert_eq!(parser.is_between_requests(&buf), clean, "cut at {cut}");
    }
}

#[test]
fn a_recycled_request_lends_its_memory_and_nothing_else() {
    let mut parser = RequestParser::default();
    let mut buf = BytesMut::from(&b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"[..]);
    let first = parser.parse(&mut buf).unwrap().unwrap();
    let memory = first.args.as_ptr();
    parser.recycle(first);
    buf.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let second = parser.parse(&mut buf).unwrap().unwrap();
    assert_eq!(second.args, request(&[b"PING"]));
    assert_eq!(second.args.as_ptr(), memory);

    // A request on its way is left alone.
    buf.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$1\r\n");
    assert_eq!(parser.parse(&mut buf), Ok(None));
    parser.recycle(second);
    buf.extend_from_slice(b"x\r\n");
    let third = parser.parse(&mut buf).unwrap().unwrap();
    assert_eq!(third.args, request(&[b"GET", b"x"]));
}

#[test]
fn the_memory_of_many_arguments_is_not_kept() {
    let mut parser = RequestParser::default();
    let mut stream = Vec::new();
    encode_request(&vec![b"arg"; 1000], &mut stream);
    let many = parser.parse(&mut BytesMut::from(&stream[..]));
    parser.recycle(many.unwrap().unwrap());
    let mut buf = BytesMut::from(&b"PING\r\n"[..]);
    let next = parser.parse(&mut buf).unwrap().unwrap();
    assert!(next.args.capacity() < 1000);
}

#[test]
fn an_http_request_ends_the_stream_before_any_command_in_its_body() {
    let body = "\r\nSET k stolen\r\n";
    for (head, before) in [
        ("POST / HTTP/1.1\r\n", 0),
        ("post / HTTP/1.1\r\nHost: localhost\r\n", 0),
        // What these begin with could be a command; browsers go on with the host.
        ("GET / HTTP/1.1\r\nHost: localhost\r\n", 1),
        ("PUT / HTTP/1.1\r\nhost: localhost\r\nAccept: */*\r\n", 1),
    ] {
        let mut parser = RequestParser::default();
        let mut buf = BytesMut::from(format!("{head}{body}").as_bytes());
        for _ in 0..before {
            assert!(parser.parse(&mut buf).unwrap().is_some(), "{head}");
        }
        for _ in 0..2 {
            assert_eq!(parser.parse(&mut buf), Err(ProtocolError::Http), "{head}");
        }
    }
    // As an argument, or in the form that no browser sends, the words mean nothing.
    assert_eq!(
        parse(b"ECHO POST\nECHO Host:\n*1\r\n$4\r\nPOST\r\n").unwrap(),
        [
            request(&[b"ECHO", b"POST"]),
            request(&[b"ECHO", b"Host:"]),
            request(&[b"POST"])
        ]
    );
}
