//! The blocking client and the server's end of a connection: over loopback, and over a scripted stream.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use wire::{
    Client, ClientError, Connection, ConnectionError, Limits, Protocol, ProtocolError, Reply,
    ReplyError, Request,
};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A stream whose reads are scripted and whose writes are kept apart.
#[derive(Debug, Default)]
struct Script {
    reads: VecDeque<io::Result<Vec<u8>>>,
    writes: Vec<Vec<u8>>,
}

impl Script {
    fn new(reads: impl IntoIterator<Item = &'static [u8]>) -> Self {
        let reads = reads.into_iter().map(|read| Ok(read.to_vec())).collect();
        Self {
            reads,
            writes: Vec::new(),
        }
    }

    fn then(mut self, failure: ErrorKind) -> Self {
        self.reads.push_back(Err(failure.into()));
        self
    }

    fn then_reads(mut self, read: &[u8]) -> Self {
        self.reads.push_back(Ok(read.to_vec()));
        self
    }
}

impl Read for Script {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(read) = self.reads.pop_front().transpose()? else {
            return Ok(0);
        };
        buf[..read.len()].copy_from_slice(&read);
        Ok(read.len())
    }
}

impl Write for Script {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writes.push(buf.to_vec());
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn connection(script: Script) -> Connection<Script> {
    Connection::new(script, Limits::default())
}

fn args(request: Option<Request>) -> Vec<Bytes> {
    request.expect("a request").args
}

/// Serves one connection by `answer` until it closes.
fn serve(
    answer: impl Fn(&[Bytes], &mut Connection<TcpStream>) -> Reply + Send + 'static,
) -> (SocketAddr, JoinHandle<Result<(), ConnectionError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port of loopback");
    let addr = listener.local_addr().expect("the address bound");
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        let mut connection = Connection::new(stream, Limits::default());
        loop {
            match connection.read_request() {
                Ok(Some(request)) => {
                    let reply = answer(&request.args, &mut connection);
                    connection.write_reply(&reply)?;
                }
                Ok(None) => return Ok(()),
                Err(ConnectionError::Protocol(error)) => {
                    connection.write_reply(&error.to_reply())?;
                    connection.flush()?;
                    return Err(error.into());
                }
                Err(error) => return Err(error),
            }
        }
    });
    (addr, server)
}

fn echo(args: &[Bytes], _: &mut Connection<TcpStream>) -> Reply {
    Reply::Bulk(args[args.len() - 1].clone())
}

#[test]
fn a_call_is_answered() {
    let (addr, server) = serve(echo);
    let mut client = Client::connect(addr, TIMEOUT).unwrap();
    assert_eq!(client.call(&[b"ECHO", b"a"]).unwrap(), Reply::bulk("a"));
    let large = vec![7_u8; 3 << 20];
    assert_eq!(client.call(&[b"ECHO", &large]).unwrap(), Reply::bulk(large));
    drop(client);
    server.join().unwrap().unwrap();
}

#[test]
fn a_pipeline_is_answered_in_order_with_one_write_on_each_side() {
    let script = Script::new([&b"PING a\nPING b\n*2\r\n$4\r\nPI"[..], b"NG\r\n$1\r\nc\r\n"]);
    let mut server = connection(script);
    for expected in ["a", "b", "c"] {
        let args = args(server.read_request().unwrap());
        assert_eq!(args[1], expected);
        server.write_reply(&Reply::Bulk(args[1].clone())).unwrap();
    }
    assert!(server.read_request().unwrap().is_none());
    // Two arrived together; the third was complete only after another read.
    let writes = &server.stream().writes;
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(writes[0], b"$1\r\na\r\n$1\r\nb\r\n");
}

#[test]
fn many_replies_are_written_before_the_pipeline_ends() {
    let mut server = connection(Script::default());
    let reply = Reply::bulk(vec![b'v'; 1000]);
    for _ in 0..200 {
        server.write_reply(&reply).unwrap();
    }
    let writes = &server.stream().writes;
    assert_eq!(writes.len(), 3, "200 kB in pieces of 64 KiB");
}

#[test]
fn a_connection_speaks_resp3_once_told_to() {
    let mut server = connection(Script::default());
    server.write_reply(&Reply::Null).unwrap();
    server.set_protocol(Protocol::Resp3);
    server.write_reply(&Reply::Null).unwrap();
    server.flush().unwrap();
    assert_eq!(server.stream().writes, [b"$-1\r\n_\r\n"]);
}

