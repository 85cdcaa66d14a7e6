//! Files of text with a limit, whatever they are: the size of a pipe or a device is not known before it is read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The most a file of prompts or expectations may hold, bytes.
pub const BYTES_MAX: u64 = 256 << 20;

/// Why a file was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The system refuses, or it is no UTF-8.
    Io(std::io::Error),
    /// It has more bytes than are read.
    TooLarge,
}

/// The text of a file of at most `bytes_max` bytes.
pub(super) fn read_text(path: &Path, bytes_max: u64) -> Result<String, Unread> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Unread::Io)?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Unread::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| Unread::Io(std::io::Error::other(error.utf8_error())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_for_devices_too() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "四字").unwrap();
        assert_eq!(read_text(&path, 6).unwrap(), "四字");
        assert!(matches!(read_text(&path, 5), Err(Unread::TooLarge)));
        #[cfg(unix)]
        assert!(matches!(read_text(Path::new("/dev/zero"), 1000), Err(Unread::TooLarge)));
        std::fs::write(&path, [b'a', 0xff]).unwrap();
        let Err(Unread::Io(error)) = read_text(&path, 10) else { panic!("read") };
        assert!(error.to_string().contains("utf-8"), "{error}");
        assert!(matches!(read_text(folder.path(), 10), Err(Unread::Io(_))));
    }
}
