//! Where it listens.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    str::FromStr,
};

use super::error::ServeError;

/// An address to listen on. Without a host it is one of this machine alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Address(SocketAddr);

impl Address {
    /// Whether only this machine reaches it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }

    pub(crate) fn bind(&self) -> Result<TcpListener, ServeError> {
        let error = |source| ServeError::Bind { address: self.to_string(), source };
        let listener = TcpListener::bind(self.0).map_err(error)?;
        listener.set_nonblocking(true).map_err(error)?;
        Ok(listener)
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let local = |port: &str| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?));
        let parsed = match text.split_once(':') {
            Some(("" | "localhost", port)) => local(port),
            _ => text.parse().ok(),
        };
        parsed.map(Self).ok_or_else(|| "want an IP address and a port, such as 127.0.0.1:5000 or :0".to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_host_nobody_else_reaches_it() {
        for (text, want) in [
            (":0", "127.0.0.1:0"),
            (":5000", "127.0.0.1:5000"),
            ("localhost:80", "127.0.0.1:80"),
            ("127.0.0.9:80", "127.0.0.9:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:80"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), want);
            assert!(address.is_loopback(), "{text}");
        }
        for text in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "[::ffff:192.0.2.1]:80"] {
            assert!(!text.parse::<Address>().unwrap().is_loopback(), "{text}");
        }
        for text in ["", "80", "127.0.0.1", "127.0.0.1:65536", "registry.example:80", ":x", "::1:80:", "localhost"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
