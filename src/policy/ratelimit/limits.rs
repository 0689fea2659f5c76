//! How often an operation may be called, and by whom it is counted.

use std::net::IpAddr;

use super::{Cells, Leases, Limited, Quota, Remaining, Request, SourcePrefix, write_policy};
use crate::policy::identity::Principal;

/// What a bucket stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// The prefix of the sender's address.
    Source,
    /// The client that the token was issued to.
    Client,
    /// The subject of the token.
    User,
    /// Everybody together.
    Operation,
}

/// One limit of an operation.
#[derive(Clone, Debug)]
pub struct Limit {
    pub per: Per,
    pub quota: Quota,
}

/// All limits of an operation. A request passes all of them or takes from none.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    limits: Box<[Limit]>,
    prefix: SourcePrefix,
    /// The value of the `RateLimit-Policy` field; the same for every answer.
    policy: Box<[u8]>,
}

impl Limits {
    pub fn new(limits: Vec<Limit>, prefix: SourcePrefix) -> Limits {
        let mut policy = Vec::new();
        write_policy(&mut policy, limits.iter().map(|limit| &limit.quota));
        Limits {
            limits: limits.into(),
            prefix,
            policy: policy.into(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Limit> {
        self.limits.iter()
    }

    /// The `RateLimit-Policy` value.
    pub fn policy(&self) -> &[u8] {
        &self.policy
    }

    pub fn quota(&self, index: usize) -> &Quota {
        &self.limits[index].quota
    }

    /// Before a credential is looked at: whether its sender has a token left. Takes none.
    pub fn peek_source(
        &self,
        leases: &Leases,
        cells: &Cells,
        source: IpAddr,
        now_ns: u64,
    ) -> Result<(), Limited> {
        for (index, request) in self.of_source(cells, source) {
            leases
                .peek(cells, request, now_ns)
                .map_err(|limited| Limited {
                    quota: index,
                    ..limited
                })?;
        }
        Ok(())
    }

    /// After a credential turned out to be bad: its sender pays, so that guessing is limited.
    pub fn charge_source(&self, leases: &mut Leases, cells: &Cells, source: IpAddr, now_ns: u64) {
        let requests = self.of_source(cells, source).map(|(_, request)| request);
        // Whoever has no token left now is refused by the next peek.
        let _ = leases.take(cells, requests, now_ns);
    }

    /// One token from every bucket, or from none. `None`: nothing is limited.
    pub fn take(
        &self,
        leases: &mut Leases,
        cells: &Cells,
        source: IpAddr,
        principal: Option<&Principal>,
        now_ns: u64,
    ) -> Result<Option<Remaining>, Limited> {
        let requests = self.limits.iter().map(|limit| Request {
            quota: &limit.quota,
            key: match limit.per {
                Per::Source => cells.key(&limit.quota, self.prefix.key(source).as_bytes()),
                // A token without a client id shares one bucket with its like.
                Per::Client => cells.key(&limit.quota, client(principal)),
                Per::User => cells.key(&limit.quota, subject(principal)),
                Per::Operation => cells.key(&limit.quota, b""),
            },
        });
        leases.take(cells, requests, now_ns)
    }

    fn of_source<'a>(
        &'a self,
        cells: &'a Cells,
        source: IpAddr,
    ) -> impl Iterator<Item = (usize, Request<'a>)> {
        let indexed = self.limits.iter().enumerate();
        let sources = indexed.filter(|(_, limit)| limit.per == Per::Source);
        sources.map(move |(index, limit)| {
            let quota = &limit.quota;
            let key = cells.key(quota, self.prefix.key(source).as_bytes());
            (index, Request { quota, key })
        })
    }
}

fn client(principal: Option<&Principal>) -> &[u8] {
    let client = principal.and_then(|principal| principal.client.as_deref());
    client.unwrap_or_default().as_bytes()
}

fn subject(principal: Option<&Principal>) -> &[u8] {
    principal.map_or(b"", |principal| principal.subject.as_bytes())
}
