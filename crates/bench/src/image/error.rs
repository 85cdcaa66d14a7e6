//! What can be wrong with a picture, in English (`Display`) and Chinese (`text`).
//!
//! Each message says what was given, what is allowed and what to do. It must not know flags of the command
//! line beyond the names it advises.

use std::path::PathBuf;

/// Name endings that a folder of pictures is searched for, in any case.
pub const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tiff", "tif"];

/// Why a picture, a folder of pictures or a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nothing is at that path.
    #[error("image {name:?}: no such file; give the path of a jpeg, png, webp, gif, bmp or tiff file")]
    Missing {
        /// The path as typed.
        name: String,
    },
    /// A folder was given where a file is needed.
    #[error("image {name:?} is a folder; give one file, or the folder to --image_dir")]
    IsFolder {
        /// The path as typed.
        name: String,
    },
    /// A pipe, a socket or a device.
    #[error("image {name:?} is not a regular file (a pipe, socket or device); save it to a file first")]
    NotAFile {
        /// The path as typed.
        name: String,
    },
    /// The file has no bytes.
    #[error("image {name:?} is empty (0 bytes); give a jpeg, png, webp, gif, bmp or tiff file")]
    Empty {
        /// The path as typed.
        name: String,
    },
    /// The file is larger than allowed; it was not read.
    #[error(
        "image {name:?} has {bytes} bytes, more than the {bytes_max} allowed; raise --max-image-bytes or give a smaller file"
    )]
    TooLarge {
        /// The path as typed.
        name: String,
        /// Size of the file.
        bytes: u64,
        /// The largest size allowed.
        bytes_max: u64,
    },
    /// The content is no picture we know, whatever its name says.
    #[error("image {name:?} is no jpeg, png, webp, gif, bmp or tiff file: {what}; convert it to one of these")]
    NotAnImage {
        /// The path as typed.
        name: String,
        /// What the content looks like instead.
        what: LooksLike,
    },
    /// A picture by its first bytes, but its size cannot be read.
    #[error(
        "image {name:?} begins like a {format} file but is cut off or broken before its width and height ({bytes} bytes in all); copy or download it again"
    )]
    BrokenHeader {
        /// The path as typed.
        name: String,
        /// Name of the format.
        format: &'static str,
        /// Size of the file.
        bytes: u64,
    },
    /// The operating system refused.
    #[error("image {name:?} cannot be read: {source}; check its permissions")]
    Io {
        /// The path as typed.
        name: String,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A folder to list is missing or is not a folder.
    #[error("image folder {dir:?} cannot be listed: {source}; give an existing folder that you may read")]
    Folder {
        /// The folder as typed.
        dir: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A folder without pictures.
    #[error(
        "image folder {dir:?} holds no picture: looked for names ending in {}, in any case, {}",
        EXTENSIONS.join(", "),
        if *.recursive { "in its sub-folders too" } else { "not in its sub-folders" }
    )]
    NoneFound {
        /// The folder as typed.
        dir: PathBuf,
        /// Whether sub-folders were searched.
        recursive: bool,
    },
    /// More pictures or sub-folders than are listed.
    #[error("image folder {dir:?} holds more than {max} entries; give a smaller folder")]
    TooMany {
        /// The folder as typed.
        dir: PathBuf,
        /// The largest number allowed.
        max: usize,
    },
    /// The pixels are needed but cannot be decoded.
    #[error(
        "image {name:?} cannot be decoded ({why}); it can be sent as it is, but not resized or altered: convert it to png first"
    )]
    Undecodable {
        /// The picture's name.
        name: String,
        /// The decoder's own words.
        why: String,
    },
    /// New bytes could not be made.
    #[error("image {name:?} cannot be encoded as png ({why}); give another size or picture")]
    Unencodable {
        /// The picture's name.
        name: String,
        /// The encoder's own words.
        why: String,
    },
    /// A size out of bounds.
    #[error(
        "image size {width}x{height} is out of bounds: 1 to 16384 pixels a side and at most 100000000 in all; give a size such as 1080x810"
    )]
    BadSize {
        /// Width asked for.
        width: u64,
        /// Height asked for.
        height: u64,
    },
    /// A size at which scenes are not drawn.
    #[error(
        "a scene of {width}x{height} pixels is not drawn: allowed are sides of {} to {} pixels, the longer at most {} times the shorter; give a size such as 1080x810",
        scenes::SIDE_MIN,
        scenes::SIDE_MAX,
        scenes::ASPECT_MAX
    )]
    BadSceneSize {
        /// Width asked for.
        width: u64,
        /// Height asked for.
        height: u64,
    },
    /// Not a recipe of a synthetic picture.
    #[error(
        "synthetic image {given:?} is not understood: allowed are noise:WxH, gradient:WxH, photo:WxH and scenes:WxH, for instance photo:1080x810"
    )]
    BadRecipe {
        /// What was typed.
        given: String,
    },
    /// A picture too small to be made different that many times.
    #[error(
        "image {name:?} of {width}x{height} pixels is too small to be made different for number {index}; give one of at least 8x8 pixels"
    )]
    TooSmallToVary {
        /// The picture's name.
        name: String,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// The number of the variant.
        index: u64,
    },
}

