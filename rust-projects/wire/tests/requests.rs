//! What the request parser accepts, refuses and bounds.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::{Limits, ProtocolError, Request, RequestParser, encode_request};

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
