//! What stands on the wire and what is said when it fails: headers, proxies, keys, silence, servers that are gone.

use crate::rig::{Client, Run, data, serve, stream};
use serve::{Fault, FaultKind, Record, Script, ScriptedServer, StreamReply};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A host that has no address: only a proxy can lead to it.
const FAR: &str = "vlm.invalid:8000";

/// A request, head and body, read byte by byte so that nothing of what follows is taken.
fn read_request(from: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte).ok()?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head
        .to_lowercase()
        .split_once("content-length: ")
        .map_or(0, |(_, rest)| rest.split("\r\n").next().and_then(|length| length.parse().ok()).unwrap_or(0));
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

type Requests = Arc<Mutex<Vec<String>>>;

/// Takes this many connections (all there are without a number), keeps the first request of each, and lets
/// `answer` do the rest. Nothing listens afterwards.
fn listen(
    connections: Option<usize>,
    answer: impl Fn(&str, TcpStream) + Send + Clone + 'static,
) -> (SocketAddr, Requests, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heads) = (listener.local_addr().unwrap(), Requests::default());
    let kept = Arc::clone(&heads);
    let thread = std::thread::spawn(move || {
        for connection in listener.incoming().take(connections.unwrap_or(usize::MAX)) {
            let (mut connection, kept, answer) = (connection.unwrap(), Arc::clone(&kept), answer.clone());
            let serving = std::thread::spawn(move || {
                if let Some(head) = read_request(&mut connection) {
                    kept.lock().unwrap().push(head.clone());
                    answer(&head, connection);
                }
            });
            if connections.is_some() {
                serving.join().unwrap();
            }
        }
    });
    (address, heads, thread)
}

/// A recorded stream for questions to the model, 404 for all others.
fn like_a_server(head: &str, mut connection: TcpStream) {
    let reply = if head.starts_with("POST") {
        std::fs::read(data("vllm-0.32.0/stream_1tok.http")).unwrap()
    } else {
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()
    };
    connection.write_all(&reply).unwrap();
}

fn header<'a>(record: &'a Record, name: &str) -> Vec<&'a str> {
    let of = record.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    of.map(|(_, value)| value.as_str()).collect()
}

fn check_says(run: &Run, parts: &[&str]) {
    for part in parts {
        assert!(run.stderr.contains(part), "{part:?} is not in\n{}", run.stderr);
    }
    assert!(!run.stderr.contains("sesame"), "{}", run.stderr);
}

#[test]
fn a_server_that_keeps_its_models_to_itself_is_the_one_to_blame() {
    let mut script = stream(|_| ());
    script.api_key = Some("sesame".into());
    let server = serve(script);
    let run = Client::new("--no-image").at(&server).run().expect(1);
    check_says(&run, &["GET /v1/models: HTTP 401", "--api-key", "OPENAI_API_KEY"]);
    let run = Client::new("--no-image --api-key wrong").at(&server).run().expect(1);
    check_says(&run, &["HTTP 401", "the key given by --api-key"]);
    let run = Client::new("--no-image --lang zh").at(&server).run().expect(1);
    check_says(&run, &["HTTP 401", "服务端需要密钥"]);
    assert!(!run.folder.exists(), "nothing is written");
}

#[test]
fn a_server_without_a_list_of_models_is_no_failure_of_it() {
    let (address, _, _) = listen(None, like_a_server);
    let run = Client::new("--no-image --port").arg(&address.port().to_string()).run().expect(2);
    check_says(&run, &["no --model was given"]);
}

#[test]
fn silence_is_named_and_the_user_s_limit_holds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for (lang, parts) in [
        ("en", ["waiting for 127.0.0.1", "did not answer GET /v1/models within 1.2 s", "--served-model-name"]),
        ("zh", ["正在等待 127.0.0.1", "1.2 秒内没有回答 GET /v1/models", "--served-model-name"]),
    ] {
        let start = std::time::Instant::now();
        let words = format!("--no-image --first-token-timeout 1.2 --lang {lang} --port {port}");
        let run = Client::new(&words).run().expect(1);
        check_says(&run, &parts);
        assert!(!run.stderr.contains("no --model was given"), "{}", run.stderr);
        assert!(start.elapsed().as_secs() < 10, "one question, at most 1.2 s of waiting");
    }
}

#[test]
fn a_silent_server_with_a_named_model_gets_its_first_request() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let words = format!("--no-image --model m --first-token-timeout 0.3 --port {port}");
    let run = Client::new(&words).run().expect(1);
    check_says(&run, &["did not answer GET /v1/models within 0.3 s; the run goes on", "no first token in time"]);
    let run = Client::new(&format!("{words} --lang zh")).run().expect(1);
    check_says(&run, &["0.3 秒内没有回答 GET /v1/models", "时限内没有首个 token"]);
}

