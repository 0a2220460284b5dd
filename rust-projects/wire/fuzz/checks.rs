//! What must hold for any input. Shared by the fuzz targets and by the test that replays the seeds.
//!
//! The first byte of an input says how the rest is cut into pieces and whether the limits are small.

// Each fuzz target uses one half.
#![allow(dead_code)]

use bytes::BytesMut;
use wire::{
    Limits, Protocol, ProtocolError, Reply, ReplyError, ReplyLimits, ReplyParser, RequestParser,
    encode_request,
};

/// A buffer may grow to this multiple of what has arrived, and by a fixed amount.
const GROWTH: usize = 4;
const GROWTH_FIXED: usize = 64 * 1024;

/// Requests are the same whole and in pieces, survive being encoded again, and reserve no memory in advance.
pub(crate) fn request(data: &[u8]) {
    let Some((control, stream)) = data.split_first() else {
        return;
    };
    let limits = request_limits(control & 1 == 1);
    let whole = requests(stream, stream.len(), limits);
    let pieces = requests(stream, usize::from(control >> 1) + 1, limits);
    assert_eq!(whole, pieces, "the cut changed the result");

    let mut encoded = Vec::new();
    for args in &whole.0 {
        encode_request(args, &mut encoded);
    }
    let again = requests(&encoded, encoded.len(), Limits::default());
    assert_eq!(again, (whole.0, None), "encoding changed the requests");
}

/// Replies are the same whole and in pieces, survive being encoded again, and reserve no memory in advance.
pub(crate) fn reply(data: &[u8]) {
    let Some((control, stream)) = data.split_first() else {
        return;
    };
    let limits = reply_limits(control & 1 == 1);
    let whole = replies(stream, stream.len(), limits);
    let pieces = replies(stream, usize::from(control >> 1) + 1, limits);
    // As text, because a double that is no number differs from itself.
    assert_eq!(
        format!("{whole:?}"),
        format!("{pieces:?}"),
        "the cut changed the result"
    );

    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let encoded = encode(&whole.0, protocol);
        let again = replies(&encoded, encoded.len(), ReplyLimits::default());
        assert_eq!(again.1, None, "an encoded reply was refused");
        assert_eq!(again.0.len(), whole.0.len(), "a reply was lost or forged");
        assert_eq!(
            encode(&again.0, protocol),
            encoded,
            "encoding is not stable"
        );
    }
}

fn request_limits(small: bool) -> Limits {
    if !small {
        return Limits::default();
    }
    Limits {
        max_args: 4,
        max_arg_bytes: 8,
        max_request_bytes: 48,
        max_inline_bytes: 16,
    }
}

fn reply_limits(small: bool) -> ReplyLimits {
    if !small {
        return ReplyLimits::default();
    }
    ReplyLimits {
        max_depth: 3,
        max_elements: 8,
        max_bulk_bytes: 8,
        max_line_bytes: 8,
        max_reply_bytes: 64,
    }
}

fn requests(
    stream: &[u8],
    piece_len: usize,
    limits: Limits,
) -> (Vec<Vec<bytes::Bytes>>, Option<ProtocolError>) {
    let mut parser = RequestParser::new(limits);
    let mut buf = BytesMut::new();
    let mut parsed = Vec::new();
    for piece in stream.chunks(piece_len.max(1)) {
        parser.reserve(&mut buf);
        assert_bounded(&buf, stream);
        buf.extend_from_slice(piece);
        loop {
            match parser.parse(&mut buf) {
                Ok(Some(request)) => {
                    assert!(!request.args.is_empty(), "an empty request");
                    parsed.push(request.args);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(parser.parse(&mut buf), Err(error), "an error is final");
                    return (parsed, Some(error));
                }
            }
        }
    }
    (parsed, None)
}

fn replies(
    stream: &[u8],
    piece_len: usize,
    limits: ReplyLimits,
) -> (Vec<Reply>, Option<ReplyError>) {
    let mut parser = ReplyParser::new(limits);
    let mut buf = BytesMut::new();
    let mut parsed = Vec::new();
    for piece in stream.chunks(piece_len.max(1)) {
        parser.reserve(&mut buf);
        assert_bounded(&buf, stream);
        buf.extend_from_slice(piece);
        loop {
            match parser.parse(&mut buf) {
                Ok(Some(reply)) => parsed.push(reply),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(parser.parse(&mut buf), Err(error), "an error is final");
                    return (parsed, Some(error));
                }
            }
        }
    }
    (parsed, None)
}

fn encode(replies: &[Reply], protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    for reply in replies {
        reply.encode(protocol, &mut out);
    }
    out
}

fn assert_bounded(buf: &BytesMut, stream: &[u8]) {
    let bound = GROWTH * stream.len() + GROWTH_FIXED;
    assert!(buf.capacity() <= bound, "{} reserved", buf.capacity());
}
