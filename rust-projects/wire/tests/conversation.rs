//! The blocking client and the server's end of a connection, together over loopback.

use std::net::TcpListener;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wire::{Client, Connection, ConnectionError, Limits, Reply};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Serves one connection by `answer` until it closes.
fn serve(
    answer: impl Fn(&[bytes::Bytes], &mut Connection<std::net::TcpStream>) -> Reply + Send + 'static,
) -> (
    std::net::SocketAddr,
    JoinHandle<Result<(), ConnectionError>>,
) {
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

fn echo(args: &[bytes::Bytes], _: &mut Connection<std::net::TcpStream>) -> Reply {
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
