//! Which addresses are public, by the registries of IANA for special-purpose addresses (RFC 6890 and its successors). What is
//! not known to be public is not. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet's, and not of this machine, of a private network or of none.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Networks that are not public, with the bits of their prefixes.
const V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    // Shared by a provider's customers.
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Link-local: machines in clouds tell their secrets here.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, and what is reserved up to the broadcast address.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !V4.iter().any(|(network, prefix)| (bits ^ u32::from_be_bytes(*network)) >> (32 - prefix) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match [a, b, c, d, e, f] {
        // An IPv4 address in IPv6's clothes, and one behind a translator (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
        // 6to4 (RFC 3056).
        [0x2002, ..] => embedded(b, c),
        // Protocols and documentation within the global unicast addresses.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public() {
        let check = |addresses: &str, want: bool| {
            for address in addresses.split(' ') {
                assert_eq!(is_public(address.parse().unwrap()), want, "{address}");
            }
        };
        check("1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 192.167.1.1 223.255.255.255", true);
        check("0.0.0.0 0.1.2.3 10.1.2.3 100.64.0.1 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1", false);
        check("172.31.255.255 192.0.0.8 192.0.2.1 192.168.0.1 198.18.0.1 198.19.9.9 224.0.0.1 255.255.255.255", false);
        check("2606:4700::1111 2a00:1450::1 2002:808:808::1 ::ffff:8.8.8.8 64:ff9b::808:808 2001:4860::8", true);
        check(":: ::1 ::7f00:1 fe80::1 fec0::1 fc00::1 fd12::1 ff02::1 100::1 4000::1 2001:db8::1 2001::1", false);
        check("::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b:1::808:808 2002:7f00:1::1", false);
        check("2002:a00:1::1 3fff::1 2001:10::1 2001:20::1", false);
    }
}
