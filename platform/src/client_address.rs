//! Where a request really comes from.
//!
//! The peer of the connection counts, unless the peer is one of our own: a configured
//! network, a client certificate with a configured name, or whoever knows the proxy secret
//! (the gateway in the same process). Only then are the forwarding headers believed, and never
//! because the peer is loopback.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::HeaderMap;
use ipnet::IpNet;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::config::StartError;

/// The client's address as a trusted proxy saw it; several are separated by commas, the
/// nearest one last.
pub const FORWARDED_FOR: &str = "x-forwarded-for";
/// The client's user agent as a trusted proxy saw it.
pub const FORWARDED_USER_AGENT: &str = "x-forwarded-user-agent";
/// The secret by which a proxy in the same process proves itself.
pub const PROXY_SECRET: &str = "x-millgate-proxy";

const LONGEST_USER_AGENT: usize = 256;

/// Who sent a request, as far as it can be believed. In the extensions of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The client's address.
    pub address: IpAddr,
    /// What the client says it is: at most 256 printable characters, empty if unknown.
    pub user_agent: String,
}

impl ClientInfo {
    /// The address to count by: IPv6 by its /64, which one subscriber has to themselves.
    pub fn throttle_key(&self) -> IpAddr {
        network_of(self.address)
    }
}

/// An address, or the /64 of an IPv6 one. An IPv4 address inside IPv6 counts as IPv4.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
    }
}

/// The settings behind [`TrustedProxies`].
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Trusted proxies")]
pub struct ProxyArgs {
    /// Networks whose `x-forwarded-for` is believed, e.g. 10.0.0.0/8 (comma-separated).
    #[arg(
        long,
        env = "MILLGATE_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// Names in client certificates (mutual TLS) of proxies to believe (comma-separated).
    #[arg(
        long,
        env = "MILLGATE_TRUSTED_PROXY_NAMES",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub trusted_proxy_names: Vec<String>,
}

impl ProxyArgs {
    /// The proxies to believe; `secret` is the one that a gateway in the same process knows.
    ///
    /// # Errors
    /// Names the setting with a name that cannot stand in a certificate.
    pub fn trusted(&self, secret: Option<SecretString>) -> Result<TrustedProxies, StartError> {
        let name = |name: &String| {
            ServerName::try_from(name.clone()).map_err(|_| {
                StartError::new(
                    "MILLGATE_TRUSTED_PROXY_NAMES",
                    format!("{name:?} is not a name"),
                )
            })
        };
        Ok(TrustedProxies(Arc::new(Trusted {
            networks: self.trusted_proxies.clone(),
            names: self
                .trusted_proxy_names
                .iter()
                .map(name)
                .collect::<Result<_, _>>()?,
            secret,
        })))
    }
}

/// Whose word on a client's address is believed. The default believes nobody.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<Trusted>);

#[derive(Debug, Default)]
struct Trusted {
    networks: Vec<IpNet>,
    names: Vec<ServerName<'static>>,
    secret: Option<SecretString>,
}

impl TrustedProxies {
    /// Believes whoever knows this secret.
    pub fn by_secret(secret: SecretString) -> Self {
        Self(Arc::new(Trusted {
            secret: Some(secret),
            ..Trusted::default()
        }))
    }

