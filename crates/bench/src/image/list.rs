//! The pictures of a folder, in an order that does not depend on the machine.
//!
//! Names only: no file is opened here.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{EXTENSIONS, ImageError};

/// Pictures and folders looked at, in all.
const ENTRIES_MAX: usize = 1_000_000;

/// Lists the pictures of a folder by the endings of their names ([`EXTENSIONS`], in any case), sorted bytewise by
/// path. Hidden files and folders (names that begin with a dot) are left out. With `recursive` sub-folders are
/// searched, those behind symbolic links as well, each real folder once.
///
/// # Errors
/// [`ImageError::Folder`] where a folder cannot be listed, [`ImageError::NoneFound`] where no picture is there,
/// [`ImageError::TooMany`] beyond a million entries.
pub fn list_dir(dir: &Path, recursive: bool) -> Result<Vec<PathBuf>, ImageError> {
    let mut walk = Walk { top: dir, recursive, seen: HashSet::new(), entries: 0, found: Vec::new() };
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(next) = waiting.pop() {
        walk.one(&next, &mut waiting)?;
    }
    let mut found = walk.found;
    if found.is_empty() {
        return Err(ImageError::NoneFound { dir: dir.to_path_buf(), recursive });
    }
    found.sort_unstable_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(found)
}

struct Walk<'a> {
    top: &'a Path,
    recursive: bool,
    /// Real paths of the folders listed: a link to one of them is not followed again.
    seen: HashSet<PathBuf>,
    entries: usize,
    found: Vec<PathBuf>,
}

impl Walk<'_> {
    fn one(&mut self, dir: &Path, waiting: &mut Vec<PathBuf>) -> Result<(), ImageError> {
        let fail = |source: io::Error| ImageError::Folder { dir: dir.to_path_buf(), source };
        if !self.seen.insert(fs::canonicalize(dir).map_err(fail)?) {
            return Ok(());
        }
        let mut folders = Vec::new();
        for entry in fs::read_dir(dir).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(ImageError::TooMany { dir: self.top.to_path_buf(), max: ENTRIES_MAX });
            }
            if path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            // Follows links; a link to nowhere is no folder, and the loader names it if it is called a picture.
            if path.is_dir() {
                folders.push(path);
            } else if is_picture_name(&path) {
                self.found.push(path);
            }
        }
        if self.recursive {
            // Sorted, the first on top: which of two ways into one real folder is taken is the same everywhere.
            folders.sort_unstable_by(|a, b| b.cmp(a));
            waiting.append(&mut folders);
        }
        Ok(())
    }
}

fn is_picture_name(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(top: &Path, recursive: bool) -> Result<Vec<String>, ImageError> {
        let found = list_dir(top, recursive)?;
        Ok(found.iter().map(|path| path.strip_prefix(top).unwrap_or(path).to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn endings_in_any_case_sorted_bytewise_hidden_left_out() -> Result<(), Box<dyn std::error::Error>> {
        let top = tempfile::tempdir()?;
        for name in [
            "b.JPG",
            "a.jpeg",
            "Z.png",
            "图.webp",
            "c.GiF",
            "d.bmp",
            "e.tif",
            "f.TIFF",
            ".h.png",
            "x.txt",
            "png",
            "y.png.bak",
            "g.heic",
        ] {
            fs::write(top.path().join(name), b"")?;
        }
        fs::create_dir_all(top.path().join("sub.png/.git"))?;
        fs::write(top.path().join("sub.png/in.png"), b"")?;
        fs::write(top.path().join("sub.png/.git/no.png"), b"")?;
        let flat = ["Z.png", "a.jpeg", "b.JPG", "c.GiF", "d.bmp", "e.tif", "f.TIFF", "图.webp"];
        assert_eq!(names(top.path(), false)?, flat);
        let deep = ["Z.png", "a.jpeg", "b.JPG", "c.GiF", "d.bmp", "e.tif", "f.TIFF", "sub.png/in.png", "图.webp"];
        assert_eq!(names(top.path(), true)?, deep);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_ring_of_links_ends_and_each_real_folder_is_listed_once() -> Result<(), Box<dyn std::error::Error>> {
        let top = tempfile::tempdir()?;
        fs::create_dir(top.path().join("sub"))?;
        fs::write(top.path().join("sub/one.png"), b"")?;
        std::os::unix::fs::symlink(top.path(), top.path().join("sub/up"))?;
        std::os::unix::fs::symlink(top.path().join("sub"), top.path().join("twin"))?;
        std::os::unix::fs::symlink(top.path().join("nowhere"), top.path().join("lost.png"))?;
        assert_eq!(names(top.path(), true)?, ["lost.png", "sub/one.png"]);
        Ok(())
    }

    #[test]
    fn what_is_not_there_is_said() -> Result<(), Box<dyn std::error::Error>> {
        let top = tempfile::tempdir()?;
        fs::write(top.path().join("readme.txt"), b"")?;
        let check = |dir: &Path, recursive, wanted: &str| {
            let said = list_dir(dir, recursive).map_err(|error| error.to_string());
            assert!(said.as_ref().is_err_and(|text| text.contains(wanted)), "{said:?}");
        };
        check(top.path(), false, "jpg, jpeg, png, webp, gif, bmp, tiff, tif, in any case, not in its sub-folders");
        check(top.path(), true, "in any case, in its sub-folders too");
        check(&top.path().join("none"), false, "cannot be listed");
        check(&top.path().join("readme.txt"), false, "cannot be listed");
        Ok(())
    }
}