#[test]
fn a_dead_proxy_is_no_dead_server() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (name, scheme) in [("http_proxy", "http"), ("https_proxy", "https")] {
        for (lang, parts) in [("en", ["the proxy 127.0.0.1:", "NO_PROXY"]), ("zh", ["代理 127.0.0.1:", "连接被拒绝"])]
        {
            let client = Client::new(&format!("--no-image --model m --lang {lang} --base-url {scheme}://{FAR}"));
            let run = client.arg("--insecure").env(name, &format!("http://user:sesame@127.0.0.1:{port}")).run();
            check_says(&run.expect(1), &parts);
        }
    }
}

#[test]
fn a_refusing_proxy_is_named() {
    let refuse = |reply: &'static str| {
        let (address, _, _) = listen(None, move |_: &str, mut connection: TcpStream| {
            connection.write_all(reply.as_bytes()).unwrap();
        });
        format!("http://user:sesame@{address}")
    };
    let proxy = refuse("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    for model in ["", "--model m"] {
        let client = Client::new(&format!("--no-image {model} --base-url http://{FAR}"));
        let run = client.env("http_proxy", &proxy).run().expect(1);
        check_says(&run, &["HTTP 407", "the proxy 127.0.0.1:", "wants credentials"]);
    }
    let proxy = refuse("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    let client = Client::new(&format!("--no-image --model m --insecure --base-url https://{FAR}"));
    let run = client.env("https_proxy", &proxy).run().expect(1);
    check_says(&run, &["the proxy 127.0.0.1:", "opened no tunnel: HTTP/1.1 403 Forbidden", "NO_PROXY"]);
}

/// base64 of "user:sesame", by coreutils.
const BASIC: &str = "Basic dXNlcjpzZXNhbWU=";

#[test]
fn a_proxy_gets_its_credentials_with_every_plain_request() {
    let (address, heads, _) = listen(None, like_a_server);
    let client = Client::new(&format!("--no-image --model m --base-url http://{FAR}"));
    client.env("http_proxy", &format!("http://user:sesame@{address}")).run().expect(0);
    let proxied = std::mem::take(&mut *heads.lock().unwrap());
    assert!(proxied.iter().any(|head| head.starts_with("GET")) && proxied.iter().any(|head| head.starts_with("POST")));
    for head in &proxied {
        assert!(head.contains(&format!(" http://{FAR}/")), "{head}");
        assert!(head.to_lowercase().contains("proxy-authorization: ") && head.contains(BASIC), "{head}");
    }
    // The same server without a proxy on the way.
    let client = Client::new("--no-image --model m --port").arg(&address.port().to_string());
    client.env("http_proxy", "http://user:sesame@127.0.0.1:1").run().expect(0);
    let direct = heads.lock().unwrap();
    assert!(!direct.is_empty() && direct.iter().all(|head| !head.to_lowercase().contains("proxy-authorization")));
}

#[test]
fn over_tls_the_credentials_go_with_connect_and_no_further() {
    let made = rcgen::generate_simple_self_signed(vec!["vlm.invalid".into()]).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = ScriptedServer::start_tls(stream(|_| ()), cert.as_bytes(), key.as_bytes()).unwrap();
    let behind = server.address();
    let (address, heads, _) = listen(None, move |_: &str, mut near: TcpStream| {
        let mut far = TcpStream::connect(behind).unwrap();
        near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut near_too, mut far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut far_too, &mut near_too));
        let _ = std::io::copy(&mut near, &mut far);
    });
    let client = Client::new(&format!("--no-image --model scripted --insecure --base-url https://{FAR}"));
    client.env("https_proxy", &format!("http://user:sesame@{address}")).run().expect(0);
    let heads = heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.starts_with(&format!("CONNECT {FAR} ")) && head.contains(BASIC)), "{heads:?}");
    let records = server.records();
    assert!(!records.is_empty() && records.iter().all(|record| header(record, "proxy-authorization").is_empty()));
}

#[test]
fn the_user_s_headers_win_and_may_repeat() {
    let server = serve(stream(|_| ()));
    let mut client = Client::new("--no-image --model scripted --api-key ours").at(&server);
    for header in ["User-Agent: mine", "X-Tag: a", "x-tag: b", "Authorization: Basic abc", "X-Request-Id: fixed"] {
        client = client.arg("--header").arg(header);
    }
    client.run().expect(0);
    for record in server.records() {
        assert_eq!(header(&record, "user-agent"), ["mine"]);
        assert_eq!(header(&record, "x-tag"), ["a", "b"]);
        assert_eq!(header(&record, "authorization"), ["Basic abc"]);
        assert_eq!(header(&record, "x-request-id"), ["fixed"]);
        assert_eq!(header(&record, "content-type"), ["application/json"]);
    }
}

