//! Ports for nodes, which have to be known before the nodes start.
//!
//! A port that the system picks, and that is free again until its node takes it, may meanwhile be given to an outgoing connection of somebody else. So
//! these are below what the system gives to connections, each seen to be free, and none is given twice by a process.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::Mutex;

const LOWEST: u16 = 10_240;
/// Ports that processes which run at a time are apart.
const APART: u32 = 509;

static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// So many ports in a row on 127.0.0.1.
pub(crate) fn free_ports(count: u16) -> Range<u16> {
    let end = first_of_connections();
    let span = u32::from(
        end.checked_sub(LOWEST)
            .expect("there are ports to pick from"),
    );
    let by_process = std::process::id().wrapping_mul(APART) % span;
    let by_process = LOWEST + u16::try_from(by_process).expect("it is below a port");
    let mut next = NEXT.lock().expect("no test fails while it picks ports");
    let mut first = next.unwrap_or(by_process);
    for _ in 0..span {
        if end - first < count {
            first = LOWEST;
        }
        let ports = first..first + count;
        let is_taken = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_err();
        let taken = ports.clone().find(is_taken);
        first = taken.map_or(ports.end, |port| port + 1);
        if taken.is_none() {
            *next = Some(first);
            return ports;
        }
    }
    panic!("loopback has no {count} free ports in a row")
}

fn first_of_connections() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let range = range.expect("Linux says which ports connections get");
    let first = range.split_whitespace().next();
    let first = first.and_then(|first| first.parse().ok());
    first.expect("it begins with a port")
}
