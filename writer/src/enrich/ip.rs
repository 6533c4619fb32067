//! IP addresses: read from text, and written to the table as far as the policy allows.
//!
//! An address identifies a line, and so often a person. [`IpPolicy::Truncate`] keeps what analysis needs (country,
//! network) and drops the line: an IPv4 address to its /24, an IPv6 address to its /48, which is what a provider gives
//! one customer or a few. Where an IPv6 address carries an IPv4 address in its prefix (6to4), that is truncated to
//! its /24 too. Text that is no address, such as `unknown` or the host name in an access log, may name a person
//! as well and becomes null.

#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Bits of an IPv6 address that are kept when it is truncated.
const IPV6_KEPT_BITS: u32 = 48;

/// Bits of a 6to4 address that are kept: 16 that say what it is, and a /24 of the IPv4 address behind them.
const SIX_TO_FOUR_KEPT_BITS: u32 = 16 + 24;

/// Longest text that can be an address: one of version 6 with its zone, in brackets, and a port.
const MAX_ADDRESS_BYTES: usize = 80;

/// What becomes of the IP address in the table. Country and network are found before, from the whole address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpPolicy {
    /// The text stays as it was received, whatever it is.
    Keep,
    /// The address of its network: `203.0.113.0` (/24) or `2001:db8:1::` (/48); null for text that is no address.
    #[default]
    Truncate,
    /// Null.
    Drop,
}

impl IpPolicy {
    /// Appends what the table shows for `text`, whose address is `address` (see [`parse_ip`]), to `out`; false when
    /// that is null and nothing was appended.
    pub fn write(self, text: &[u8], address: Option<IpAddr>, out: &mut Vec<u8>) -> bool {
        match (self, address) {
            (IpPolicy::Keep, _) => out.extend_from_slice(text),
            (IpPolicy::Truncate, Some(IpAddr::V4(v4))) => write_v4_network(v4, out),
            (IpPolicy::Truncate, Some(IpAddr::V6(v6))) => write_v6_network(v6, out),
            (IpPolicy::Truncate, None) | (IpPolicy::Drop, _) => return false,
        }
        true
    }
}

/// Reads an address: `203.0.113.7`, `2001:db8::1`, with a port (`203.0.113.7:443`, `[2001:db8::1]:443`), in brackets,
/// with a zone (`fe80::1%eth0`) or with blanks around it. An IPv4 address inside of version 6 (`::ffff:203.0.113.7`)
/// is returned as version 4. `None` for anything else; also for lists, since nobody knows which entry to believe.
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    if let Some(v4) = plain_v4(text) {
        return Some(IpAddr::V4(v4));
    }
    if text.len() > MAX_ADDRESS_BYTES {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?.trim();
    let address = match text.strip_prefix('[') {
        Some(rest) => in_brackets(rest)?,
        None => without_port(text),
    };
    let without_zone = address.split_once('%').map_or(address, |(address, _)| address);
    Some(without_zone.parse::<IpAddr>().ok()?.to_canonical())
}

/// Reads four decimal numbers without leading zeros, as nearly all addresses are written.
fn plain_v4(text: &[u8]) -> Option<Ipv4Addr> {
    if text.len() > "255.255.255.255".len() {
        return None;
    }
    let mut octets = [0; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = decimal(parts.next()?)?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

fn decimal(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 3 || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    let mut number = 0_u16;
    for digit in digits {
        number = number * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    u8::try_from(number).ok()
}

/// Returns the address of `address]` or `address]:port`.
fn in_brackets(rest: &str) -> Option<&str> {
    let (address, behind) = rest.split_once(']')?;
    let is_address = address.contains(':') && (behind.is_empty() || behind.strip_prefix(':').is_some_and(is_port));
    is_address.then_some(address)
}

/// Returns `text` without the port of an IPv4 address; in version 6 a colon belongs to the address.
fn without_port(text: &str) -> &str {
    match text.split_once(':') {
        Some((address, port)) if address.contains('.') && is_port(port) => address,
        _ => text,
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn write_v4_network(v4: Ipv4Addr, out: &mut Vec<u8>) {
    let [a, b, c, _] = v4.octets();
    for octet in [a, b, c] {
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.extend_from_slice(&[b'0' + octet % 10, b'.']);
    }
    out.push(b'0');
}

fn write_v6_network(v6: Ipv6Addr, out: &mut Vec<u8>) {
    if let Some(v4) = v6.to_ipv4_mapped() {
        return write_v4_network(v4, out);
    }
    let kept_bits = if v6.segments()[0] == 0x2002 { SIX_TO_FOUR_KEPT_BITS } else { IPV6_KEPT_BITS };
    let network = Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - kept_bits)));
    write!(out, "{network}").expect("a vector takes all that is written to it");
}
