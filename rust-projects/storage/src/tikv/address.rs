//! A cluster's address.

use std::fmt;
use std::str::FromStr;

/// The namespace of an address that names none.
const DEFAULT_NAMESPACE: &str = "default";
/// Longest namespace in bytes: with it, the longest key stays well below TiKV's limit.
const MAX_NAMESPACE_BYTES: usize = 128;

/// `tikv://HOST:PORT[,HOST:PORT...][/NAMESPACE]`: nodes that answer for the placement driver, and which part of the cluster's keys is
/// meant. Applications with different namespaces do not see each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    nodes: Vec<String>,
    namespace: String,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins otherwise.
    #[error("{0}: the address of a cluster begins with tikv://, as in tikv://127.0.0.1:2379")]
    Scheme(String),
    /// A node is not HOST:PORT.
    #[error("`{0}` is not HOST:PORT with a port from 1 to 65535, as in 127.0.0.1:2379")]
    Node(String),
    /// A node stands there twice.
    #[error("node {0} is named twice")]
    Twice(String),
    /// The namespace has other characters, an empty part, or is too long.
    #[error(
        "`{0}` is no namespace: letters, digits, `.`, `_` and `-`, in parts between `/`, up to {MAX_NAMESPACE_BYTES} bytes"
    )]
    Namespace(String),
}

impl Address {
    /// What every address begins with.
    pub const SCHEME: &'static str = "tikv://";

    /// HOST:PORT of each node, in the order given.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The namespace `name` within this one.
    ///
    /// # Errors
    /// [`AddressError::Namespace`].
    pub fn join(&self, name: &str) -> Result<Self, AddressError> {
        Ok(Self {
            nodes: self.nodes.clone(),
            namespace: namespace(&format!("{}/{name}", self.namespace))?,
        })
    }
}

fn node(text: &str) -> Result<String, AddressError> {
    let wrong = || AddressError::Node(text.to_owned());
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let is_bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_host = match is_bracketed {
        true => host[1..host.len() - 1]
            .bytes()
            .all(|byte| is_name(byte) || byte == b':'),
        false => !host.is_empty() && host.bytes().all(is_name),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0);
    match is_host && is_port {
        true => Ok(text.to_owned()),
        false => Err(wrong()),
    }
}

fn namespace(text: &str) -> Result<String, AddressError> {
    let is_part = |part: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !part.is_empty() && part.bytes().all(is_fine)
    };
    match text.len() <= MAX_NAMESPACE_BYTES && text.split('/').all(is_part) {
        true => Ok(text.to_owned()),
        false => Err(AddressError::Namespace(text.to_owned())),
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix(Self::SCHEME);
        let rest = rest.ok_or_else(|| AddressError::Scheme(text.to_owned()))?;
        let (nodes_text, name) = rest.split_once('/').unwrap_or((rest, DEFAULT_NAMESPACE));
        let mut nodes = Vec::new();
        for text in nodes_text.split(',') {
            let node = node(text)?;
            if nodes.contains(&node) {
                return Err(AddressError::Twice(node));
            }
            nodes.push(node);
        }
        let namespace = namespace(name)?;
        Ok(Self { nodes, namespace })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, namespace) = (self.nodes.join(","), &self.namespace);
        write!(f, "{}{nodes}/{namespace}", Self::SCHEME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        text.parse()
    }

    #[test]
    fn an_address_names_nodes_and_a_namespace() {
        let address = parse("tikv://127.0.0.1:2379,[::1]:2380,node-3.example:2381/notes/mine");
        let address = address.unwrap();
        let nodes = ["127.0.0.1:2379", "[::1]:2380", "node-3.example:2381"];
        assert_eq!(address.nodes(), nodes);
        assert_eq!(address.namespace(), "notes/mine");
        assert_eq!(parse(&address.to_string()).unwrap(), address);
        let plain = parse("tikv://localhost:2379").unwrap();
        assert_eq!(plain.namespace(), "default");
        assert_eq!(plain.join("a").unwrap().namespace(), "default/a");
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_part_at_fault() {
        let scheme = |text: &str| Err(AddressError::Scheme(text.into()));
        let node = |text: &str| Err(AddressError::Node(text.into()));
        let space = |text: &str| Err(AddressError::Namespace(text.into()));
        assert_eq!(parse("127.0.0.1:2379"), scheme("127.0.0.1:2379"));
        assert_eq!(parse("TIKV://a:1"), scheme("TIKV://a:1"));
        assert_eq!(parse("tikv://"), node(""));
        assert_eq!(parse("tikv://host"), node("host"));
        assert_eq!(parse("tikv://host:"), node("host:"));
        assert_eq!(parse("tikv://host:0"), node("host:0"));
        assert_eq!(parse("tikv://host:65536"), node("host:65536"));
        assert_eq!(parse("tikv://host:+1"), node("host:+1"));
        assert_eq!(parse("tikv://::1:2379"), node("::1:2379"));
        assert_eq!(parse("tikv://[]:2379"), node("[]:2379"));
        assert_eq!(parse("tikv://user@host:1"), node("user@host:1"));
        assert_eq!(parse("tikv://a:1,,b:2"), node(""));
        assert_eq!(
            parse("tikv://a:1,b:2,a:1"),
            Err(AddressError::Twice("a:1".into()))
        );
        assert_eq!(parse("tikv://a:1/"), space(""));
        assert_eq!(parse("tikv://a:1//b"), space("/b"));
        assert_eq!(parse("tikv://a:1/a b"), space("a b"));
        let long = "x".repeat(129);
        assert_eq!(parse(&format!("tikv://a:1/{long}")), space(&long));
        let address = parse("tikv://a:1/b").unwrap();
        assert_eq!(address.join(""), space("b/"));
        assert_eq!(
            address.join(&long[..127]),
            space(&format!("b/{}", &long[..127]))
        );
    }
}
