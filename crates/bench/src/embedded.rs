//! `--embedded`: a run against a server of the program's own, with a small model that is found beside the program. All else is the
//! ordinary way over HTTP.

use crate::cli::RunArgs;
use crate::own_server::OwnServer;
use crate::session::Failure;
use crate::stop::{StopSignal, stop_status};
use crate::words::{Words, as_said};
use measure::Lang;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the model that comes with the program, and its name in requests.
pub const MODEL: &str = "road-works";
/// A checkpoint of one's own may be large.
const LOAD_LIMIT: Duration = Duration::from_secs(1800);

/// The arguments as they are with a server of our own, whose address is not known yet, and the model's folder.
///
/// # Errors
/// [`Failure`], when there is no model.
pub fn prepare(args: &RunArgs, lang: Lang) -> Result<(RunArgs, PathBuf), Failure> {
    let model = match &args.embedded_model {
        Some(folder) if folder.join("config.json").is_file() => folder.clone(),
        Some(folder) => return Err(no_model(std::slice::from_ref(folder), lang)),
        None => {
            let places = places(&std::env::current_exe().unwrap_or_default());
            let found = places.iter().find(|folder| folder.join("config.json").is_file()).cloned();
            found.ok_or_else(|| no_model(&places, lang))?
        }
    };
    let mut args = args.clone();
    args.base_url = Some("http://127.0.0.1:0".into());
    args.served_model_name = Some(name(&model));
    if args.tokenizer.is_none() {
        args.tokenizer = Some(model.display().to_string());
    }
    Ok((args, model))
}

/// Starts the server and says what runs. It ends when it is dropped.
///
/// # Errors
/// [`Failure`], with what the server said, or because the run was stopped.
pub fn start(model: &Path, stop: &StopSignal, lang: Lang) -> Result<OwnServer, Failure> {
    let name = name(model);
    let failed = |why: Words| Failure {
        status: stop.cause().map_or(1, stop_status),
        text: lang.pick(format!("--embedded: {why}"), format!("--embedded：{}", why.text(Lang::Zh))),
    };
    let mut command = OwnServer::command(["--model".as_ref(), model.as_os_str()]).map_err(failed)?;
    command.args(["--served-model-name", &name]);
    let child = command.spawn().map_err(|error| failed(as_said(error)))?;
    let server = OwnServer::of(child, LOAD_LIMIT, Some(stop)).map_err(failed)?;
    let text = lang.pick(
        format!("embedded server: {} on this machine's CPU, {}", model.display(), server.url()),
        format!("内置服务端：{}，使用本机 CPU，{}", model.display(), server.url()),
    );
    let knows = lang.pick(
        "this small model describes drawn road works only (vlm-benchmark's examples): of a photo it says nonsense, other questions can get wrong answers; it shares the cores with the client, so times are a demonstration",
        "该小模型只会描述绘制的道路施工画面（见 examples）：对照片的描述没有意义，其他问题可能答错；它与客户端共用本机的核，时间仅作演示",
    );
    let lines = if name == MODEL { format!("{text}\n{knows}\n") } else { format!("{text}\n") };
    // Nobody can be told that stderr is gone.
    let _ = std::io::stderr().lock().write_all(lines.as_bytes());
    Ok(server)
}

/// Beside the program, where packages put data (PREFIX/bin and PREFIX/share), and the source tree that it was built in: in
/// target/PROFILE or target/TARGET/PROFILE. A link to the program is followed first.
fn places(program: &Path) -> Vec<PathBuf> {
    let program = program.canonicalize().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new(""));
    let places = ["models", "../share/vlm-benchmark/models", "../../models", "../../../models"];
    let full = |place: &&str| folder.join(place).join(MODEL);
    places.iter().map(full).map(|place| place.canonicalize().unwrap_or(place)).collect()
}

fn name(model: &Path) -> String {
    let full = model.canonicalize().unwrap_or_else(|_| model.to_owned());
    full.file_name().map_or_else(|| MODEL.into(), |name| name.to_string_lossy().into_owned())
}

fn no_model(places: &[PathBuf], lang: Lang) -> Failure {
    let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let looked = looked.join(", ");
    Failure {
        status: 2,
        text: lang.pick(
            format!(
                "--embedded: no model: a folder with config.json is expected in {looked}; give --embedded-model DIR"
            ),
            format!("--embedded：没有模型：应在 {looked} 中有带 config.json 的目录；请给出 --embedded-model 目录"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the model is found at the place in a fresh folder, when the program is started by this path in it.
    fn is_found(model: &str, program: &str) -> bool {
        let folder = tempfile::TempDir::new().unwrap();
        let inside = |path: &str| folder.path().join(path);
        for path in
            ["bin/vlm-benchmark", "target/x86_64-unknown-linux-gnu/dist/vlm-benchmark", "target/release/vlm-benchmark"]
        {
            std::fs::create_dir_all(inside(path).parent().unwrap()).unwrap();
            std::fs::write(inside(path), "").unwrap();
        }
        std::fs::create_dir_all(inside("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../bin/vlm-benchmark", inside("elsewhere/link")).unwrap();
        std::fs::create_dir_all(inside(model).join(MODEL)).unwrap();
        let full = inside(model).join(MODEL).canonicalize().unwrap();
        places(&inside(program)).contains(&full)
    }

    #[test]
    fn where_a_model_is_found() {
        for (model, program) in [
            ("bin/models", "bin/vlm-benchmark"),
            ("share/vlm-benchmark/models", "bin/vlm-benchmark"),
            ("share/vlm-benchmark/models", "elsewhere/link"),
            ("models", "target/release/vlm-benchmark"),
            ("models", "target/x86_64-unknown-linux-gnu/dist/vlm-benchmark"),
        ] {
            assert!(is_found(model, program), "{model} {program}");
        }
        assert!(
            !is_found("share/models", "bin/vlm-benchmark") && !is_found("bin/models", "target/release/vlm-benchmark")
        );
    }
}