    /// Whether a connection with this client certificate is a proxy of ours.
    pub fn knows_certificate(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some(certificate) = chain.first() else {
            return false;
        };
        let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
            return false;
        };
        self.0
            .names
            .iter()
            .any(|name| certificate.verify_is_valid_for_subject_name(name).is_ok())
    }

    /// Reads, and takes out of the headers, what says where the request comes from. Handlers
    /// and logs never see the secret or an unproven address.
    pub fn client(&self, headers: &mut HeaderMap, peer: IpAddr, peer_is_known: bool) -> ClientInfo {
        let secret = headers.remove(PROXY_SECRET);
        let believed = peer_is_known
            || self.trusts(peer)
            || secret.is_some_and(|sent| self.is_secret(sent.as_bytes()));
        let forwarded: Vec<_> = headers.get_all(FORWARDED_FOR).iter().cloned().collect();
        let forwarded_agent = headers.remove(FORWARDED_USER_AGENT);
        headers.remove(FORWARDED_FOR);
        let own_agent = headers.get(http::header::USER_AGENT).cloned();
        let peer = peer.to_canonical();
        if !believed {
            return ClientInfo {
                address: peer,
                user_agent: printable(own_agent.as_ref()),
            };
        }
        let hops: Vec<_> = forwarded
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect::<Vec<_>>();
        ClientInfo {
            address: self.nearest_stranger(&hops.join(",")).unwrap_or(peer),
            user_agent: printable(forwarded_agent.as_ref().or(own_agent.as_ref())),
        }
    }

    /// Whether connections from this address are of a proxy that is believed by its network.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0
            .networks
            .iter()
            .any(|network| network.contains(&address))
    }

    fn is_secret(&self, sent: &[u8]) -> bool {
        self.0
            .secret
            .as_ref()
            .is_some_and(|secret| secret.expose_secret().as_bytes().ct_eq(sent).into())
    }

    /// From the right, the first address that is no proxy of ours: everything left of it is
    /// the client's own claim.
    fn nearest_stranger(&self, forwarded: &str) -> Option<IpAddr> {
        let mut nearest = None;
        for hop in forwarded.rsplit(',') {
            let address = hop.trim().parse::<IpAddr>().ok()?.to_canonical();
            nearest = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        nearest
    }
}

fn printable(value: Option<&http::HeaderValue>) -> String {
    let text = value
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .unwrap_or_default();
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_USER_AGENT)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in entries {
            map.append(*name, value.parse().expect("a header"));
        }
        map
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn networks(list: &[&str]) -> TrustedProxies {
        let args = ProxyArgs {
            trusted_proxies: list
                .iter()
                .map(|net| net.parse().expect("a network"))
                .collect(),
            trusted_proxy_names: Vec::new(),
        };
        args.trusted(None).expect("good settings")
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        let mut sent = headers(&[(FORWARDED_FOR, "1.2.3.4"), (PROXY_SECRET, "guess")]);
        let trusted = TrustedProxies::by_secret("right".to_owned().into());
        let client = trusted.client(&mut sent, ip("127.0.0.1"), false);
        assert_eq!(
            client.address,
            ip("127.0.0.1"),
            "loopback is not a reason to believe"
        );
        assert!(sent.is_empty(), "the claims are gone");
    }

    #[test]
    fn the_secret_is_believed_and_does_not_travel_on() {
        let mut sent = headers(&[
            (FORWARDED_FOR, "1.2.3.4"),
            (FORWARDED_USER_AGENT, "browser"),
            ("user-agent", "gateway"),
            (PROXY_SECRET, "right"),
        ]);
        let trusted = TrustedProxies::by_secret("right".to_owned().into());
        let client = trusted.client(&mut sent, ip("127.0.0.1"), false);
        assert_eq!(
            client,
            ClientInfo {
                address: ip("1.2.3.4"),
                user_agent: "browser".into()
            }
        );
        assert!(sent.get(PROXY_SECRET).is_none() && sent.get(FORWARDED_FOR).is_none());
    }

    #[test]
    fn of_a_chain_the_nearest_address_that_is_not_ours_counts() {
        let trusted = networks(&["10.0.0.0/8"]);
        for (sent, expected) in [
            ("6.6.6.6, 1.2.3.4, 10.0.0.9", "1.2.3.4"),
            ("10.0.0.8", "10.0.0.8"),
            ("1.2.3.4, rubbish", "10.0.0.1"),
            ("rubbish, 1.2.3.4", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            let mut sent = headers(&[(FORWARDED_FOR, sent)]);
            let client = trusted.client(&mut sent, ip("10.0.0.1"), false);
            assert_eq!(client.address, ip(expected));
        }
    }

    #[test]
    fn an_ipv6_address_counts_by_its_network() {
        assert_eq!(network_of(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(network_of(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
    }

    #[test]
    fn a_user_agent_is_cut_and_cleaned() {
        let long = "x".repeat(1000);
        let mut sent = headers(&[("user-agent", &long)]);
        let client = TrustedProxies::default().client(&mut sent, ip("1.1.1.1"), false);
        assert_eq!(client.user_agent.len(), LONGEST_USER_AGENT);
    }
}
