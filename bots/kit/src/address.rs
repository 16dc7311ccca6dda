use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use bedside_contract::ConnectorError;
use ipnet::IpNet;

use crate::wrong;

/// The proxies whose word counts for whom they forward.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Addresses (`10.0.0.7`) and networks (`10.0.0.0/8`), from the configuration's `key`.
    ///
    /// # Errors
    /// [`ConnectorError::Config`] with the first that is neither.
    pub fn parse(key: &str, addresses: &[String]) -> Result<Self, ConnectorError> {
        let parse = |text: &String| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
                wrong(
                    key,
                    format!("{text:?} is neither an address nor a network like 10.0.0.0/8"),
                )
            })
        };
        addresses.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    #[must_use]
    pub fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|it| it.contains(&address.to_canonical()))
    }

    /// Whose request it is: the peer, or behind trusted proxies the rightmost address of `X-Forwarded-For` that is
    /// none of them, since all that stands left of it was written by the client. Of an IPv6 address only the network
    /// (/64) counts, which one household or one phone has as a whole. `None` if a proxy does not say.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = peer.to_canonical();
        let forwarded: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(','))
            .collect();
        for entry in forwarded.iter().rev() {
            if !self.trust(client) {
                break;
            }
            let Some(address) = address_of(entry.trim()) else {
                break;
            };
            client = address.to_canonical();
        }
        (!self.trust(client)).then(|| network_of(client))
    }
}

/// `10.0.0.7`, `10.0.0.7:443`, `2001:db8::1`, `[2001:db8::1]:443`.
fn address_of(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().map(|it| it.ip());
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    bare.parse().or_else(|_| with_port()).ok()
}

fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(it) => Ipv6Addr::from_bits(it.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::TrustedProxies;

    #[test]
    fn a_client_cannot_choose_its_address() {
        let proxies = [
            "127.0.0.1".to_owned(),
            "10.0.0.0/8".to_owned(),
            "fd00::/8".to_owned(),
        ];
        let proxies = TrustedProxies::parse("web.trusted_proxies", &proxies).unwrap();
        let check = |peer: &str, forwarded: &[&str], expect: &str| {
            let name = HeaderName::from_static("x-forwarded-for");
            let headers: HeaderMap = forwarded
                .iter()
                .map(|it| (name.clone(), HeaderValue::from_str(it).unwrap()))
                .collect();
            let client = proxies.client(peer.parse().unwrap(), &headers);
            let client = client.map(|it| it.to_string());
            assert_eq!(
                client.as_deref().unwrap_or("nobody"),
                expect,
                "{peer} {forwarded:?}"
            );
        };
        check("203.0.113.9", &[], "203.0.113.9");
        check("203.0.113.9", &["198.51.100.1"], "203.0.113.9");
        check("127.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.3.4"], "198.51.100.1");
        check("127.0.0.1", &["1.1.1.1", "198.51.100.1"], "198.51.100.1");
        check("127.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
        check("127.0.0.1", &["1.1.1.1, nonsense"], "nobody");
        check("127.0.0.1", &["10.9.9.9"], "nobody");
        check("127.0.0.1", &[], "nobody");
        check("::ffff:127.0.0.1", &["198.51.100.1"], "198.51.100.1");
        check("10.0.0.1", &["[2001:db8:1:2:3:4:5:6]:443"], "2001:db8:1:2::");
        check("2001:db8:1:2:3:4:5:6", &["1.1.1.1"], "2001:db8:1:2::");
        check("fd00::1", &["2001:db8::7"], "2001:db8::");
    }

    #[test]
    fn what_is_no_address_is_named() {
        let error = TrustedProxies::parse("web.trusted_proxies", &["proxy.example".to_owned()]);
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("web.trusted_proxies: \"proxy.example\" is neither"));
    }
}
