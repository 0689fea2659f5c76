//! Why an address cannot be listened on, and what an operator can do about it.

use std::io;
use std::net::SocketAddr;

/// `table` is where the address is configured.
pub fn refused(address: SocketAddr, table: &str, error: &io::Error) -> String {
    let port = address.port();
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another process has it (ss -ltnp 'sport = :{port}' names it): end that one, or change \
             `address` of {table}"
        ),
        io::ErrorKind::PermissionDenied if port < 1024 => format!(
            "ports below 1024 are for root and who has CAP_NET_BIND_SERVICE (the unit \
             config/portcullis.service gives it; by hand: setcap cap_net_bind_service=+ep with the \
             path of this binary), or change `address` of {table}"
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "no interface of this machine has it (`ip address` lists them): change `address` of \
             {table}; 0.0.0.0 is every IPv4 address, [::] every one"
        ),
        _ => format!("change `address` of {table}"),
    };
    format!("portcullis: {address} cannot be listened on: {error}\n  hint: {hint}")
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn each_reason_has_what_to_do_about_it() {
        for (errno, words) in [
            (Errno::EADDRINUSE, "ss -ltnp 'sport = :80'"),
            (Errno::EACCES, "CAP_NET_BIND_SERVICE"),
            (Errno::EADDRNOTAVAIL, "`ip address` lists them"),
            (Errno::EMFILE, "hint: change `address` of [[listener]]"),
        ] {
            let error = io::Error::from(errno);
            let address = SocketAddr::from(([192, 0, 2, 1], 80));
            let told = refused(address, "[[listener]]", &error);
            assert!(
                told.contains("192.0.2.1:80") && told.contains(words),
                "{told}"
            );
            assert!(told.contains("[[listener]]"), "{told}");
        }
    }
}
