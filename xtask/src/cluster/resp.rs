//! A client of RESP on tokio: one request under way at a time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::{Reply, ReplyLimits, ReplyParser, encode_request};

/// A connection. After an error, or a call that was given up, it is of no further use.
pub(crate) struct Resp {
    stream: TcpStream,
    parser: ReplyParser,
    input: BytesMut,
    output: Vec<u8>,
}

impl Resp {
    pub(crate) async fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(addr)).await??;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            parser: ReplyParser::new(ReplyLimits::default()),
            input: BytesMut::new(),
            output: Vec::new(),
        })
    }

    /// Sends a request and waits for its reply.
    pub(crate) async fn call(&mut self, arguments: &[&[u8]]) -> io::Result<Reply> {
        self.output.clear();
        encode_request(arguments, &mut self.output);
        self.stream.write_all(&self.output).await?;
        loop {
            if let Some(reply) = self
                .parser
                .parse(&mut self.input)
                .map_err(io::Error::other)?
            {
                return Ok(reply);
            }
            self.parser.reserve(&mut self.input);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What a node says of itself in answer to INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) leader: Option<usize>,
    pub(crate) applied: u64,
    pub(crate) hash: String,
}

impl Info {
    /// Asks a node; `None` if it does not answer in time.
    pub(crate) async fn of(addr: SocketAddr) -> Option<Self> {
        let timeout = Duration::from_secs(1);
        let ask = async {
            let mut node = Resp::connect(addr, timeout).await.ok()?;
            match node.call(&[b"INFO"]).await {
                Ok(Reply::Bulk(text)) => Self::parse(std::str::from_utf8(&text).ok()?),
                _ => None,
            }
        };
        tokio::time::timeout(timeout, ask).await.ok().flatten()
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        Some(Self {
            leader: field("raft_leader")?.parse().ok(),
            applied: field("raft_applied")?.parse().ok()?,
            hash: field("raft_state_hash")?.to_owned(),
        })
    }
}

/// Waits until one of these nodes names a leader that answers as such itself, and says which; `None` if that takes too long.
pub(crate) async fn leader(nodes: &[(usize, SocketAddr)], patience: Duration) -> Option<usize> {
    let search = async {
        loop {
            for &(id, addr) in nodes {
                if Info::of(addr).await.and_then(|info| info.leader) == Some(id) {
                    return id;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(patience, search).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_by_the_names_of_its_lines() {
        let text = "# Raft\r\nraft_leader:2\r\nraft_applied:17\r\nraft_state_hash:00ff\r\n";
        let info = Info {
            leader: Some(2),
            applied: 17,
            hash: "00ff".into(),
        };
        assert_eq!(Info::parse(text), Some(info));
        let without = text.replace(":2", ":none");
        assert_eq!(Info::parse(&without).map(|info| info.leader), Some(None));
        assert_eq!(Info::parse("# Server\r\n"), None);
    }
}
