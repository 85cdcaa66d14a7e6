//! What a name given for a model is, where it is no checkpoint's folder: said before anything in it is read.

use std::path::{Path, PathBuf};

use crate::error::ServeError;

const CONFIG: &str = "config.json";
/// So many entries of a folder are named.
const NAMED_MAX: usize = 8;

/// The folder that a name stands for.
///
/// # Errors
/// [`ServeError::ModelFolder`]: what it is instead, and what to do.
pub(super) fn checkpoint(name: &str) -> Result<PathBuf, ServeError> {
    let path = Path::new(name);
    let refuse = |found: String| Err(ServeError::ModelFolder { given: name.to_owned(), found });
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && is_hub_name(name) => refuse(format!(
            "there is no such folder. If it is a name on a hub, download it first (hf download {name} --local-dir FOLDER, or \
             modelscope download {name} --local_dir FOLDER): this server downloads nothing"
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => refuse("there is no such folder".to_owned()),
        Err(error) => refuse(error.to_string()),
        Ok(found) if !found.is_dir() => refuse(match path.parent() {
            Some(parent) if parent.join(CONFIG).is_file() => {
                format!("that is a file: give its folder, {}", parent.display())
            }
            _ => "that is a file".to_owned(),
        }),
        Ok(_) if path.join(CONFIG).is_file() => Ok(path.to_owned()),
        Ok(_) => match below(path) {
            Some(folder) => refuse(format!("it has no {CONFIG}; {} has: give that", folder.display())),
            None => refuse(format!("it has no {CONFIG}: {}", content(path))),
        },
    }
}

/// `owner/model`, as hubs write it.
fn is_hub_name(name: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && !word.starts_with('.') && !word.contains(['/', '\\']);
    name.split_once('/').is_some_and(|(owner, model)| is_word(owner) && is_word(model))
}

/// A checkpoint in the folder, or where a hub's cache keeps its revisions.
fn below(path: &Path) -> Option<PathBuf> {
    [path.to_owned(), path.join("snapshots")].iter().find_map(|folder| {
        let entries = std::fs::read_dir(folder).ok()?;
        entries.filter_map(|entry| Some(entry.ok()?.path())).find(|entry| entry.join(CONFIG).is_file())
    })
}

fn content(path: &Path) -> String {
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    match names.len() {
        0 => "it is empty".to_owned(),
        count if count > NAMED_MAX => {
            format!("there are {}, … ({count} entries)", names.get(..NAMED_MAX).unwrap_or_default().join(", "))
        }
        _ => format!("there are {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, parts: &[&str]) {
        let error = checkpoint(name).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{name}: {error}");
    }

    #[test]
    fn what_is_no_checkpoint() {
        let base = std::env::temp_dir().join(format!("vlm-folder-{}", std::process::id()));
        let at = |name: &str| base.join(name).to_str().unwrap().to_owned();
        std::fs::create_dir_all(base.join("cache/snapshots/0123abcd")).unwrap();
        std::fs::create_dir_all(base.join("empty")).unwrap();
        std::fs::write(base.join("cache/snapshots/0123abcd/config.json"), "{}").unwrap();
        std::fs::write(base.join("model.gguf"), "").unwrap();
        check("Qwen/Qwen2-VL-2B-Instruct", &["hf download Qwen/Qwen2-VL-2B-Instruct", "downloads nothing"]);
        check("/no/such/folder", &["--model /no/such/folder", "no such folder"]);
        check(&at("model.gguf"), &["that is a file", "safetensors"]);
        check(&at("cache/snapshots/0123abcd/config.json"), &["give its folder", "0123abcd"]);
        check(&at("cache"), &["no config.json", "snapshots/0123abcd has: give that"]);
        check(&at("empty"), &["it is empty"]);
        check(&at(""), &["there are cache, empty, model.gguf"]);
        assert!(checkpoint(&at("cache/snapshots/0123abcd")).is_ok());
        std::fs::remove_dir_all(&base).unwrap();
    }
}
