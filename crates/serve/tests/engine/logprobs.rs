//! Log probabilities held against recordings. The stepper gives rows from which the recorded numbers follow: the recorded
//! tokens have them as logits, all others share what is left of the probability.

use std::collections::HashMap;

use serde_json::Value;

use crate::rig::{Reply, Setup, VOCAB, request};

/// A token of a recorded list.
#[derive(Debug, Clone, Copy)]
struct Listed {
    id: u32,
    logprob: f64,
    /// Where the recording tells.
    rank: Option<u64>,
}

/// Makes the listed tokens have their log probabilities and ranks: the others lie above the last of them, as many as its
/// rank wants, or below.
fn fill(row: &mut [f32], listed: &[Listed]) {
    let mut rest = 1.0 - listed.iter().map(|token| f64::from(token.logprob as f32).exp()).sum::<f64>();
    let last = listed.iter().min_by(|a, b| a.logprob.total_cmp(&b.logprob)).unwrap();
    let rank = last.rank.map_or(listed.len(), |rank| usize::try_from(rank).unwrap());
    let above = rank - listed.len();
    let mut others = (0..row.len()).filter(|id| listed.iter().all(|token| token.id as usize != *id));
    let mut ids: Vec<usize> = others.by_ref().collect();
    if above > 0 {
        let below = ids.split_off(above);
        let logit = (last.logprob - 2.0) as f32;
        below.iter().for_each(|id| row[*id] = logit);
        rest -= below.len() as f64 * f64::from(logit).exp();
    }
    // All the same but one, which takes what rounding leaves.
    let logit = ((rest / ids.len() as f64).ln() - 1e-6) as f32;
    ids.iter().for_each(|id| row[*id] = logit);
    let each = f64::from(logit).exp();
    row[ids[0]] = (rest - (ids.len() - 1) as f64 * each).ln() as f32;
    listed.iter().for_each(|token| row[token.id as usize] = token.logprob as f32);
    assert_eq!(row.iter().filter(|logit| **logit >= last.logprob as f32).count(), rank);
}

/// Plays rows by the token after which they stand, and compares.
fn compare(name: &str, path: &str, setup: Setup, rows: HashMap<usize, Vec<Listed>>) {
    let server = setup.scripted(move |_, after, row| {
        assert_eq!(row.len(), VOCAB);
        fill(row, &rows[&after]);
    });
    let got = server.post(path, &request(name));
    assert_eq!(got.essence(), Reply::recorded(name).essence(), "{name}");
}

/// A recorded `top_logprobs` of a chat.
fn of_chat(setup: &mut Setup, list: &Value) -> Vec<Listed> {
    let token = |token: &Value| {
        let id = setup.id(token["token"].as_str().unwrap());
        Listed { id, logprob: token["logprob"].as_f64().unwrap(), rank: None }
    };
    list.as_array().unwrap().iter().map(token).collect()
}

/// An entry of recorded `prompt_logprobs`. Its tokens are added to the vocabulary.
fn of_prompt(setup: &mut Setup, entry: &Value) -> Vec<Listed> {
    let token = |(id, token): (&String, &Value)| {
        let (id, text) = (id.parse().unwrap(), token["decoded_token"].as_str().unwrap());
        if !text.starts_with("<|") {
            setup.know(text, u64::from(id));
        }
        Listed { id, logprob: token["logprob"].as_f64().unwrap(), rank: token["rank"].as_u64() }
    };
    entry.as_object().unwrap().iter().map(token).collect()
}

#[test]
fn of_a_stream() {
    let mut setup = Setup::new("m");
    let mut rows = HashMap::new();
    for event in Reply::recorded("stream_logprobs").json() {
        let list = &event["choices"][0]["logprobs"]["content"][0]["top_logprobs"];
        if list.is_array() {
            // The prompt has 1145 tokens.
            let after = 1144 + rows.len();
            rows.insert(after, of_chat(&mut setup, list));
        }
    }
    assert_eq!(rows.len(), 6);
    compare("stream_logprobs", "/v1/chat/completions", setup, rows);
}

#[test]
fn of_a_prompt() {
    let name = "nonstream_prompt_logprobs";
    let mut setup = Setup::new("m");
    let recorded = Reply::recorded(name).json().remove(0);
    let mut rows = HashMap::new();
    for (at, entry) in recorded["prompt_logprobs"].as_array().unwrap().iter().enumerate().skip(1) {
        rows.insert(at - 1, of_prompt(&mut setup, entry));
    }
    for (place, text) in [" dark", " חברי"].into_iter().enumerate() {
        let id = setup.id(text);
        rows.insert(8 + place, vec![Listed { id, logprob: -0.5, rank: Some(1) }]);
    }
    compare(name, "/v1/chat/completions", setup, rows);
}

