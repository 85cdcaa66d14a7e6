//! What can go wrong on the way to a tokenizer, in English and Chinese. Must not know how the program prints.

use std::path::PathBuf;

/// Why a tokenizer could not be had or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokensError {
    /// `--tokenizer` names a path that is not there.
    #[error(
        "--tokenizer {given} does not exist; it takes a folder with tokenizer.json, the file itself, or a hub id like Qwen/Qwen2-VL-7B-Instruct (hint: check the path)"
    )]
    NotFound {
        /// What was given.
        given: String,
    },
    /// A folder without a tokenizer that can be read.
    #[error(
        "{path} holds no tokenizer.json and no vocab.json with merges.txt{extra} (hint: name another with --tokenizer FOLDER or a hub id; otherwise the server's /tokenize is asked)", path = .path.display(), extra = in_words(.found, " (found ", ", which is not supported)")
    )]
    NoTokenizer {
        /// The folder.
        path: PathBuf,
        /// A tokenizer of a kind that is not supported, or its class.
        found: Option<String>,
    },
    /// The file is there but is no tokenizer.
    #[error(
        "cannot read the tokenizer {path}: {why} (hint: a Hugging Face tokenizer.json is expected; fetch it again if it was cut short)", path = .path.display()
    )]
    Load {
        /// The file.
        path: PathBuf,
        /// The reader's words.
        why: String,
    },
    /// Not on this machine, and the network is forbidden.
    #[error(
        "the tokenizer {repo} is not in a local cache and the hub is offline by HF_HUB_OFFLINE or a flag (hint: unset it, or give --tokenizer a local folder)"
    )]
    Offline {
        /// The hub id.
        repo: String,
    },
    /// The hub's address is none.
    #[error("HF_ENDPOINT {endpoint} is no http:// or https:// address (hint: for example https://huggingface.co)")]
    Endpoint {
        /// What was given, without a password.
        endpoint: String,
    },
    /// The hub refused.
    #[error(
        "the hub {endpoint} answered {status} for {file} of {repo} (hint: 401 and 403 want HF_TOKEN and the model's terms accepted, 404 a correct id; or give --tokenizer a local folder)"
    )]
    HubStatus {
        /// The hub's address.
        endpoint: String,
        /// The hub id.
        repo: String,
        /// The file asked for.
        file: String,
        /// The HTTP status.
        status: u16,
    },
    /// The hub could not be reached, or broke off.
    #[error(
        "cannot fetch the tokenizer of {repo} from {endpoint}: {why} (hint: set HF_ENDPOINT to a mirror, or give --tokenizer a local folder)"
    )]
    Hub {
        /// The hub's address.
        endpoint: String,
        /// The hub id.
        repo: String,
        /// What happened.
        why: String,
    },
    /// The tokenizer failed on a text.
    #[error("the tokenizer failed on a text: {why} (hint: try another with --tokenizer)")]
    Encode {
        /// The tokenizer's words.
        why: String,
    },
    /// No text of the wanted length was found.
    #[error(
        "no synthetic text of exactly {tokens} tokens could be made with this tokenizer (hint: another length, or --prompts FILE)"
    )]
    Synthetic {
        /// The wanted length.
        tokens: u32,
    },
}

impl TokensError {
    /// The message for the user, in Chinese or English.
    pub fn text(&self, zh: bool) -> String {
        if zh { self.chinese() } else { self.to_string() }
    }

    fn chinese(&self) -> String {
        match self {
            Self::NotFound { given } => format!(
                "--tokenizer {given} 不存在；可以是含 tokenizer.json 的目录、该文件本身，或 Qwen/Qwen2-VL-7B-Instruct 这样的 hub 名称（提示：请检查路径）"
            ),
            Self::NoTokenizer { path, found: kind } => format!(
                "{} 中没有 tokenizer.json，也没有 vocab.json 加 merges.txt{}（提示：用 --tokenizer 指定其他目录或 hub 名称；否则改用服务器的 /tokenize）",
                path.display(),
                in_words(kind, "（找到 ", "，不支持）")
            ),
            Self::Load { path, why } => format!(
                "无法读取分词器 {}：{why}（提示：需要 Hugging Face 的 tokenizer.json；若文件不完整请重新下载）",
                path.display()
            ),
            Self::Offline { repo } => format!(
                "本地缓存中没有分词器 {repo}，且 HF_HUB_OFFLINE 或参数禁止访问 hub（提示：取消该设置，或用 --tokenizer 指定本地目录）"
            ),
            Self::Endpoint { endpoint } => {
                format!("HF_ENDPOINT {endpoint} 不是 http:// 或 https:// 地址（提示：例如 https://huggingface.co）")
            }
            Self::HubStatus { endpoint, repo, file, status } => format!(
                "hub {endpoint} 对 {repo} 的 {file} 返回 {status}（提示：401 和 403 需要 HF_TOKEN 并接受模型条款，404 请检查名称；或用 --tokenizer 指定本地目录）"
            ),
            Self::Hub { endpoint, repo, why } => format!(
                "无法从 {endpoint} 下载 {repo} 的分词器：{why}（提示：可用 HF_ENDPOINT 指定镜像，或用 --tokenizer 指定本地目录）"
            ),
            Self::Encode { why } => format!("分词器处理文本失败：{why}（提示：用 --tokenizer 换一个）"),
            Self::Synthetic { tokens } => {
                format!("用此分词器无法生成恰好 {tokens} 个 token 的文本（提示：换一个长度，或使用 --prompts 文件）")
            }
        }
    }
}

fn in_words(kind: &Option<String>, before: &str, after: &str) -> String {
    kind.as_ref().map(|k| format!("{before}{k}{after}")).unwrap_or_default()
}
