//! How many requests one client may send.

use std::{
    num::NonZeroU32,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    state::keyed::HashMapStateStore,
};

use super::clients::Client;

/// How many clients of each kind (IPv4, IPv6, IPv6 networks) are remembered at a time, in about 3 MB. If more than that are
/// below their full allowance at once, all of that kind are forgotten: an attacker with that many addresses is not stopped
/// by a limit on each address anyway.
const CLIENTS_MAX: usize = 65_536;

/// How many times as much as one client a whole IPv6 /48 may send. One customer can have it all, 65,536 clients, but
/// mobile networks divide it among their customers.
const V6_NETWORK_FACTOR: NonZeroU32 = NonZeroU32::new(16).unwrap();

/// How many requests a client may send at once and regains over a second, minute or hour; or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit(Option<Quota>);

/// The text is not a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a rate limit is a number of requests a second, minute or hour, as in 5/s, 120/m or 1000/h, or off"
)]
pub(crate) struct ParseRateLimitError;

impl FromStr for RateLimit {
    type Err = ParseRateLimitError;

    fn from_str(text: &str) -> Result<Self, ParseRateLimitError> {
        if text == "off" {
            return Ok(Self(None));
        }
        let (number, unit) = text.split_once('/').ok_or(ParseRateLimitError)?;
        // Rust's parser would accept a plus sign.
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseRateLimitError);
        }
        let number: NonZeroU32 = number.parse().map_err(|_| ParseRateLimitError)?;
        let quota = match unit {
            "s" => Quota::per_second(number),
            "m" => Quota::per_minute(number),
            "h" => Quota::per_hour(number),
            _ => return Err(ParseRateLimitError),
        };
        Ok(Self(Some(quota)))
    }
}

impl RateLimit {
    /// Whether there is a limit.
    pub(super) fn is_on(self) -> bool {
        self.0.is_some()
    }
}

/// Counts requests by client. Memory is bounded: see [`CLIENTS_MAX`].
pub(super) struct Limiter(Option<Mutex<Limits>>);

/// Each has its own memory, so that clients of one kind cannot make it forget those of another.
struct Limits {
    v4: Limit,
    v6: Limit,
    /// By /48: the last part of each key is zero.
    v6_networks: Limit,
}

struct Limit {
    quota: Quota,
    clients: RateLimiter<Client, HashMapStateStore<Client>, MonotonicClock>,
}

impl From<RateLimit> for Limiter {
    fn from(RateLimit(quota): RateLimit) -> Self {
        Self(quota.map(|quota| {
            let networks = Quota::with_period(quota.replenish_interval() / V6_NETWORK_FACTOR.get());
            let burst = quota.burst_size().saturating_mul(V6_NETWORK_FACTOR);
            Mutex::new(Limits {
                v4: Limit::new(quota),
                v6: Limit::new(quota),
                v6_networks: Limit::new(networks.unwrap_or(quota).allow_burst(burst)),
            })
        }))
    }
}

impl Limiter {
    /// Counts a request of `client`.
    ///
    /// # Errors
    /// If it, or its network, has sent too many: the number of seconds, at least one, until its next request is accepted.
    pub(super) fn count(&self, client: Client) -> Result<(), u32> {
        let Some(limits) = &self.0 else { return Ok(()) };
        let mut limits = limits.lock().unwrap_or_else(PoisonError::into_inner);
        match client {
            Client::V4(_) => limits.v4.count(client),
            // In this order, so that requests of a client over its own limit do not use up that of its neighbours.
            Client::V6([a, b, c, _]) => {
                limits.v6.count(client)?;
                limits.v6_networks.count(Client::V6([a, b, c, 0]))
            }
        }
    }

    /// Frees the memory of clients that have their full allowance again.
    pub(super) fn forget_idle(&self) {
        if let Some(limits) = &self.0 {
            let limits = limits.lock().unwrap_or_else(PoisonError::into_inner);
            for limit in [&limits.v4, &limits.v6, &limits.v6_networks] {
                limit.clients.retain_recent();
                limit.clients.shrink_to_fit();
            }
        }
    }
}

impl Limit {
    fn new(quota: Quota) -> Self {
        let clients = RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        Self { quota, clients }
    }

    fn count(&mut self, client: Client) -> Result<(), u32> {
        if self.clients.len() >= CLIENTS_MAX {
            self.clients.retain_recent();
            // Searching all clients again for each new one would cost more than it saves.
            if self.clients.len() > CLIENTS_MAX / 2 {
                *self = Self::new(self.quota);
            }
        }
        self.clients.check_key(&client).map_err(|refused| {
            let wait = refused.wait_time_from(self.clients.clock().now());
            let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            u32::try_from(secs.max(1)).unwrap_or(u32::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn client(number: u32) -> Client {
        Client::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn invalid_rate_limits_are_refused() {
        for text in [
            "",
            "off ",
            "on",
            "5",
            "0/s",
            "-1/s",
            "+1/s",
            "1.5/s",
            "5/d",
            "5/s/s",
            "5 /s",
            "4294967296/s",
        ] {
            assert_eq!(
                text.parse::<RateLimit>(),
                Err(ParseRateLimitError),
                "{text}"
            );
        }
    }

    #[test]
    fn a_client_regains_its_requests_one_by_one_without_affecting_others() {
        let limiter = Limiter::from("3/h".parse::<RateLimit>().unwrap());
        for _ in 0..3 {
            assert_eq!(limiter.count(client(1)), Ok(()));
        }
        assert_eq!(limiter.count(client(1)), Err(20 * 60));
        assert_eq!(limiter.count(client(2)), Ok(()));
        let unlimited = Limiter::from("off".parse::<RateLimit>().unwrap());
        assert!((0..1000).all(|_| unlimited.count(client(1)).is_ok()));
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_clients() {
        let limiter = Limiter::from("1/h".parse::<RateLimit>().unwrap());
        let last = 5 * u32::try_from(CLIENTS_MAX).unwrap() / 2;
        let mut known_max = 0;
        for number in 0..=last {
            assert_eq!(limiter.count(client(number)), Ok(()));
            let known = limiter.0.as_ref().unwrap().lock().unwrap().v4.clients.len();
            known_max = known_max.max(known);
        }
        assert_eq!(known_max, CLIENTS_MAX);
        assert_eq!(limiter.count(client(last)), Err(60 * 60));
        // Nor are IPv4 clients forgotten for IPv6 ones.
        for number in 0..=u16::MAX {
            assert_eq!(
                limiter.count(Client::V6([0x2001, 0xdb8, number, 0])),
                Ok(())
            );
        }
        assert!(limiter.count(client(last)).is_err());
    }

    #[test]
    fn clients_with_their_full_allowance_are_forgotten() {
        let limiter = Limiter::from("1000/s".parse::<RateLimit>().unwrap());
        limiter.count(client(1)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
        limiter.forget_idle();
        assert!(limiter.0.unwrap().lock().unwrap().v4.clients.is_empty());
    }
}
