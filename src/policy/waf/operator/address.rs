//! `@ipMatch`: is it one of these addresses or networks?

use std::net::IpAddr;

use ipnet::IpNet;

#[derive(Clone, Debug)]
pub struct Addresses {
    networks: Box<[IpNet]>,
}

impl Addresses {
    /// Addresses and networks with commas between.
    pub fn of_list(text: &str) -> Result<Addresses, String> {
        let networks: Result<Vec<IpNet>, String> = text.split(',').map(network).collect();
        Ok(Addresses {
            networks: networks?.into(),
        })
    }

    /// One a line, `#` begins a comment.
    pub fn of_lines(lines: &[u8]) -> Result<Addresses, String> {
        let text = std::str::from_utf8(lines).map_err(|_| "the file is not UTF-8".to_owned())?;
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        let lines = lines.filter(|line| !line.trim().is_empty());
        let networks: Result<Vec<IpNet>, String> = lines.map(network).collect();
        Ok(Addresses {
            networks: networks?.into(),
        })
    }

    pub fn contains(&self, value: &[u8]) -> bool {
        let address = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<IpAddr>().ok());
        address.is_some_and(|address| {
            let address = address.to_canonical();
            self.networks
                .iter()
                .any(|network| network.contains(&address))
        })
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse(),
    };
    network.map_err(|_| format!("`{text}` is neither an address nor a network"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses() {
        let list = Addresses::of_list("10.0.0.0/8, ::1,192.0.2.1").unwrap();
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("::1", true),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("nonsense", false),
            ("", false),
        ] {
            assert_eq!(list.contains(address.as_bytes()), expected, "{address}");
        }
        assert!(Addresses::of_list("10.0.0.0/99").is_err());
        assert!(
            Addresses::of_lines(b"# none\n\n10.0.0.1 # one\n")
                .unwrap()
                .contains(b"10.0.0.1")
        );
    }
}
