//! The hub client against a fake hub on loopback: what it asks, whom it tells the token, what it keeps.

use super::super::Source;
use super::super::testing::{Reply, Server, home, tiny_tokenizer};
use super::super::{Env, Loaded, Spec, resolve};
use super::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn env_for(server: &Server, base: Env) -> Env {
    Env { hf_endpoint: Some(server.url()), hf_token: Some("hf_secret".to_owned()), ..base }
}

fn ask(name: &str, env: &Env) -> Result<Option<Loaded>, TokensError> {
    let spec = Spec { tokenizer: Some(name.to_owned()), hub_limit: Duration::from_secs(20), ..Spec::default() };
    resolve(&spec, env)
}

fn file(text: &str) -> Reply {
    Reply::new(200, &[("x-repo-commit", COMMIT), ("etag", "\"e\"")], text)
}

#[test]
fn downloads_once_with_the_token_then_reads_the_cache() {
    let tokenizer = tiny_tokenizer(&["a", "b"]);
    let server = Server::start(vec![("/org/name/resolve/main/tokenizer.json", file(&tokenizer))]);
    let (dir, env) = home();
    let env = env_for(&server, env);
    let loaded = ask("org/name", &env).unwrap().unwrap();
    assert_eq!(loaded.source(), &Source::HubDownload { repo: "org/name".to_owned() });
    assert_eq!(loaded.count("a b a").unwrap(), 3);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "GET /org/name/resolve/main/tokenizer.json HTTP/1.1");
    assert_eq!(seen[0].header("authorization"), Some("Bearer hf_secret"));
    let model = dir.path().join(".cache/huggingface/hub/models--org--name");
    assert_eq!(std::fs::read_to_string(model.join("refs/main")).unwrap(), COMMIT);
    let kept = model.join("snapshots").join(COMMIT);
    assert_eq!(std::fs::read_to_string(kept.join("tokenizer.json")).unwrap(), tokenizer);
    assert_eq!(ask("org/name", &env).unwrap().unwrap().source().label(), "hf-cache");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_redirect_within_the_hub_keeps_the_token_one_away_from_it_does_not() {
    let store = Server::start(vec![("/blob", Reply::new(200, &[], &tiny_tokenizer(&["a"])))]);
    let hub = Server::start(vec![
        (
            "/org/name/resolve/main/tokenizer.json",
            Reply::new(307, &[("location", "/api/x/tokenizer.json"), ("x-repo-commit", COMMIT)], ""),
        ),
        ("/api/x/tokenizer.json", Reply::new(302, &[("location", &format!("{}/blob", store.url()))], "")),
    ]);
    let (dir, env) = home();
    assert_eq!(ask("org/name", &env_for(&hub, env)).unwrap().unwrap().count("a a").unwrap(), 2);
    let tokens = hub.seen().iter().map(|s| s.header("authorization").map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(tokens, vec![Some("Bearer hf_secret".to_owned()); 2]);
    let seen = store.seen();
    assert_eq!((seen.len(), seen[0].header("authorization")), (1, None));
    assert!(dir.path().join(".cache/huggingface/hub/models--org--name/snapshots").join(COMMIT).is_dir());
}

#[test]
fn an_old_revision_stays_the_main_one() {
    let server = Server::start(vec![("/org/name/resolve/main/tokenizer.json", file(&tiny_tokenizer(&["a"])))]);
    let (dir, env) = home();
    let main = dir.path().join(".cache/huggingface/hub/models--org--name/refs/main");
    super::super::testing::write(&main, "weights");
    let env = env_for(&server, env);
    assert_eq!(ask("org/name", &env).unwrap().unwrap().source().label(), "hub-download");
    assert_eq!(std::fs::read_to_string(&main).unwrap(), "weights");
    assert_eq!(ask("org/name", &env).unwrap().unwrap().source().label(), "hf-cache");
}

#[test]
fn a_repository_with_old_files_only() {
    let config = r#"{"added_tokens_decoder": {"3": {"content": "<|x|>", "special": true}}}"#;
    let server = Server::start(vec![
        ("/org/name/resolve/main/vocab.json", file(r#"{"a": 0, "b": 1, "ab": 2}"#)),
        ("/org/name/resolve/main/merges.txt", file("#version: 0.2\na b\n")),
        ("/org/name/resolve/main/tokenizer_config.json", file(config)),
    ]);
    let (_dir, env) = home();
    let env = env_for(&server, env);
    for want in ["hub-download", "hf-cache"] {
        let loaded = ask("org/name", &env).unwrap().unwrap();
        assert_eq!((loaded.source().label(), loaded.encode("aab<|x|>").unwrap()), (want, vec![0, 2, 3]));
    }
}

#[test]
fn no_connection_when_offline_or_for_a_path_or_a_model() {
    let server = Server::start(vec![]);
    let (_dir, env) = home();
    let env = env_for(&server, env);
    for word in ["1", "true", "on", "YES"] {
        let env = Env { hf_hub_offline: Some(word.to_owned()), ..env.clone() };
        assert!(matches!(ask("org/name", &env), Err(TokensError::Offline { .. })), "{word}");
    }
    for path in ["/data/models/qwen", "./x", "../x", r"C:\x", "a/b/c", "x/tokenizer.json"] {
        assert!(matches!(ask(path, &env), Err(TokensError::NotFound { .. })), "{path}");
    }
    for model in ["org/name", "gpt2", "/data/models/qwen"] {
        let spec = Spec { model: Some(model.to_owned()), ..Spec::default() };
        assert!(resolve(&spec, &env).unwrap().is_none(), "{model}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn refusals_and_broken_answers_name_the_cause_and_never_the_token() {
    let check = |reply: Option<Reply>, want: &str| {
        let server = Server::start(reply.map(|r| ("/org/name/resolve/main/tokenizer.json", r)).into_iter().collect());
        let (dir, env) = home();
        let error = ask("org/name", &env_for(&server, env)).unwrap_err();
        for text in [error.text(false), error.text(true), format!("{error:?}")] {
            assert!(text.contains(want) && text.contains("org/name"), "{want}: {text}");
            assert!(!text.contains("hf_secret"), "{text}");
        }
        assert!(!dir.path().join(".cache").exists(), "{want}: nothing is kept");
    };
    check(None, "404");
    check(Some(Reply::new(401, &[], "no")), "401");
    check(Some(Reply::new(503, &[], "")), "503");
    check(Some(Reply::new(302, &[("location", "/org/name/resolve/main/tokenizer.json")], "")), "redirects");
    check(Some(Reply::new(302, &[("location", "file:///etc/passwd")], "")), "redirect");
    check(Some(file("<html>sign in</html>")), "expected value");
    check(Some(file("{}").cut_short(9)), "org/name");
}

#[test]
fn a_silent_hub_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (_dir, env) = home();
    let env = Env { hf_endpoint: Some(endpoint), ..env };
    let spec = Spec { tokenizer: Some("org/name".to_owned()), hub_limit: Duration::from_millis(50), ..Spec::default() };
    let error = resolve(&spec, &env).unwrap_err();
    assert!(error.to_string().contains("no complete answer within 50ms"), "{error}");
    drop(listener);
}

#[test]
fn endpoints() {
    let check = |endpoint: &str, want: &str| {
        let env = Env { hf_endpoint: Some(endpoint.to_owned()), ..Env::default() };
        let got = Hub::new("o/n", &env, Duration::from_secs(1)).map(|h| h.shown()).unwrap_or_else(|e| e.to_string());
        assert!(got.starts_with(want) && !got.contains("pw"), "{endpoint}: {got}");
    };
    check("", "https://huggingface.co");
    check("https://hf-mirror.com/", "https://hf-mirror.com");
    check("http://user:pw@mirror:8080/hf", "http://mirror:8080/hf");
    check("hf-mirror.com", "HF_ENDPOINT hf-mirror.com is no");
    check("ftp://user:pw@x", "HF_ENDPOINT x is no");
}
