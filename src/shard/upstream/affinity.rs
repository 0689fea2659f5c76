//! Which endpoint a key belongs to: rendezvous hashing (Thaler and Ravishankar, 1998).
//!
//! The endpoint with the highest weight serves a key, so that one that goes away moves only its own
//! keys. There is no secret in it: every shard and every gateway sends a key to the same endpoint.

use crate::policy::identity::Principal;
use crate::policy::pipeline::Request;
use crate::policy::upstream::{Balance, HashKey};
use crate::proto::head::lines;

/// The digest of what a balance by hash goes by; none if it does, or the request has no such thing.
pub fn key(balance: &Balance, request: Request<'_>, principal: Option<&Principal>) -> Option<u64> {
    let Balance::Hash(key) = balance else {
        return None;
    };
    match key {
        HashKey::Source => Some(match request.source {
            std::net::IpAddr::V4(source) => digest(&source.octets()),
            std::net::IpAddr::V6(source) => digest(&source.octets()),
        }),
        HashKey::Subject => principal.map(|principal| digest(principal.subject.as_bytes())),
        HashKey::Client => {
            let client = principal.and_then(|principal| principal.client.as_deref());
            client.map(|client| digest(client.as_bytes()))
        }
        HashKey::Header(name) => {
            let mut found = lines(&request.head.fields, request.bytes, name.as_bytes());
            let first = found.next()?;
            Some(digest(first.value.of(request.bytes)))
        }
    }
}

/// FNV-1a.
pub fn digest(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Of an endpoint for a key: the finalizer of SplitMix64, in which every bit of the input reaches
/// every bit of the weight.
pub fn weight(key: u64, endpoint: u64) -> u64 {
    let mut bits = key ^ endpoint;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(key: u64, endpoints: &[u64]) -> u64 {
        *endpoints
            .iter()
            .max_by_key(|&&endpoint| weight(key, endpoint))
            .unwrap()
    }

    #[test]
    fn keys_spread_evenly_and_only_those_of_a_lost_endpoint_move() {
        let endpoints = [1, 2, 3, 4].map(|port: u8| digest(&[10, 0, 0, 1, port]));
        let mut counts = [0; 4];
        for user in 0..8000_u32 {
            let key = digest(format!("user-{user}").as_bytes());
            let before = owner(key, &endpoints);
            let index = endpoints.iter().position(|&each| each == before).unwrap();
            counts[index] += 1;
            let after = owner(key, &endpoints[..3]);
            assert!(
                before == endpoints[3] || after == before,
                "user-{user} moved"
            );
        }
        assert!(
            counts.iter().all(|count| (1800..2200).contains(count)),
            "{counts:?}"
        );
    }
}