#[test]
fn a_request_cut_by_the_end_of_the_stream_is_an_error_and_a_clean_end_is_none() {
    for cut in [&b"*1\r\n$4\r\nPI"[..], b"*1\r\n", b"PING", b"*"] {
        let end = connection(Script::new([cut])).read_request();
        assert!(matches!(end, Err(ConnectionError::Closed)), "{end:?}");
    }
    for clean in [&b""[..], b"\r\n", b"*0\r\n"] {
        let end = connection(Script::new([clean])).read_request().unwrap();
        assert!(end.is_none(), "{end:?}");
    }
}

#[test]
fn a_server_read_that_times_out_may_be_repeated_and_loses_nothing() {
    let script = Script::new([&b"*1\r\n$4\r\nPI"[..]])
        .then(ErrorKind::Interrupted)
        .then(ErrorKind::WouldBlock)
        .then_reads(b"NG\r\n");
    let mut server = connection(script);
    let timeout = server.read_request();
    assert!(
        matches!(&timeout, Err(ConnectionError::Io(error)) if error.kind() == ErrorKind::WouldBlock),
        "{timeout:?}"
    );
    assert_eq!(args(server.read_request().unwrap()), ["PING"]);
}

#[test]
fn a_malformed_request_is_answered_and_ends_the_connection() {
    let (addr, server) = serve(echo);
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(b"ECHO a\r\n*1\r\nx").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let expected = "$1\r\na\r\n-ERR Protocol error: expected '$', got 'x'\r\n";
    assert_eq!(answer, expected);
    let refused = server.join().unwrap();
    assert!(
        matches!(
            refused,
            Err(ConnectionError::Protocol(ProtocolError::ExpectedDollar(
                b'x'
            )))
        ),
        "{refused:?}"
    );
}

#[test]
fn a_client_that_vanishes_in_a_request_is_noticed() {
    let (addr, server) = serve(echo);
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"*2\r\n$4\r\nECHO\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let end = server.join().unwrap();
    assert!(matches!(end, Err(ConnectionError::Closed)), "{end:?}");
}

#[test]
fn a_pipeline_of_a_client_is_written_at_once_and_received_in_order() {
    let mut client = Client::new(Script::new([&b":1\r\n:2"[..], b"\r\n+OK\r\n"]));
    client.send(&[b"INCR", b"n"]).unwrap();
    client.send(&[b"INCR", b"n"]).unwrap();
    let early = client.call(&[b"PING"]);
    assert!(
        matches!(early, Err(ClientError::Unreceived(2))),
        "{early:?}"
    );
    assert_eq!(client.receive().unwrap(), Reply::Integer(1));
    assert_eq!(client.receive().unwrap(), Reply::Integer(2));
    assert_eq!(client.call(&[b"SET", b"n", b"0"]).unwrap(), Reply::OK);
    let incr = b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n";
    let set = b"*3\r\n$3\r\nSET\r\n$1\r\nn\r\n$1\r\n0\r\n".to_vec();
    assert_eq!(client.stream().writes, [incr.repeat(2), set]);
}

#[test]
fn push_messages_do_not_answer_a_call_and_can_be_received() {
    let push = b">1\r\n+news\r\n";
    let mut client = Client::new(Script::new([&push[..], b"+OK\r\n", push]));
    assert_eq!(client.call(&[b"PING"]).unwrap(), Reply::OK);
    let news = Reply::Push(vec![Reply::Simple("news".into())]);
    assert_eq!(client.receive().unwrap(), news);
}

#[test]
fn after_a_timeout_a_late_reply_is_never_taken_for_the_next_one() {
    let script = Script::default()
        .then(ErrorKind::WouldBlock)
        .then_reads(b"+late\r\n+OK\r\n");
    let mut client = Client::new(script);
    let timeout = client.call(&[b"GET", b"slow"]);
    assert!(matches!(timeout, Err(ClientError::TimedOut)), "{timeout:?}");
    let next = client.call(&[b"PING"]);
    assert!(matches!(next, Err(ClientError::Closed)), "{next:?}");
}

#[test]
fn a_server_that_closes_or_lies_is_a_typed_error() {
    for cut in [&b""[..], b"$5\r\nab"] {
        let end = Client::new(Script::new([cut])).call(&[b"PING"]);
        assert!(matches!(end, Err(ClientError::Closed)), "{end:?}");
    }
    let mut client = Client::new(Script::new([&b"HTTP/1.1 400\r\n"[..], b"+OK\r\n"]));
    let refused = client.call(&[b"PING"]);
    assert!(
        matches!(
            refused,
            Err(ClientError::Protocol(ReplyError::UnknownType(b'H')))
        ),
        "{refused:?}"
    );
    let next = client.call(&[b"PING"]);
    assert!(matches!(next, Err(ClientError::Closed)), "{next:?}");
}

#[test]
fn connecting_to_a_closed_port_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let refused = Client::connect(addr, TIMEOUT);
    assert!(matches!(refused, Err(ClientError::Io(_))), "{refused:?}");
}
