//! Requests in any cut, those that are refused, and where the reading stands meanwhile.

use super::*;
use proptest::prelude::*;

const SIZES: Sizes = Sizes { head_bytes_max: 300, body_bytes_max: 10 };

/// Everything that comes out when the bytes come in pieces of this size.
fn read(bytes: &[u8], piece: usize) -> Vec<Progress> {
    let (mut reader, mut input, mut out) = (RequestReader::new(SIZES), Vec::new(), Vec::new());
    for part in bytes.chunks(piece) {
        input.extend_from_slice(part);
        loop {
            match reader.next(&mut input) {
                Progress::Partial => break,
                refused @ Progress::Refused(_) => {
                    out.push(refused);
                    return out;
                }
                other => out.push(other),
            }
        }
    }
    out
}

fn check(bytes: &str, want: &[(&str, &str, &str)]) {
    for piece in [1, 2, 3, 7, bytes.len()] {
        let got = read(bytes.as_bytes(), piece);
        let got: Vec<(&str, &str, &str)> = got
            .iter()
            .filter_map(|progress| match progress {
                Progress::Request(r) => Some((r.method.as_str(), r.path.as_str(), str::from_utf8(&r.body).ok()?)),
                Progress::WantsContinue => None,
                other => panic!("{bytes:?} by {piece}: {other:?}"),
            })
            .collect();
        assert_eq!(got, want, "{bytes:?} by {piece}");
    }
}

#[test]
fn requests_in_any_cut() {
    check("POST /v1/x?y HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", &[("POST", "/v1/x", "abc")]);
    check(
        "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\n\n\r\nGET /c HTTP/1.0\r\n\r\n",
        &[("GET", "/a", ""), ("GET", "/b", ""), ("GET", "/c", "")],
    );
    check("GET http://h:1/v1/models?x HTTP/1.1\r\n\r\n", &[("GET", "/v1/models", "")]);
    check("GET https://h HTTP/1.1\r\n\r\n", &[("GET", "/", "")]);
    // The example of RFC 9112, section 7.1, and what a sender may add: extensions, trailers, upper case.
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
    check(&format!("{head}4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n"), &[("POST", "/", "Wikipedia")]);
    check(
        &format!("{head}A;x=\"1\"\r\n0123456789\r\n0\r\nExpires: never\r\n\r\nGET /n HTTP/1.1\r\n\r\n"),
        &[("POST", "/", "0123456789"), ("GET", "/n", "")],
    );
    check(&format!("{head}0\r\n\r\n"), &[("POST", "/", "")]);
}

fn check_refused(bytes: &[u8], status: u16) {
    for piece in [1, bytes.len()] {
        let got = read(bytes, piece);
        let last = got.last();
        assert!(
            matches!(last, Some(Progress::Refused(Refusal(got, _))) if *got == status),
            "{:?} by {piece}: {last:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn what_is_refused() {
    check_refused(b"\x16\x03\x01", 400);
    for (headers, status) in [
        ("content-length: 11", 413),
        ("content-length: 99999999999999999999999", 413),
        ("content-length: x", 400),
        ("content-length: +3", 400),
        ("content-length: ", 400),
        ("content-length: 3\r\ncontent-length: 3", 400),
        ("content-length: 3\r\ntransfer-encoding: chunked", 400),
        ("transfer-encoding: gzip", 501),
        ("transfer-encoding: gzip, chunked", 501),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", 400),
        ("expect: 200-ok", 417),
    ] {
        check_refused(format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes(), status);
    }
    check_refused(format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(300)).as_bytes(), 431);
    check_refused(format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(300)).as_bytes(), 431);
    check_refused(format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(101)).as_bytes(), 431);
}

#[test]
fn chunks_that_are_refused() {
    for (chunks, status) in [
        ("x\r\n".to_owned(), 400),
        ("\r\n".to_owned(), 400),
        ("-1\r\n".to_owned(), 400),
        ("3\r\nabcd\r\n".to_owned(), 400),
        ("fffffffffffffffff\r\n".to_owned(), 400),
        ("b\r\n".to_owned(), 413),
        ("6\r\nabcdef\r\n5\r\n".to_owned(), 413),
        (format!("1;{}", "e".repeat(301)), 400),
        (format!("0\r\n{}", "t: v\r\n".repeat(60)), 400),
    ] {
        check_refused(format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{chunks}").as_bytes(), status);
    }
}

#[test]
fn a_client_that_waits_for_a_word_is_told_once() {
    let bytes = b"POST / HTTP/1.1\r\nexpect: 100-Continue\r\ncontent-length: 3\r\n\r\nabc";
    let got = read(bytes, 1);
    assert!(matches!(got.as_slice(), [Progress::WantsContinue, Progress::Request(_)]), "{got:?}");
    let got = read(bytes, bytes.len());
    assert!(matches!(got.as_slice(), [Progress::Request(_)]), "{got:?}");
}

#[test]
fn who_keeps_the_connection() {
    for (version, header, want) in [
        ("1.1", "x: y", true),
        ("1.0", "x: y", false),
        ("1.1", "connection: Close", false),
        ("1.1", "connection: x, close", false),
        ("1.0", "connection: keep-alive", true),
    ] {
        let got = read(format!("GET / HTTP/{version}\r\n{header}\r\n\r\n").as_bytes(), 9);
        assert!(matches!(&got[..], [Progress::Request(r)] if r.keep_alive == want), "{version} {header}");
    }
}

#[test]
fn the_phases_of_a_request() {
    let (mut reader, mut input) = (RequestReader::new(SIZES), Vec::new());
    assert_eq!(reader.phase(&input), Phase::Idle);
    input.extend_from_slice(b"POST / HTTP/1.1\r\n");
    assert_eq!((reader.next(&mut input), reader.phase(&input)), (Progress::Partial, Phase::Head));
    input.extend_from_slice(b"content-length: 2\r\n\r\na");
    assert_eq!((reader.next(&mut input), reader.phase(&input)), (Progress::Partial, Phase::Body));
    input.extend_from_slice(b"b");
    assert!(matches!(reader.next(&mut input), Progress::Request(_)));
    assert_eq!(reader.phase(&input), Phase::Idle);
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
        let head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        read(&[&head[..], &bytes].concat(), piece);
        read(&bytes, piece);
    }
}
