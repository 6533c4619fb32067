//! Addresses in the forms they are met in, and what the table shows of them.

use proptest::prelude::*;

use super::*;

fn shown(policy: IpPolicy, text: &str) -> Option<String> {
    let mut out = b"before ".to_vec();
    let is_there = policy.write(text.as_bytes(), parse_ip(text.as_bytes()), &mut out);
    let written = out.strip_prefix(b"before ").expect("what was there stays").to_vec();
    assert!(is_there || written.is_empty());
    is_there.then(|| String::from_utf8(written).expect("text"))
}

#[test]
fn addresses_are_read_in_all_their_forms() {
    for (text, expected) in [
        ("203.0.113.7", "203.0.113.7"),
        ("0.0.0.0", "0.0.0.0"),
        ("255.255.255.255", "255.255.255.255"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("2001:DB8:1:2::3", "2001:db8:1:2::3"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:8080", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("::1", "::1"),
    ] {
        let address = parse_ip(text.as_bytes()).map(|ip| ip.to_string());
        assert_eq!(address.as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_address_is_none() {
    let long = format!("fe80::1%{}", "x".repeat(100));
    for text in [
        "",
        " ",
        "unknown",
        "-",
        "localhost",
        "host-7.example.com",
        "203.0.113",
        "203.0.113.7.8",
        "203.0.113.256",
        "203.0.113.07",
        "203.0.113.7:",
        "203.0.113.7:99999",
        "203.0.113.7, 10.0.0.1",
        "[203.0.113.7]",
        "[::1",
        "[::1]x",
        "1e3.0.0.1",
        "+1.2.3.4",
        "2001:db8::1::2",
        "2001:db8::1 x",
        &long,
    ] {
        assert_eq!(parse_ip(text.as_bytes()), None, "{text}");
    }
    assert_eq!(parse_ip(b"\xff\xfe"), None);
}

#[test]
fn truncated_addresses_name_a_network() {
    for (text, expected) in [
        ("203.0.113.7", "203.0.113.0"),
        ("10.20.130.240", "10.20.130.0"),
        ("255.9.10.99", "255.9.10.0"),
        ("::ffff:203.0.113.7", "203.0.113.0"),
        ("203.0.113.7:443", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("[2001:db8::1]:80", "2001:db8::"),
        ("::1", "::"),
        ("64:ff9b::203.0.113.7", "64:ff9b::"),
        ("2002:cb00:7107::1", "2002:cb00:7100::"),
    ] {
        assert_eq!(shown(IpPolicy::Truncate, text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn truncation_leaks_no_text_that_is_no_address() {
    for text in ["", "unknown", "anna-laptop.example.com", "203.0.113.7, 198.51.100.7", "mailto:anna@example.com"] {
        assert_eq!(shown(IpPolicy::Truncate, text), None, "{text}");
    }
}

#[test]
fn keeping_changes_nothing_and_dropping_shows_nothing() {
    for text in ["203.0.113.7", "unknown", "[2001:db8::1]:80", ""] {
        assert_eq!(shown(IpPolicy::Keep, text).as_deref(), Some(text));
        assert_eq!(shown(IpPolicy::Drop, text), None);
    }
}

#[test]
fn policies_are_named_in_snake_case() {
    assert_eq!(serde_json::from_str::<IpPolicy>("\"truncate\"").expect("a policy"), IpPolicy::default());
    assert_eq!(serde_json::to_string(&IpPolicy::Keep).expect("text"), "\"keep\"");
    assert!(serde_json::from_str::<IpPolicy>("\"hash\"").is_err());
}

proptest! {
    #[test]
    fn the_fast_path_agrees_with_the_standard_library(text in "[0-9]{1,3}(\\.[0-9]{1,4}){2,4}") {
        let expected = text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
        prop_assert_eq!(parse_ip(text.as_bytes()), expected);
    }

    #[test]
    fn every_address_is_read_and_truncated_to_its_network(octets in any::<[u8; 4]>(), segments in any::<[u16; 8]>()) {
        let v4 = Ipv4Addr::from(octets);
        prop_assert_eq!(parse_ip(v4.to_string().as_bytes()), Some(IpAddr::V4(v4)));
        let [a, b, c, _] = octets;
        prop_assert_eq!(shown(IpPolicy::Truncate, &v4.to_string()), Some(format!("{a}.{b}.{c}.0")));

        let v6 = Ipv6Addr::from(segments);
        prop_assert_eq!(parse_ip(v6.to_string().as_bytes()), Some(IpAddr::V6(v6).to_canonical()));
        prop_assume!(segments[0] != 0x2002 && v6.to_ipv4_mapped().is_none());
        let network: Ipv6Addr = shown(IpPolicy::Truncate, &v6.to_string()).expect("text").parse().expect("an address");
        prop_assert_eq!(network.segments(), [segments[0], segments[1], segments[2], 0, 0, 0, 0, 0]);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(text in any::<Vec<u8>>()) {
        let mut out = Vec::new();
        IpPolicy::Truncate.write(&text, parse_ip(&text), &mut out);
    }
}
