//! The operators' side of the admin service: finds the leader, and says what is wrong so that it can be mended.

use std::time::Duration;

use proto::admin as pb;
use proto::admin::admin_client::AdminClient;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::admin::{LEADER, TOKEN};
use crate::handshake::{distrust, is_cut};
use crate::secret::Token;
use crate::tls::{AddressError, Credentials};

/// Nodes asked in a row at most: leadership may move meanwhile, or be open.
const MAX_ATTEMPTS: usize = 20;
/// Before one that could not do it now is asked again.
const PAUSE: Duration = Duration::from_millis(250);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An order is answered within the time that a node gives up after.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why an operator's request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No node is there.
    #[error("no node answers on {addr}: {why}; is the address the one of --peer-addr?")]
    Unreachable {
        /// Who was asked.
        addr: String,
        /// Why not.
        why: String,
    },
    /// It is no address, or may not be spoken to without certificates.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The two do not trust each other.
    #[error(
        "no trust between this and the node on {addr}: {why}; see --tls-cert, --tls-key and --tls-ca"
    )]
    Untrusted {
        /// Who was asked.
        addr: String,
        /// Why not.
        why: String,
    },
    /// The connection ended in the middle.
    #[error(
        "the node on {addr} cut the connection ({why}): either it went away, and whether anything was done is not known, or it does not take what this side shows, see --tls-cert, --tls-key and --tls-ca; its log says which"
    )]
    Cut {
        /// Who was asked.
        addr: String,
        /// How it was noticed.
        why: String,
    },
    /// The token is missing or wrong.
    #[error("{0}")]
    Token(String),
    /// The node refused, for good.
    #[error("{0}")]
    Refused(String),
    /// Nothing was done, and it may work later.
    #[error("{0}; nothing was done, try again")]
    NotNow(String),
    /// Something else.
    #[error("the node on {addr} answered: {why}")]
    Other {
        /// Who.
        addr: String,
        /// What.
        why: String,
    },
}

/// Speaks to one node after another.
#[derive(Debug, Clone)]
pub struct Operator {
    addr: String,
    token: Option<Token>,
    credentials: Credentials,
}

impl Operator {
    /// Begins with the node whose peer address is `addr`.
    #[must_use]
    pub fn new(addr: String, token: Option<Token>, credentials: Credentials) -> Self {
        Self {
            addr,
            token,
            credentials,
        }
    }

    /// The same for another node.
    #[must_use]
    pub fn at(&self, addr: String) -> Self {
        Self {
            addr,
            ..self.clone()
        }
    }

    /// Whom it speaks to: the leader, once it was followed there.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.addr
    }

    fn client(&self) -> Result<AdminClient<Channel>, AdminError> {
        let endpoint = self.credentials.endpoint(&self.addr)?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .connect_lazy();
        Ok(AdminClient::new(channel))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token
            && let Ok(token) = MetadataValue::try_from(token.as_str())
        {
            request.metadata_mut().insert(TOKEN, token);
        }
        request
    }

    fn error(&self, status: &Status) -> AdminError {
        let message = status.message().to_owned();
        let addr = self.addr.clone();
        if let Some(why) = distrust(status) {
            return AdminError::Untrusted { addr, why };
        }
        if is_cut(status) {
            return AdminError::Cut { addr, why: message };
        }
        match status.code() {
            Code::Unauthenticated => AdminError::Token(message),
            Code::FailedPrecondition | Code::PermissionDenied | Code::InvalidArgument => {
                AdminError::Refused(message)
            }
            Code::Aborted => AdminError::NotNow(message),
            Code::Unavailable if std::error::Error::source(status).is_some() => {
                AdminError::Unreachable { addr, why: message }
            }
            Code::Unavailable => AdminError::NotNow(message),
            _ => AdminError::Other { addr, why: message },
        }
    }

    /// What the node knows.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn status(&self) -> Result<pb::StatusReply, AdminError> {
        let status = self
            .client()?
            .status(self.request(pb::StatusRequest {}))
            .await;
        status
            .map(tonic::Response::into_inner)
            .map_err(|status| self.error(&status))
    }

    /// Has the leader do something, whoever is asked first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn order(
        &mut self,
        order: pb::order_request::Order,
    ) -> Result<pb::OrderReply, AdminError> {
        let mut last = AdminError::NotNow("leadership moves all the time".to_owned());
        for _ in 0..MAX_ATTEMPTS {
            let order = Some(order.clone());
            let request = self.request(pb::OrderRequest { order });
            let status = match self.client()?.order(request).await {
                Ok(done) => return Ok(done.into_inner()),
                Err(status) => status,
            };
            if let Some(Ok(leader)) = status.metadata().get(LEADER).map(MetadataValue::to_str) {
                self.addr = leader.to_owned();
                continue;
            }
            match self.error(&status) {
                // Nothing was done, so it may be ordered again.
                error @ AdminError::NotNow(_) => last = error,
                error => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last)
    }

    /// All that was acknowledged before now; the head and the stream of its data.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn backup(&self) -> Result<(pb::BackupHead, Streaming<pb::BackupPart>), AdminError> {
        let request = self.request(pb::BackupRequest {});
        let stream = self.client()?.backup(request).await;
        let mut stream = stream.map_err(|status| self.error(&status))?.into_inner();
        let first = stream
            .message()
            .await
            .map_err(|status| self.error(&status))?;
        match first.and_then(|part| part.part) {
            Some(pb::backup_part::Part::Head(head)) => Ok((head, stream)),
            _ => Err(AdminError::Other {
                addr: self.addr.clone(),
                why: "the backup has no head".to_owned(),
            }),
        }
    }
}
