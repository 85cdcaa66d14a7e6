//! `vlm-server` as a program with the tiny checkpoint: from its command line to its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::rig::{Reply, byte_letter, data, post, text};

/// Names and ids of the checkpoint's special tokens (`config.json`).
const SPECIAL: [(&str, u32); 8] = [
    ("<|im_start|>", 1989),
    ("<|endoftext|>", 1990),
    ("<|im_end|>", 1991),
    ("<|vision_start|>", 1992),
    ("<|vision_end|>", 1993),
    ("<|vision_pad|>", 1994),
    ("<|image_pad|>", 1995),
    ("<|video_pad|>", 1996),
];

/// The tiny checkpoint with a tokenizer of bytes, in a folder that goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("vlm-server-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["config.json", "generation_config.json", "preprocessor_config.json", "model.safetensors"] {
            std::fs::copy(data("tiny-qwen2-vl").join(file), folder.join(file)).unwrap();
        }
        for file in ["tokenizer_config.json", "chat_template.json"] {
            std::fs::copy(data("tokenizer").join(file), folder.join(file)).unwrap();
        }
        std::fs::write(folder.join("tokenizer.json"), byte_tokenizer()).unwrap();
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn byte_tokenizer() -> String {
    let mut tokenizer: Value = serde_json::from_str(&text("tokenizer/tokenizer.json")).unwrap();
    let bytes = (0..=255u8).map(|byte| (byte_letter(byte).to_string(), u32::from(byte)));
    let special = SPECIAL.iter().map(|(name, id)| ((*name).to_owned(), *id));
    tokenizer["model"]["vocab"] = bytes.chain(special).map(|(name, id)| (name, json!(id))).collect();
    tokenizer["model"]["merges"] = json!([]);
    let added = |(name, id): &(&str, u32)| json!({"id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    tokenizer["added_tokens"] = SPECIAL.iter().map(added).collect();
    tokenizer.to_string()
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vlm-server"));
    command.args(words).stderr(Stdio::piped()).stdout(Stdio::piped()).env_remove("VLLM_API_KEY");
    command
}

/// What it says and its exit status. One that is not refused ends as soon as it listens, with status 0.
fn refused(words: &[&str]) -> (String, Option<i32>) {
    let mut child = command(words).arg("--end-with-stdin").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
        if line.starts_with("listening") {
            stdin = None;
        }
        said += &format!("{line}\n");
    }
    let status = child.wait().unwrap().code();
    drop(stdin);
    (said, status)
}

#[test]
fn what_a_shell_and_man_are_to_know() {
    for (shell, start) in
        [("bash", "_vlm-server() {"), ("zsh", "#compdef vlm-server"), ("fish", "complete -c vlm-server")]
    {
        let output = command(&["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.starts_with(start), "{shell}: {script}");
        assert!(script.contains("max-num-seqs") && script.contains("truth-log"), "{shell}");
    }
    let (said, status) = refused(&["completions", "tcsh"]);
    assert_eq!(
        (said.as_str(), status),
        ("error: completions tcsh: allowed is bash, elvish, fish, powershell or zsh\n", Some(2))
    );
    let folder = std::env::temp_dir().join(format!("vlm-server-man-{}", std::process::id()));
    assert_eq!(refused(&["man", folder.to_str().unwrap()]), (String::new(), Some(0)));
    let page = std::fs::read_to_string(folder.join("vlm-server.1")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(page.contains(r"\-\-max\-model\-len"), "{page}");
    let (said, status) = refused(&["man", "/dev/null/pages"]);
    assert!(
        said.starts_with("error: man /dev/null/pages (") && said.ends_with("a folder that can be written\n"),
        "{said}"
    );
    assert_eq!(status, Some(2));
}

/// The running program, its address, and what it said before.
struct Running {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
    address: String,
    said: Vec<String>,
}

impl Running {
    fn start(words: &[&str]) -> Self {
        let mut child = command(words).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut running = Self { child, lines: Box::new(lines), address: String::new(), said: Vec::new() };
        let line = running.lines.by_ref().find_map(|line| {
            let address = line.strip_prefix("listening on http://").map(str::to_owned);
            running.said.push(line);
            address
        });
        running.address = line.unwrap_or_else(|| panic!("it ended: {:?}", running.said));
        running
    }

    fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(600))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn ask(&self, request: &str) -> Reply {
        let mut bytes = Vec::new();
        self.connect(request).read_to_end(&mut bytes).unwrap();
        Reply::read(&bytes)
    }

    fn signal(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_model_from_the_command_line_to_the_end() {
    let folder = Folder::new("whole");
    let words = ["serve", folder.path(), "--port", "0", "--served_model_name", "tiny", "--dtype", "float32"];
    let more =
        ["--gpu-memory-utilization", "0.9", "--enforce-eager", "--kv-cache-gib", "0.5", "--max-model-len", "4096"];
    let server = Running::start(&[&words[..], &more[..]].concat());
    let said = server.said.join("\n");
    assert!(said.contains("ignored: --gpu-memory-utilization, --enforce-eager"), "{said}");
    assert!(said.contains("served as tiny"), "{said}");
    let picture = std::fs::read(data("pictures/formats/png_rgb.png")).unwrap();
    std::fs::write(folder.0.join("p.png"), picture).unwrap();
    let url = {
        use base64::Engine as _;
        let bytes = std::fs::read(folder.0.join("p.png")).unwrap();
        format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
    };
    let content = json!([{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "what is it?"}]);
    let chat = |more: Value| {
        let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": content}], "temperature": 0});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post("/v1/chat/completions", &body.to_string())
    };
    let more = json!({"max_tokens": 12, "ignore_eos": true, "return_token_ids": true});
    let first = server.ask(&chat(more.clone())).json().remove(0);
    let second = server.ask(&chat(more)).json().remove(0);
    assert_eq!(first["choices"], second["choices"]);
    assert_eq!(first["usage"]["completion_tokens"], 12);
    // The answer that is under way at the signal is whole.
    let mut stream = server.connect(&chat(json!({"stream": true, "max_tokens": 300, "ignore_eos": true})));
    stream.read_exact(&mut [0; 500]).unwrap();
    server.signal();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"finish_reason\":\"length\"") && rest.contains("[DONE]"), "{rest}");
    let mut server = server;
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(server.lines.by_ref().any(|line| line.starts_with("ending: ")));
}

#[test]
fn what_is_wrong_is_said_before_the_port_opens() {
    let check = |words: &[&str], expected: &[&str]| {
        let names_address = words.contains(&"--port") || words.contains(&"--host");
        let port: &[&str] = if names_address { &[] } else { &["--port", "0"] };
        let (said, status) = refused(&[words, port].concat());
        assert_eq!(status, Some(2), "{said}");
        for expected in expected {
            assert!(said.contains(expected), "{words:?}: {said}");
        }
        assert!(!said.contains("listening"), "{said}");
    };
    check(&[], &["no model", "--scripted"]);
    check(&["--model", "/no/such/folder"], &["/no/such/folder", "no such folder"]);
    let folder = Folder::new("broken");
    check(&["--model", folder.path(), "--max-model-len", "99999999"], &["--max-model-len 99999999", "32768"]);
    check(&["--model", folder.path(), "--kv-cache-gib", "0.0001"], &["--kv-cache-gib", "--max-model-len"]);
    check(&["--model", folder.path(), "--chat-template", "/no/such.jinja"], &["--chat-template /no/such.jinja"]);
    check(&["--model", folder.path(), "--mm-processor-kwargs", "{}x"], &["--mm-processor-kwargs"]);
    check(&["--model", folder.path(), "--max-num-queued-reqs", "0"], &["--max-num-queued-reqs", "'0'", "from 1 on"]);
    check(&["--model", folder.path(), "--allow-private-media-addresses"], &["--allow-remote-media"]);
    check(
        &["--model", folder.path(), "--allowed-local-media-path", "/no/such"],
        &["--allowed-local-media-path /no/such"],
    );
    check(&["--model", folder.path(), "--tokenizer", "/no/such"], &["/no/such has no tokenizer.json", "--tokenizer"]);
    check(&["--host", "192.0.2.1", "--model", folder.path()], &["192.0.2.1:8000", "--host must be"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    // Before the weights are read, which are not whole below.
    let words = ["--model", folder.path(), "--port", &port];
    check(&words, &["Address already in use", "another --port"]);
    let config = folder.0.join("config.json");
    let whole = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, whole.replace("\"intermediate_size\": 320", "\"intermediate_size\": 336")).unwrap();
    check(&["--model", folder.path(), "--port", "0"], &["[320, 128]", "[336, 128]", "one checkpoint"]);
    std::fs::write(&config, whole.replace("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4")).unwrap();
    check(&["--model", folder.path(), "--port", "0"], &["model.layers.3.", "is missing"]);
    std::fs::write(&config, whole).unwrap();
    let weights = folder.0.join("model.safetensors");
    truncate(&weights);
    check(
        &["--model", folder.path(), "--port", "0"],
        &["model.safetensors is cut short: tensor", "Fetch the file again"],
    );
    check(&words, &["Address already in use"]);
    std::fs::write(&weights, "version https://git-lfs.github.com/spec/v1\n").unwrap();
    check(&["--model", folder.path(), "--port", "0"], &["git lfs pull"]);
    std::fs::remove_file(folder.0.join("preprocessor_config.json")).unwrap();
    check(&["--model", folder.path(), "--port", "0"], &["no preprocessor_config.json", "fetch it"]);
    std::fs::remove_file(folder.0.join("tokenizer.json")).unwrap();
    check(&["--model", folder.path(), "--port", "0"], &["tokenizer.json"]);
}

/// A signal that comes while the model loads: here while its tokenizer is read, which comes from a pipe.
#[test]
fn a_signal_before_it_serves() {
    let folder = Folder::new("signal");
    let pipe = folder.0.join("tokenizer.json");
    std::fs::remove_file(&pipe).unwrap();
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let mut child = command(&["--model", folder.path(), "--port", "0"]).spawn().unwrap();
        // Opened as soon as the other end is, without waiting for a program that has ended.
        let mut open = std::fs::OpenOptions::new();
        let open = open.write(true).custom_flags(nix::libc::O_NONBLOCK);
        let _pipe = loop {
            match open.open(&pipe) {
                Ok(pipe) => break pipe,
                Err(_) => assert_eq!(child.try_wait().unwrap(), None),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(status));
    }
}

#[test]
fn settings_of_pictures_that_mean_nothing_here_are_named() {
    let folder = Folder::new("settings");
    let given = r#"{"fps": 2, "max_pixels": 501760}"#;
    let server = Running::start(&["--model", folder.path(), "--port", "0", "--mm-processor-kwargs", given]);
    let line = "--mm-processor-kwargs: without effect here, and ignored: fps";
    assert!(server.said.iter().any(|said| said == line), "{:?}", server.said);
}

/// A tokenizer that makes tokens the model does not have would let every request fail.
#[test]
fn the_tokenizer_of_another_model() {
    let (model, other) = (Folder::new("model"), Folder::new("other"));
    let words = ["--model", model.path(), "--tokenizer", other.path(), "--port", "0"];
    let check = |old: &str, new: &str, expected: &str| {
        std::fs::write(other.0.join("tokenizer.json"), byte_tokenizer().replace(old, new)).unwrap();
        let (said, status) = refused(&words);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains(&format!("{} is not this model's: {expected}", other.path())), "{said}");
        assert!(said.contains("--tokenizer") && said.lines().count() == 1, "{said}");
    };
    check("1996", "2000", "it has ids up to 2000, the model up to 1999");
    check("1995", "1997", "its <|image_pad|> is 1997, the model's image_token_id is 1995");
}

fn truncate(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}
