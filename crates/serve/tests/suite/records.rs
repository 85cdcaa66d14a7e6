//! What the server keeps of requests, and who may see it.

use crate::rig::{Server, chat, get};
use serve::{Keep, Script, ScriptedBackend};

fn server(key: Option<&str>, keep: Keep) -> Server {
    let script = Script { api_key: key.map(str::to_owned), ..Script::steady(0.0, 0.0, 2) };
    Server::with(ScriptedBackend::new(script), |listening| listening.keep = keep)
}

fn with_headers(request: &str, headers: &str) -> String {
    request.replacen("host: h\r\n", &format!("host: h\r\n{headers}"), 1)
}

#[test]
fn nothing_is_kept_unless_asked_for() {
    let server = server(None, Keep::Nothing);
    let mut client = server.client();
    client.send(chat("a")).until("0\r\n\r\n");
    let reply = client.send(get("/records")).reply();
    assert!(reply.status == 404 && reply.body.contains("--truth-log"), "{reply:?}");
    assert_eq!(server.handle.records(), []);
}

#[test]
fn times_are_kept_without_contents() {
    let server = server(None, Keep::Times);
    let mut client = server.client();
    client.send(with_headers(&chat("a"), "x-request-id: r1\r\n")).until("0\r\n\r\n");
    let records: serde_json::Value = serde_json::from_str(&client.send(get("/records")).reply().body).unwrap();
    assert_eq!((&records[0]["request_id"], &records[0]["writes"][1]["tokens"]), (&"r1".into(), &1.into()));
    let record = server.handle.records().remove(0);
    assert_eq!((record.headers.len(), record.body.len()), (0, 0));
}

#[test]
fn what_a_client_sent_is_kept_in_the_process_and_served_to_nobody() {
    let server = server(Some("sesame"), Keep::Everything);
    let secrets = "Authorization: bearer sesame\r\nx-mine: tahini\r\n";
    server.client().send(with_headers(&chat("a"), secrets)).until("0\r\n\r\n");
    let served = server.client().send(with_headers(&get("/records"), secrets)).reply();
    assert!(served.status == 200 && !served.body.contains("sesame") && !served.body.contains("tahini"), "{served:?}");
    let record = server.handle.records().remove(0);
    assert!(record.headers.contains(&("x-mine".into(), "tahini".into())));
}

fn check_key(path: &str, headers: &str, status: u16) {
    let server = server(Some("sesame"), Keep::Times);
    let reply = server.client().send(with_headers(&get(path), headers)).reply();
    assert_eq!(reply.status, status, "{path} {headers}");
}

#[test]
fn who_may_enter() {
    for path in ["/v1/models", "/records"] {
        check_key(path, "", 401);
        for (value, status) in [
            ("Bearer sesame", 200),
            ("bearer sesame", 200),
            ("Bearer sesam", 401),
            ("Bearer sesamf", 401),
            ("Basic sesame", 401),
            ("sesame", 401),
        ] {
            check_key(path, &format!("authorization: {value}\r\n"), status);
        }
    }
    check_key("/health", "", 200);
}
