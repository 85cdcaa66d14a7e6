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

/// How the checkpoint's pictures are made to fit: its `preprocessor_config.json`, or else the part of its
/// `processor_config.json` in which newer transformers write the same. vLLM does not start without either.
///
/// # Errors
/// [`ServeError::NoImageSettings`], [`ServeError::Read`].
pub(super) fn image_settings(folder: &Path) -> Result<String, ServeError> {
    let read = |name: &str| {
        let path = folder.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(ServeError::Read { path, why }),
        }
    };
    if let Some(text) = read("preprocessor_config.json")? {
        return Ok(text);
    }
    let holds_them = |text: &String| {
        serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value["image_processor"].is_object())
    };
    read("processor_config.json")?
        .filter(holds_them)
        .ok_or_else(|| ServeError::NoImageSettings { folder: folder.to_owned() })
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
        let settings = |name: &str, text: &str| {
            std::fs::write(base.join("empty").join(name), text).unwrap();
            image_settings(&base.join("empty")).map_err(|error| error.to_string())
        };
        let missing = settings("processor_config.json", "{\"processor_class\": \"Qwen2VLProcessor\"}").unwrap_err();
        assert!(missing.contains("has no preprocessor_config.json") && missing.contains("fetch it"), "{missing}");
        let nested = "{\"image_processor\": {\"patch_size\": 14}}";
        assert_eq!(settings("processor_config.json", nested), Ok(nested.to_owned()));
        assert_eq!(settings("preprocessor_config.json", "{}"), Ok("{}".to_owned()));
        std::fs::remove_dir_all(&base).unwrap();
    }
}