/// The tokens of the recordings whose ids show.
const KNOWN: [(&str, u64); 7] = [
    ("阜阳", 118_829),
    (" inn", 6170),
    ("INTEGER", 68_689),
    ("在同一", 113_275),
    ("implode", 55_577),
    ("某某", 106_191),
    ("谝", 120_811),
];

fn knowing() -> Setup {
    let mut setup = Setup::new("m");
    KNOWN.iter().for_each(|(text, id)| setup.know(text, *id));
    setup
}

#[test]
fn of_chats_with_ids_usage_and_lists_of_any_length() {
    for name in
        ["chat_stream_cont_logprobs_ids", "chat_stream_logprobs_none", "chat_stream_logprobs_zero", "chat_logprobs_ids"]
    {
        let mut setup = knowing();
        let mut rows = HashMap::new();
        for event in Reply::recorded(name).json() {
            for token in event["choices"][0]["logprobs"]["content"].as_array().into_iter().flatten() {
                let taken = of_chat(&mut setup, &Value::Array(vec![token.clone()]));
                let list = of_chat(&mut setup, &token["top_logprobs"]);
                // The prompt has 11 tokens.
                rows.insert(10 + rows.len(), if list.is_empty() { taken } else { list });
            }
        }
        compare(name, "/v1/chat/completions", setup, rows);
    }
}

#[test]
fn of_completions_with_and_without_their_prompt() {
    for name in [
        "completion_stream_logprobs",
        "completion_stream_logprobs0",
        "completion_stream_echo",
        "completion_stream_echo_text",
        "completion_stream_prompt_only",
        "completion_prompt_only",
        "completion_echo_ids",
        "completion_ids_logprobs",
        "completion_prompt_logprobs",
    ] {
        let mut setup = knowing();
        let mut rows = HashMap::new();
        // Ranks stand only here.
        let whole = Reply::recorded("completion_echo_ids").json().remove(0);
        for (at, entry) in whole["choices"][0]["prompt_logprobs"].as_array().unwrap().iter().enumerate().skip(1) {
            rows.insert(at - 1, of_prompt(&mut setup, entry));
        }
        let mut answer = Vec::new();
        for event in Reply::recorded(name).json() {
            let choice = &event["choices"][0];
            let lists = choice["logprobs"]["top_logprobs"].as_array().cloned().unwrap_or_default();
            // The prompt has three tokens.
            let of_prompt = if lists.first().is_some_and(Value::is_null) { 3 } else { 0 };
            answer.extend(lists.into_iter().skip(of_prompt));
            if choice["logprobs"].is_null() && choice["text"].is_string() {
                answer.push(serde_json::json!({choice["text"].as_str().unwrap(): -1.0}));
            }
        }
        if answer.is_empty() {
            // One token is computed and thrown away.
            answer.push(serde_json::json!({"VED": -1.0}));
        }
        for (at, list) in answer.iter().enumerate() {
            let token = |(text, logprob): (&String, &Value)| Listed {
                id: setup.id(text),
                logprob: logprob.as_f64().unwrap(),
                rank: None,
            };
            rows.insert(2 + at, list.as_object().unwrap().iter().map(token).collect());
        }
        compare(name, "/v1/completions", setup, rows);
    }
}

#[test]
fn of_a_completion_that_repeats_its_prompt() {
    let name = "completion_logprobs_echo";
    let mut setup = Setup::new("m");
    let recorded = Reply::recorded(name).json().remove(0);
    let choice = &recorded["choices"][0];
    let mut rows = HashMap::new();
    for (at, entry) in choice["prompt_logprobs"].as_array().unwrap().iter().enumerate().skip(1) {
        rows.insert(at - 1, of_prompt(&mut setup, entry));
    }
    for (at, entry) in choice["logprobs"]["top_logprobs"].as_array().unwrap().iter().enumerate().skip(3) {
        let token = |(text, logprob): (&String, &Value)| Listed {
            id: setup.id(text),
            logprob: logprob.as_f64().unwrap(),
            rank: None,
        };
        rows.insert(at - 1, entry.as_object().unwrap().iter().map(token).collect());
    }
    compare(name, "/v1/completions", setup, rows);
}
