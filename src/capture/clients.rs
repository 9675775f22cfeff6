//! Determines the client of a request for the rate limit: the peer, or the client that a trusted proxy names.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::atomic::{AtomicBool, Ordering},
};

use hyper::header::HeaderMap;
use ipnet::IpNet;

/// The header to which each proxy appends the address of its peer, as nginx, Apache, HAProxy, Caddy and the cloud
/// providers' load balancers do.
const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A TCP peer.
    Ip(IpAddr),
    /// A process on this machine, connected to the Unix socket.
    Unix,
}

impl Peer {
    /// Its address if it is on this machine or in a private network, as a proxy is: loopback, [private](https://www.rfc-editor.org/rfc/rfc1918),
    /// [shared by a provider](https://www.rfc-editor.org/rfc/rfc6598), or [unique local](https://www.rfc-editor.org/rfc/rfc4193).
    /// Then it is not that of a visitor from the internet, and may be logged.
    fn private_address(self) -> Option<String> {
        let Self::Ip(address) = self else {
            return Some("unix".to_owned());
        };
        let address = address.to_canonical();
        let is_private = match address {
            IpAddr::V4(v4) => {
                let [first, second, ..] = v4.octets();
                v4.is_loopback() || v4.is_private() || (first == 100 && (64..128).contains(&second))
            }
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
        };
        is_private.then(|| address.to_string())
    }

    /// Whether it is certainly on this machine.
    fn is_local(self) -> bool {
        match self {
            Self::Unix => true,
            Self::Ip(address) => address.to_canonical().is_loopback(),
        }
    }
}

/// A proxy whose `X-Forwarded-For` is trusted: an address, a network such as `10.0.0.0/8`, or `unix`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrustedProxy {
    /// Peers of this network.
    Network(IpNet),
    /// Peers on the Unix socket.
    Unix,
}

/// The text is not a trusted proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trusted proxy is an address as in 127.0.0.1, a network as in 10.0.0.0/8, or unix")]
pub(crate) struct ParseProxyError;

impl FromStr for TrustedProxy {
    type Err = ParseProxyError;

    fn from_str(text: &str) -> Result<Self, ParseProxyError> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text
            .parse()
            .or_else(|_| {
                text.parse::<IpAddr>()
                    .map(|address| address.to_canonical().into())
            })
            .map_err(|_| ParseProxyError)?;
        match network {
            // IPv4 peers are compared as IPv4 even on an IPv6 socket, so a mapped network would never match.
            IpNet::V6(network) if network.addr().to_ipv4_mapped().is_some() => Err(ParseProxyError),
            _ => Ok(Self::Network(network)),
        }
    }
}

/// The unit of the rate limit: an IPv4 address, or an IPv6 /64 network, since one household or server usually has a whole
/// /64 for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Client {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The configured proxies.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies {
    proxies: Vec<TrustedProxy>,
    logged_unreadable: AtomicBool,
    logged_untrusted: AtomicBool,
}

impl From<Vec<TrustedProxy>> for TrustedProxies {
    fn from(proxies: Vec<TrustedProxy>) -> Self {
        Self {
            proxies,
            ..Self::default()
        }
    }
}

impl TrustedProxies {
    /// Logs once if a request comes through a proxy that is not trusted, because then its visitors have no limit or share one:
    /// the peer has a private address and sends `X-Forwarded-For`.
    pub(super) fn warn_of_untrusted(&self, peer: Peer, headers: &HeaderMap) {
        if self.logged_untrusted.load(Ordering::Relaxed)
            || self.trusts(peer)
            || !headers.contains_key(X_FORWARDED_FOR)
        {
            return;
        }
        if let Some(address) = peer.private_address()
            && !self.logged_untrusted.swap(true, Ordering::Relaxed)
        {
            let from = match peer {
                Peer::Unix => "the Unix socket",
                Peer::Ip(_) => &address,
            };
            let consequence = if peer.is_local() {
                "the rate limit does not apply to its visitors"
            } else {
                "all its visitors share the rate limit of one client"
            };
            tracing::warn!(
                "requests come with X-Forwarded-For from {from}, which is not a trusted proxy, so {consequence}; if it is \
                 your proxy, pass --trusted-proxy {address}; repeats are not logged"
            );
        }
    }

    /// The client of a request: the peer, or behind trusted proxies the right-most address in `X-Forwarded-For` that is
    /// not a trusted proxy. The client itself can forge everything to the left of that address.
    ///
    /// None if the client is unknown: a peer on this machine that is not trusted may be a proxy in front of all clients,
    /// and a trusted proxy may name nobody.
    pub(super) fn client(&self, peer: Peer, headers: &HeaderMap) -> Option<Client> {
        if !self.trusts(peer) {
            return self.peer_client(peer);
        }
        let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let hops = fields.flat_map(|field| field.as_bytes().rsplit(|&byte| byte == b','));
        let mut named = None;
        // The hop that sent something unreadable is the last known address.
        for address in hops.map_while(parse_hop) {
            named = Some(address.into());
            if !self.trusts(Peer::Ip(address)) {
                break;
            }
        }
        if named.is_none() && !self.logged_unreadable.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a trusted proxy sends no readable X-Forwarded-For, so the rate limit does not apply to its requests; \
                 configure it to append the client's address; repeats are not logged"
            );
        }
        named
    }

    /// The client that `peer` is, unless it may be a proxy: a trusted one, or a peer on this machine.
    pub(super) fn peer_client(&self, peer: Peer) -> Option<Client> {
        match peer {
            Peer::Ip(address) if !peer.is_local() && !self.trusts(peer) => Some(address.into()),
            _ => None,
        }
    }

    fn trusts(&self, peer: Peer) -> bool {
        self.proxies.iter().any(|proxy| match (proxy, peer) {
            (TrustedProxy::Unix, Peer::Unix) => true,
            (TrustedProxy::Network(network), Peer::Ip(address)) => {
                network.contains(&address.to_canonical())
            }
            _ => false,
        })
    }
}

