//! `vlm-server`: reads vLLM's command line and serves a model, or a script.

fn main() -> std::process::ExitCode {
    serve::main(std::env::args_os())
}