/// What a file that is no supported picture looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LooksLike {
    /// A picture or document format by name that is not supported here.
    Format(&'static str),
    /// Text, for instance an error page saved under a picture's name.
    Text,
    /// The stand-in that Git LFS leaves for a file that was not fetched.
    GitLfs,
    /// None of these.
    Unknown,
}

impl std::fmt::Display for LooksLike {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format(name) => write!(f, "it looks like {name}"),
            Self::Text => f.write_str("it looks like text"),
            Self::GitLfs => f.write_str("it is a Git LFS pointer, run `git lfs pull`"),
            Self::Unknown => f.write_str("its first bytes are not known"),
        }
    }
}

impl LooksLike {
    fn zh(self) -> String {
        match self {
            Self::Format(name) => format!("内容像是 {name}"),
            Self::Text => "内容像是文本".to_owned(),
            Self::GitLfs => "这是 Git LFS 指针文件，请运行 `git lfs pull`".to_owned(),
            Self::Unknown => "无法识别文件开头的字节".to_owned(),
        }
    }
}

impl ImageError {
    /// The message in Chinese where `zh` is true, otherwise in English.
    #[must_use]
    pub fn text(&self, zh: bool) -> String {
        if zh { self.zh() } else { self.to_string() }
    }

    fn zh(&self) -> String {
        const KINDS: &str = "jpeg、png、webp、gif、bmp 或 tiff";
        match self {
            Self::Missing { name } => format!("图片 {name:?}：文件不存在；请给出 {KINDS} 文件的路径"),
            Self::IsFolder { name } => format!("图片 {name:?} 是文件夹；请给出单个文件，或用 --image_dir 指定文件夹"),
            Self::NotAFile { name } => format!("图片 {name:?} 不是普通文件（管道、套接字或设备）；请先保存为文件"),
            Self::Empty { name } => format!("图片 {name:?} 是空文件（0 字节）；请给出 {KINDS} 文件"),
            Self::TooLarge { name, bytes, bytes_max } => format!(
                "图片 {name:?} 有 {bytes} 字节，超过上限 {bytes_max}；请调大 --max-image-bytes 或换用更小的文件"
            ),
            Self::NotAnImage { name, what } => {
                format!("图片 {name:?} 不是 {KINDS} 文件：{}；请先转换为其中一种格式", what.zh())
            }
            Self::BrokenHeader { name, format, bytes } => format!(
                "图片 {name:?} 开头像 {format} 文件，但在宽高之前就已截断或损坏（共 {bytes} 字节）；请重新复制或下载"
            ),
            Self::Io { name, source } => format!("图片 {name:?} 无法读取：{source}；请检查权限"),
            Self::Folder { dir, source } => {
                format!("图片文件夹 {dir:?} 无法列出：{source}；请给出存在且可读的文件夹")
            }
            Self::NoneFound { dir, recursive } => format!(
                "图片文件夹 {dir:?} 中没有图片：查找的扩展名为 {}（不区分大小写），{}子文件夹",
                EXTENSIONS.join("、"),
                if *recursive { "包括" } else { "不包括" }
            ),
            Self::TooMany { dir, max } => format!("图片文件夹 {dir:?} 中的条目超过 {max} 个；请换用更小的文件夹"),
            Self::Undecodable { name, why } => {
                format!("图片 {name:?} 无法解码（{why}）；可以原样发送，但不能缩放或改动：请先转换为 png")
            }
            Self::Unencodable { name, why } => format!("图片 {name:?} 无法编码为 png（{why}）；请换用别的尺寸或图片"),
            Self::BadSize { width, height } => {
                format!("图片尺寸 {width}x{height} 超出范围：每边 1 到 16384 像素，总数不超过 100000000；例如 1080x810")
            }
            Self::BadSceneSize { width, height } => format!(
                "不绘制 {width}x{height} 像素的场景：每边 {} 到 {} 像素，长边不超过短边的 {} 倍；例如 1080x810",
                scenes::SIDE_MIN,
                scenes::SIDE_MAX,
                scenes::ASPECT_MAX
            ),
            Self::BadRecipe { given } => format!(
                "无法识别合成图片 {given:?}：可用 noise:WxH、gradient:WxH、photo:WxH 和 scenes:WxH，例如 photo:1080x810"
            ),
            Self::TooSmallToVary { name, width, height, index } => format!(
                "图片 {name:?} 只有 {width}x{height} 像素，无法生成第 {index} 个不同的版本；请给出至少 8x8 像素的图片"
            ),
        }
    }
}
