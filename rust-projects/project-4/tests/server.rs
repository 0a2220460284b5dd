//! The server over each of the three pools.

#![allow(clippy::unwrap_used)] // clippy exempts test functions only, not their helpers

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use project_4::thread_pool::{NaiveThreadPool, RayonThreadPool, SharedQueueThreadPool};
use project_4::{KvsEngine, KvsError, Result, Server, StopHandle, ThreadPool};
use wire::{Client, Reply};

const PATIENCE: Duration = Duration::from_secs(30);
const MAX_CONNECTIONS: usize = 6;

macro_rules! for_each_pool {
    ($($test:ident)*) => {
        mod naive {
            $(#[test] fn $test() { super::$test::<super::NaiveThreadPool>(); })*
        }
        mod shared_queue {
            $(#[test] fn $test() { super::$test::<super::SharedQueueThreadPool>(); })*
        }
        mod rayon {
            $(#[test] fn $test() { super::$test::<super::RayonThreadPool>(); })*
        }
    };
}

for_each_pool! {
    the_four_commands_are_answered_as_redis_does
    several_connections_are_served_at_once
    a_request_that_panics_ends_its_connection_and_nothing_else
    what_is_no_request_gets_an_error
    one_connection_too_many_is_told_so_and_there_is_room_again_when_one_leaves
    stopping_ends_silent_connections_and_returns
}

/// A map that panics when asked for the key `panic`.
#[derive(Clone, Default)]
struct TestEngine {
    map: Arc<Mutex<HashMap<String, String>>>,
}

impl KvsEngine for TestEngine {
    fn set(&self, key: String, value: String) -> Result<()> {
        self.map.lock().unwrap().insert(key, value);
        Ok(())
    }

    fn get(&self, key: String) -> Result<Option<String>> {
        if key == "panic" {
            // As `panic!`, but it prints nothing.
            std::panic::resume_unwind(Box::new("on purpose"));
        }
        Ok(self.map.lock().unwrap().get(&key).cloned())
    }

    fn remove(&self, key: String) -> Result<()> {
        let removed = self.map.lock().unwrap().remove(&key);
        removed.map(drop).ok_or(KvsError::KeyNotFound)
    }
}

/// A server on a thread, stopped when dropped.
struct Running {
    addr: SocketAddr,
    stop: StopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start<P: ThreadPool>() -> Self {
        let pool = P::new(4).unwrap();
        let addr = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(addr, TestEngine::default(), pool)
            .unwrap()
            .with_max_connections(MAX_CONNECTIONS);
        Self {
            addr: server.addr(),
            stop: server.stop_handle(),
            thread: Some(thread::spawn(move || server.run())),
        }
    }

    fn client(&self) -> Client<TcpStream> {
        Client::connect(self.addr, PATIENCE).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        let _ = self.thread.take().unwrap().join();
    }
}

fn the_four_commands_are_answered_as_redis_does<P: ThreadPool>() {
    let server = Running::start::<P>();
    let mut client = server.client();
    let mut call = |args: &[&[u8]]| client.call(args).unwrap();
    assert_eq!(call(&[b"PING"]), Reply::Simple("PONG".into()));
    assert_eq!(call(&[b"GET", b"k"]), Reply::Null);
    assert_eq!(call(&[b"SET", b"k", b"v"]), Reply::OK);
    assert_eq!(call(&[b"GET", b"k"]), Reply::bulk("v"));
    assert_eq!(call(&[b"DEL", b"k", b"k", b"other"]), Reply::Integer(1));
    assert_eq!(call(&[b"GET", b"k"]), Reply::Null);
    assert!(matches!(call(&[b"NONSENSE"]), Reply::Error(_)));
}

fn several_connections_are_served_at_once<P: ThreadPool>() {
    let server = Running::start::<P>();
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    // In turn, so that no connection can be waiting for another to close.
    for round in 0..10 {
        for (number, client) in clients.iter_mut().enumerate() {
            let value = format!("{round} {number}");
            let set = client.call(&[b"SET", b"k", value.as_bytes()]).unwrap();
            assert_eq!(set, Reply::OK);
        }
        for client in &mut clients {
            let value = client.call(&[b"GET", b"k"]).unwrap();
            assert_eq!(value, Reply::bulk(format!("{round} 3")));
        }
    }
}

fn a_request_that_panics_ends_its_connection_and_nothing_else<P: ThreadPool>() {
    let server = Running::start::<P>();
    for _ in 0..100 {
        assert!(server.client().call(&[b"GET", b"panic"]).is_err());
    }
    // All four threads are still there.
    let mut clients: Vec<_> = (0..4).map(|_| server.client()).collect();
    for client in &mut clients {
        let pong = client.call(&[b"PING"]).unwrap();
        assert_eq!(pong, Reply::Simple("PONG".into()));
    }
}

fn what_is_no_request_gets_an_error<P: ThreadPool>() {
    use std::io::{Read, Write};
    let server = Running::start::<P>();
    let mut stream = TcpStream::connect(server.addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"*1\r\n$nonsense\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("-ERR"), "{answer:?}");
}

fn one_connection_too_many_is_told_so_and_there_is_room_again_when_one_leaves<P: ThreadPool>() {
    let server = Running::start::<P>();
    // Accepted in this order, so the last is the one too many, whether or not a thread has taken up the others.
    let mut clients: Vec<_> = (0..=MAX_CONNECTIONS).map(|_| server.client()).collect();
    let refusal = clients.pop().unwrap().receive().unwrap();
    assert!(matches!(refusal, Reply::Error(message) if message.contains("max number of clients")));
    drop(clients);

    let deadline = Instant::now() + PATIENCE;
    while !matches!(server.client().call(&[b"PING"]), Ok(Reply::Simple(_))) {
        assert!(Instant::now() < deadline, "no room again");
    }
}

fn stopping_ends_silent_connections_and_returns<P: ThreadPool>() {
    let server = Running::start::<P>();
    let mut client = server.client();
    client.call(&[b"PING"]).unwrap();
    let (stopped, has_stopped) = mpsc::channel();
    thread::spawn(move || {
        drop(server);
        let _ = stopped.send(());
    });
    has_stopped.recv_timeout(PATIENCE).unwrap();
    assert!(client.call(&[b"PING"]).is_err());
}
