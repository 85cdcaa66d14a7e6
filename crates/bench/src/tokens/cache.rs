//! The caches that Hugging Face's and ModelScope's own programs keep on this machine: which folder holds a model's
//! tokenizer. Reads folders only; must not know tokenizers or the network.

use super::env::Env;
use super::load::has_tokenizer;
use std::path::PathBuf;
use std::time::SystemTime;

/// The snapshot folder of `repo` with a tokenizer in it: the one `refs/main` names, else the newest that has one.
/// Layout: huggingface_hub, "Understand caching" (`models--org--name/{refs,snapshots,blobs}`).
pub(super) fn hugging_face(repo: &str, env: &Env) -> Option<PathBuf> {
    let model = env.hf_hub_cache()?.join(hf_hub::Repo::model(repo.to_owned()).folder_name());
    let snapshots = model.join("snapshots");
    let main = std::fs::read_to_string(model.join("refs/main")).ok();
    if let Some(revision) = main.as_deref().map(str::trim).filter(|r| is_plain_name(r)) {
        let path = snapshots.join(revision);
        if has_tokenizer(&path) {
            return Some(path);
        }
    }
    let folders = std::fs::read_dir(snapshots).ok()?.flatten().map(|entry| entry.path());
    folders.filter(|path| has_tokenizer(path)).max_by_key(|path| (modified(path), path.clone()))
}

/// The folder of `repo` in ModelScope's cache, whose names write `___` for a dot.
pub(super) fn model_scope(repo: &str, env: &Env) -> Option<PathBuf> {
    let (org, name) = repo.split_once('/')?;
    let mapped = name.replace('.', "___");
    let roots = env.model_scope_roots();
    let candidates = roots.iter().flat_map(|root| [&mapped, name].map(|n| root.join(org).join(n)));
    candidates.into_iter().find(|path| has_tokenizer(path))
}

/// A file name and nothing else: what a remote or a file says must not lead out of its folder.
pub(super) fn is_plain_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(allowed)
}

fn modified(path: &PathBuf) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{home, write};
    use super::*;

    #[test]
    fn hugging_face_layouts() {
        let check = |files: &[(&str, &str)], set: fn(&mut Env, &str), want: Option<&str>| {
            let (dir, mut env) = home();
            set(&mut env, &dir.path().display().to_string());
            for (name, text) in files {
                write(&dir.path().join(name), text);
            }
            assert_eq!(hugging_face("org/na.me", &env), want.map(|w| dir.path().join(w)), "{files:?}");
        };
        let none = |_: &mut Env, _: &str| {};
        let base = ".cache/huggingface/hub/models--org--na.me";
        let tok = |rev: &str| format!("{base}/snapshots/{rev}/tokenizer.json");
        let main = format!("{base}/refs/main");
        let at = |rev: &str| format!("{base}/snapshots/{rev}");
        check(&[], none, None);
        check(&[(&main, "aa\n"), (&tok("aa"), "{}"), (&tok("bb"), "{}")], none, Some(&at("aa")));
        check(&[(&main, "bb"), (&tok("aa"), "{}"), (&tok("bb"), "{}")], none, Some(&at("bb")));
        // The main revision has weights only, an older one the tokenizer.
        check(&[(&main, "bb"), (&tok("aa"), "{}"), (&format!("{}/x", at("bb")), "")], none, Some(&at("aa")));
        check(&[(&tok("aa"), "{}")], none, Some(&at("aa")));
        check(&[(&main, "../../../x"), (&tok("aa"), "{}")], none, Some(&at("aa")));
        check(&[(&main, "aa"), (&format!("{}/config.json", at("aa")), "{}")], none, None);
        let pair = [format!("{}/vocab.json", at("aa")), format!("{}/merges.txt", at("aa"))];
        check(&[(&main, "aa"), (&pair[0], "{}"), (&pair[1], "")], none, Some(&at("aa")));
        check(
            &[("c/models--org--na.me/refs/main", "aa"), ("c/models--org--na.me/snapshots/aa/tokenizer.json", "{}")],
            |env, home| env.hf_hub_cache = Some(format!("{home}/c")),
            Some("c/models--org--na.me/snapshots/aa"),
        );
        check(
            &[("h/hub/models--org--na.me/snapshots/aa/tokenizer.json", "{}")],
            |env, home| env.hf_home = Some(format!("{home}/h")),
            Some("h/hub/models--org--na.me/snapshots/aa"),
        );
    }

    #[test]
    fn model_scope_layouts() {
        let check = |folder: &str, cache: Option<&str>, found: bool| {
            let (dir, mut env) = home();
            env.modelscope_cache = cache.map(|c| dir.path().join(c).display().to_string());
            write(&dir.path().join(folder).join("tokenizer.json"), "{}");
            let want = found.then(|| dir.path().join(folder));
            assert_eq!(model_scope("Qwen/Qwen2.5-VL-7B", &env), want, "{folder}");
        };
        check(".cache/modelscope/hub/models/Qwen/Qwen2___5-VL-7B", None, true);
        check(".cache/modelscope/hub/Qwen/Qwen2___5-VL-7B", None, true);
        check(".cache/modelscope/hub/models/Qwen/Qwen2.5-VL-7B", None, true);
        check(".cache/modelscope/models/Qwen/Qwen2___5-VL-7B", None, true);
        check("ms/Qwen/Qwen2___5-VL-7B", Some("ms"), true);
        check("ms/models/Qwen/Qwen2___5-VL-7B", Some("ms"), true);
        check("ms/hub/models/Qwen/Qwen2___5-VL-7B", Some("ms"), true);
        check(".cache/modelscope/hub/models/Qwen/Qwen2___5-VL-7B", Some("ms"), false);
        check(".cache/modelscope/hub/models/Qwen/Qwen2-VL-7B", None, false);
    }
}