#[test]
fn request_ids_are_a_run_s_own() {
    let server = serve(stream(|_| ()));
    let mut pids = Vec::new();
    for _ in 0..2 {
        let mut client = Client::new("--no-image --model scripted --num-prompts 2 --num_rounds 2").at(&server);
        let child = client.spawn();
        pids.push(format!("-{}-", child.id()));
        client.finish(child).expect(0);
    }
    let ids: Vec<String> = server.records().into_iter().filter_map(|record| record.request_id).collect();
    let nonces: std::collections::BTreeSet<&str> = ids.iter().map(|id| id.rsplit_once('-').unwrap().0).collect();
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    // Two runs of one first request and two rounds of two.
    assert_eq!((ids.len(), distinct.len(), nonces.len()), (10, 10, 2), "{ids:?}");
    // In containers every run may have the same process id.
    assert!(ids.iter().all(|id| pids.iter().all(|pid| !id.contains(pid))), "{ids:?}");
}

#[test]
fn an_empty_key_is_none() {
    let server = serve(stream(|_| ()));
    let run = Client::new("--no-image --model scripted").at(&server).env("OPENAI_API_KEY", "").run().expect(0);
    assert!(header(&server.records()[0], "authorization").is_empty());
    assert_eq!(run.log().header.plan["has_api_key"], false);
}

#[test]
fn extra_fields_of_any_type_are_sent_as_they_are() {
    let (address, requests, _) = listen(None, like_a_server);
    let client = Client::new("--no-image --model m --ignore-eos --port").arg(&address.port().to_string());
    let extra = r#"{"temperature":"warm","max_tokens":7.5,"ignore_eos":null,"stream_options":{"x":1}}"#;
    client.arg("--extra-body").arg(extra).run().expect(0);
    let requests = requests.lock().unwrap();
    let body =
        requests.iter().filter(|request| request.starts_with("POST")).find_map(|post| post.split("\r\n\r\n").nth(1));
    let body: serde_json::Value = serde_json::from_str(body.unwrap()).unwrap();
    assert_eq!((&body["temperature"], &body["max_tokens"]), (&"warm".into(), &7.5.into()));
    // Null leaves ours out.
    assert_eq!((body.get("ignore_eos"), &body["stream_options"]["x"]), (None, &1.into()));
}

#[test]
fn connections_have_numbers_of_their_own_in_every_round() {
    let server = serve(stream(|_| ()));
    let run = Client::new("--no-image --model scripted --num-prompts 2 --num_rounds 3").at(&server).run().expect(0);
    let log = run.log();
    let mut uses: Vec<(u32, u32)> =
        log.records.iter().filter_map(|record| record.connection).map(|used| (used.id, used.reused)).collect();
    let all = uses.len();
    uses.sort_unstable();
    uses.dedup();
    assert_eq!((all, uses.len()), (7, 7), "{uses:?}");
}

#[test]
fn a_server_that_is_gone_ends_a_long_run_early() {
    // Three questions and the first request; then nothing listens.
    let (address, _, server) = listen(Some(4), like_a_server);
    let words = format!("--no-image --model m --batch_size 8 --duration 3600 --port {}", address.port());
    let run = Client::new(&words).run().expect(1);
    server.join().unwrap();
    check_says(&run, &["the server is gone", "nothing more is sent"]);
    let counts = run.summary().counts;
    assert!(counts.by_outcome["connect_failed"] >= 50, "{counts:?}");
    assert_eq!(counts.by_outcome["not_sent"], 1, "{counts:?}");
    assert_eq!(counts.planned, counts.by_outcome.values().sum::<u64>());
}

#[test]
fn failures_speak_the_user_s_language() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = Client::new(&format!("--no-image --model m --lang zh --port {port}")).run().expect(1);
    check_says(&run, &["无法连接 127.0.0.1", "连接被拒绝"]);
    let stall = Fault { after_tokens: 0, kind: FaultKind::Stall };
    let server = serve(Script::of(StreamReply { fault: Some(stall), ..StreamReply::default() }));
    let run = Client::new("--no-image --model m --lang zh --base-url ftp://h").run().expect(2);
    check_says(&run, &["ftp", "只支持 http 与 https"]);
    let run = Client::new("--no-image --model m --lang zh --cacert /nowhere --base-url https://h").run().expect(2);
    check_says(&run, &["--cacert /nowhere", "PEM"]);
    assert!(!run.stderr.contains("is expected"), "{}", run.stderr);
    let client = Client::new("--no-image --model scripted --lang zh --first-token-timeout 0.5").at(&server);
    check_says(&client.run().expect(1), &["时限内没有首个 token"]);
}