/// Parses an address as proxies write it. Some add the port, and brackets around an IPv6 address.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?.trim();
    let address = hop
        .parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> Option<Client> {
        let proxies: Vec<TrustedProxy> = proxies.iter().map(|text| text.parse().unwrap()).collect();
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Ip(address.parse().unwrap()),
        };
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(X_FORWARDED_FOR, value.parse().unwrap());
        }
        TrustedProxies::from(proxies).client(peer, &headers)
    }

    #[track_caller]
    fn assert_is(found: Option<Client>, address: &str) {
        assert_eq!(found, Some(address.parse::<IpAddr>().unwrap().into()));
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_claims() {
        let forged = &["198.51.100.7"];
        assert_is(client(&[], "203.0.113.9", forged), "203.0.113.9");
        assert_is(
            client(&["10.0.0.0/8"], "203.0.113.9", forged),
            "203.0.113.9",
        );
        assert_is(client(&["unix"], "203.0.113.9", forged), "203.0.113.9");
    }

    #[test]
    fn the_client_of_an_untrusted_peer_on_this_machine_is_unknown() {
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"] {
            assert_eq!(
                client(&["10.0.0.0/8"], peer, &["203.0.113.9"]),
                None,
                "{peer}"
            );
        }
    }

    #[test]
    fn behind_trusted_proxies_the_client_is_the_right_most_untrusted_address() {
        let chain = &["127.0.0.1", "10.0.0.0/8"];
        for forwarded in [
            &["203.0.113.9"][..],
            &["198.51.100.7, 203.0.113.9"],
            &["nonsense, 203.0.113.9,10.1.2.3"],
            &["198.51.100.7", "203.0.113.9", "10.1.2.3 ,\t10.0.0.1"],
            &["203.0.113.9:4711, [::ffff:10.1.2.3]:80"],
            &["::ffff:203.0.113.9"],
        ] {
            assert_is(client(chain, "127.0.0.1", forwarded), "203.0.113.9");
        }
        assert_is(client(&["unix"], "unix", &["203.0.113.9"]), "203.0.113.9");
        assert_is(
            client(chain, "::ffff:10.0.0.1", &["203.0.113.9"]),
            "203.0.113.9",
        );
    }

    #[test]
    fn if_all_addresses_are_trusted_the_client_is_the_left_most() {
        assert_is(
            client(&["10.0.0.0/8"], "10.0.0.1", &["10.4.4.4, 10.0.0.2"]),
            "10.4.4.4",
        );
    }

    #[test]
    fn a_proxy_that_forwards_an_unreadable_address_counts_as_the_client() {
        let chain = &["127.0.0.1", "10.0.0.0/8"];
        assert_is(client(chain, "127.0.0.1", &["zz, 10.1.1.1"]), "10.1.1.1");
        assert_is(
            client(chain, "127.0.0.1", &["203.0.113.9, , 10.1.1.1"]),
            "10.1.1.1",
        );
    }

    #[test]
    fn a_trusted_proxy_that_names_no_address_leaves_the_client_unknown() {
        for forwarded in [
            &[][..],
            &[""],
            &["unknown"],
            &["203.0.113.9, _hidden"],
            &["203.0.113.9,"],
        ] {
            assert_eq!(
                client(&["127.0.0.1"], "127.0.0.1", forwarded),
                None,
                "{forwarded:?}"
            );
        }
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let of = |text: &str| Client::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(
            of("2001:db8:0:1::1"),
            of("2001:db8:0:1:ffff:ffff:ffff:ffff")
        );
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:203.0.113.9"), of("203.0.113.9"));
        assert_is(
            client(&["::1"], "::1", &["[2001:db8::5]:80"]),
            "2001:db8::1",
        );
        assert_is(client(&["::1"], "::1", &["[2001:db8::5]"]), "2001:db8::1");
    }

    #[test]
    fn only_private_addresses_may_be_logged() {
        for (peer, logged) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("::1")),
            ("::ffff:10.1.2.3", Some("10.1.2.3")),
            ("172.16.0.1", Some("172.16.0.1")),
            ("192.168.1.1", Some("192.168.1.1")),
            ("100.64.0.5", Some("100.64.0.5")),
            ("100.127.255.255", Some("100.127.255.255")),
            ("fd12:3456::7", Some("fd12:3456::7")),
            ("100.63.255.255", None),
            ("100.128.0.0", None),
            ("172.32.0.1", None),
            ("203.0.113.9", None),
            ("::ffff:203.0.113.9", None),
            ("2001:db8::1", None),
            ("fe80::1", None),
        ] {
            let found = Peer::Ip(peer.parse().unwrap()).private_address();
            assert_eq!(found.as_deref(), logged, "{peer}");
        }
        assert_eq!(Peer::Unix.private_address().as_deref(), Some("unix"));
    }

    #[test]
    fn invalid_trusted_proxies_are_refused() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/8/8",
            "::ffff:10.0.0.0/104",
            "unix:",
            "*",
        ] {
            assert_eq!(text.parse::<TrustedProxy>(), Err(ParseProxyError), "{text}");
        }
    }
}
