//! A24: clients with forged forwarding headers.

use super::flood::paced;
use super::{EACH, Needs, Scenario};
use crate::addresses::Spread;
use crate::attack::{Attack, at_rate, hold};
use crate::dice::roll;
use crate::h1::{Reader, head};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

/// Begins every PROXY v2 header.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The scenarios of this family.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "forwarded-spoof",
        vector: "A24",
        what: "GETs from one address, each with another forged one in every forwarding header",
        needs: Needs::H1,
        connections: 20,
        rate: 2_000,
        addresses: 1,
        spread: Spread::Wide,
        run: |attack| Box::pin(hold(attack, spoof)),
    },
    Scenario {
        name: "proxy-lies",
        vector: "A24",
        what: "valid and invalid PROXY headers from clients that are not trusted proxies",
        needs: Needs::H1,
        connections: 200,
        rate: 200,
        addresses: EACH,
        spread: Spread::Wide,
        run: |attack| Box::pin(at_rate(attack, lie)),
    },
];

fn invented(n: u64) -> Ipv4Addr {
    let [a, b, c, ..] = roll(n).to_be_bytes();
    // 203.0.113.0/24, 198.51.100.0/24 and 192.0.2.0/24 are for documentation.
    match a % 3 {
        0 => Ipv4Addr::new(203, 0, 113, b),
        1 => Ipv4Addr::new(198, 51, 100, c),
        _ => Ipv4Addr::new(192, 0, 2, b ^ c),
    }
}

/// Returns every header that some server trusts.
fn fields(who: Ipv4Addr) -> String {
    format!(
        "X-Forwarded-For: {who}\r\nx-forwarded-for: 127.0.0.1, {who}\r\nForwarded: for={who};proto=https\r\n\
         X-Real-IP: {who}\r\nCF-Connecting-IP: {who}\r\nTrue-Client-IP: {who}\r\n\
         X-Client-IP: {who}\r\nX-Cluster-Client-IP: {who}\r\nFastly-Client-IP: {who}\r\n\
         X-Forwarded-Host: other.example\r\nX-Forwarded-Proto: https\r\nVia: 1.1 inside\r\n"
    )
}

async fn spoof(attack: Arc<Attack>, n: usize) {
    paced(attack, n, |attack: &Attack, unique| {
        head("GET", attack.path_or("/"), attack.host(), &fields(invented(unique))).into_bytes()
    })
    .await;
}

/// Returns the n-th forged header, and its name.
pub(super) fn proxy_header(n: usize) -> (&'static str, Vec<u8>) {
    let who = invented(n as u64);
    let v2 = |command: u8, family: u8, length: u16, body: &[u8]| {
        [PROXY_V2, &[0x20 | command, family], &length.to_be_bytes(), body].concat()
    };
    let address = [who.octets().as_slice(), &[127, 0, 0, 1, 0x30, 0x39, 0, 80]].concat();
    let lies: [(&'static str, Vec<u8>); 9] = [
        ("v1", format!("PROXY TCP4 {who} 127.0.0.1 12345 80\r\n").into_bytes()),
        ("v1 unknown", b"PROXY UNKNOWN\r\n".to_vec()),
        ("v1 without end", format!("PROXY TCP4 {who} {}", "1".repeat(200)).into_bytes()),
        ("v1 out of range", b"PROXY TCP4 999.1.1.1 127.0.0.1 99999 80\r\n".to_vec()),
        ("v2", v2(1, 0x11, 12, &address)),
        ("v2 local", v2(0, 0, 0, &[])),
        ("v2 too long", v2(1, 0x11, u16::MAX, &address)),
        ("v2 too short", v2(1, 0x11, 3, address.get(..3).unwrap_or_default())),
        ("v2 twice", [v2(1, 0x11, 12, &address), v2(1, 0x11, 12, &address)].concat()),
    ];
    lies.into_iter().nth(n % 9).unwrap_or_default()
}

async fn lie(attack: Arc<Attack>, n: usize) {
    let Some(mut wire) = attack.open(n).await else { return };
    let (name, mut out) = proxy_header(n);
    out.extend(
        head("GET", attack.path_or("/"), attack.host(), "Connection: close\r\n").into_bytes(),
    );
    attack.tally.requests.one();
    if wire.write_all(&out).await.is_err() {
        return;
    }
    match Reader::new().answer(&mut wire, false).await {
        Ok(answer) => {
            attack.tally.answer(answer.status);
            attack.tally.event(&format!("PROXY {name}: {}", answer.status));
        }
        Err(_) => attack.tally.event(&format!("PROXY {name}: no answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_true_v2_header_is_as_specified() {
        let (name, bytes) = proxy_header(4);
        assert_eq!((name, bytes.len()), ("v2", 16 + 12));
        assert_eq!(bytes[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
        assert_eq!(bytes[20..24], [127, 0, 0, 1]);
        let names: std::collections::HashSet<_> = (0..9).map(|n| proxy_header(n).0).collect();
        assert_eq!(names.len(), 9);
    }

    #[test]
    fn nobody_real_is_named() {
        for n in 0..1_000 {
            let text = invented(n).to_string();
            let documented = ["203.0.113.", "198.51.100.", "192.0.2."];
            assert!(documented.iter().any(|net| text.starts_with(net)), "{text}");
        }
    }
}
