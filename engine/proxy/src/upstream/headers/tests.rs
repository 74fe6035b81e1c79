//! What an origin and a client see of each other.

use seawall_model::{Client, ClientPrefixes};

use super::*;
use crate::admission::trusted_proxies::ConnectionOwnership;
use crate::routing::SiteTable;
use crate::routing::{test_origin, test_site};
use seawall_config::SiteConfig;
use seawall_model::Scheme;

fn asker(ip: &str) -> ResolvedClient {
    let client = Client::of(ip.parse().unwrap(), &ClientPrefixes::default());
    ResolvedClient { client, scheme: Scheme::Http, line: ConnectionOwnership::Own }
}

fn dressed(target: &str, fields: &[(&'static str, &str)], ip: &str) -> RequestHeader {
    let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
    for (name, value) in fields {
        request.append_header(*name, *value).unwrap();
    }
    rewrite_request_headers(&mut request, &asker(ip)).unwrap();
    request
}

fn values<'r>(request: &'r RequestHeader, name: &str) -> Vec<&'r str> {
    request.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect()
}

#[test]
fn the_origin_sees_one_client_and_it_is_ours() {
    let claims = [
        ("X-Forwarded-For", "198.51.100.1"),
        ("x-forwarded-for", "198.51.100.2, 198.51.100.3"),
        ("Forwarded", "for=198.51.100.4"),
        ("X-Real-IP", "198.51.100.5"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("True-Client-IP", "198.51.100.6"),
    ];
    let request = dressed("/", &claims, "192.0.2.9");
    assert_eq!(values(&request, "x-forwarded-for"), ["192.0.2.9"]);
    assert_eq!(values(&request, "forwarded"), ["for=192.0.2.9;proto=http"]);
    assert_eq!(values(&request, "x-forwarded-proto"), ["http"]);
    assert!(!format!("{:?}", request.headers).contains("198.51.100"));
    assert!(values(&request, "x-forwarded-host").is_empty());

    let request = dressed("/", &[], "2001:db8::7");
    assert_eq!(values(&request, "x-forwarded-for"), ["2001:db8::7"]);
    assert_eq!(values(&request, "forwarded"), ["for=\"[2001:db8::7]\";proto=http"]);
    assert_eq!(values(&dressed("/", &[], "::ffff:192.0.2.9"), "x-forwarded-for"), ["192.0.2.9"]);
}

#[test]
fn a_target_that_names_its_host_becomes_a_path() {
    for (target, path) in [
        ("/a?b", "/a?b"),
        ("http://a.example/x?y=z", "/x?y=z"),
        ("http://a.example", "/"),
        ("http://a.example?q", "/?q"),
        ("*", "*"),
    ] {
        let request = dressed(target, &[("Host", "a.example")], "192.0.2.9");
        assert_eq!(request.raw_path(), path.as_bytes(), "{target}");
    }
}

#[test]
fn a_redirect_to_the_origins_address_becomes_a_path() {
    let origins = ["127.0.0.1:9001", "127.0.0.2:80"].map(test_origin).to_vec();
    let site = SiteConfig { origins, ..test_site("a.example", "127.0.0.1:9") };
    let sites = SiteTable::resolve(&[site], &ProxyLimits::default()).unwrap();
    let route = sites.find("a.example").unwrap();
    for (location, shown) in [
        ("http://127.0.0.1:9001/x?y", "/x?y"),
        ("http://127.0.0.1:9001", "/"),
        ("//127.0.0.1:9001/z", "/z"),
        ("http://127.0.0.2/w", "/w"),
        ("http://127.0.0.1:9002/x", "http://127.0.0.1:9002/x"),
        ("http://a.example/x", "http://a.example/x"),
        ("/x", "/x"),
    ] {
        let mut response = ResponseHeader::build(302, None).unwrap();
        response.insert_header("Location", location).unwrap();
        rewrite_response_headers(&mut response, route).unwrap();
        assert_eq!(response.headers.get("location").unwrap(), shown, "{location}");
    }
}

#[test]
fn an_origin_may_keep_silent_on_a_websocket_as_long_as_the_guard_allows() {
    let limits = ProxyLimits::default();
    let mut peer = HttpPeer::new("127.0.0.1:1", false, String::new());
    set_deadlines(&mut peer, &limits, (RequestKind::Plain, 75_000));
    assert_eq!(peer.options.read_timeout, Some(Duration::from_secs(75)));
    set_deadlines(&mut peer, &limits, (RequestKind::WebSocket, 75_000));
    assert_eq!(peer.options.read_timeout, None);
    assert!(peer.options.connection_timeout.is_some() && peer.options.write_timeout.is_some());
}
