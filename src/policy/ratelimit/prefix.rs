//! Who counts as one source: an address cut to its prefix.
//!
//! One IPv6 customer holds at least a /64 and could use a new address for every request, so a
//! whole prefix shares one bucket. An IPv4-mapped IPv6 address is the IPv4 address it carries.

use std::net::IpAddr;

/// Prefix lengths at which addresses are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePrefix {
    v4: u8,
    v6: u8,
}

/// The bytes that stand for a source: four or six, then the masked address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceKey([u8; 17]);

impl SourceKey {
    /// What to hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for SourcePrefix {
    fn default() -> Self {
        Self { v4: 32, v6: 64 }
    }
}

impl SourcePrefix {
    /// Other lengths than /32 and /64.
    pub fn new(v4: u8, v6: u8) -> Result<Self, String> {
        if v4 == 0 || v4 > 32 {
            return Err(format!("IPv4 prefix /{v4} is not in /1 to /32; try /32"));
        }
        if v6 == 0 || v6 > 128 {
            return Err(format!("IPv6 prefix /{v6} is not in /1 to /128; try /64"));
        }
        Ok(Self { v4, v6 })
    }

    /// The source an address belongs to.
    #[must_use]
    pub fn key(self, address: IpAddr) -> SourceKey {
        let (family, bits, length) = match address.to_canonical() {
            IpAddr::V4(v4) => (4, u128::from(v4.to_bits()) << 96, self.v4),
            IpAddr::V6(v6) => (6, v6.to_bits(), self.v6),
        };
        let mask = u128::MAX << (128 - u32::from(length));
        let mut key = [0; 17];
        key[0] = family;
        key[1..].copy_from_slice(&(bits & mask).to_be_bytes());
        SourceKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(prefix: SourcePrefix, a: &str, b: &str) -> bool {
        prefix.key(a.parse().unwrap()) == prefix.key(b.parse().unwrap())
    }

    #[test]
    fn defaults_to_one_v4_address_and_one_v6_network() {
        let prefix = SourcePrefix::default();
        assert!(!same(prefix, "192.0.2.1", "192.0.2.2"));
        assert!(same(prefix, "2001:db8::1", "2001:db8::ffff:1:2:3"));
        assert!(!same(prefix, "2001:db8::1", "2001:db8:0:1::1"));
    }

    #[test]
    fn mapped_addresses_are_v4() {
        let prefix = SourcePrefix::default();
        assert!(same(prefix, "::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same(prefix, "::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!same(prefix, "c000:201::", "192.0.2.1"));
    }

    #[test]
    fn lengths_are_configurable_and_checked() {
        let prefix = SourcePrefix::new(24, 48).unwrap();
        assert!(same(prefix, "192.0.2.1", "192.0.2.2"));
        assert!(same(prefix, "2001:db8:0:1::", "2001:db8:0:2::"));
        assert!(SourcePrefix::new(32, 128).is_ok());
        for (v4, v6) in [(0, 64), (33, 64), (32, 0), (32, 129)] {
            assert!(SourcePrefix::new(v4, v6).is_err());
        }
    }
}
