//! The folder with the datastores: one file for each, and a lock, since two processes on one folder
//! would each number the same writes.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use neap_core::id::Name;

/// The folder with the datastores. Nobody else has it while this lives.
#[derive(Debug)]
pub(crate) struct Data {
    folder: PathBuf,
    _lock: File,
}

impl Data {
    /// Takes a folder, making it where there is none.
    ///
    /// # Errors
    /// In words for the operator.
    pub(crate) fn take(home: &Path) -> Result<Data, String> {
        let told = |error: io::Error| format!("{}: {error}", home.display());
        let folder = home.join("datastores");
        fs::create_dir_all(&folder).map_err(told)?;
        let lock = File::create(home.join("lock")).map_err(told)?;
        match lock.try_lock() {
            Ok(()) => Ok(Data { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("{} is in use by another server", home.display()))
            }
            Err(TryLockError::Error(error)) => Err(told(error)),
        }
    }

    /// The file of a datastore. Its name is the id in hex digits: ids that differ only in case would be
    /// one file where the disk does not tell case.
    pub(crate) fn file(&self, id: &Name) -> PathBuf {
        let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(hex + EXTENSION)
    }

    /// The datastores that have a file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(crate) fn ids(&self) -> io::Result<Vec<Name>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            ids.extend(entry?.file_name().to_str().and_then(id_of));
        }
        Ok(ids)
    }
}

const EXTENSION: &str = ".sqlite";

/// The id that a file has its name from.
fn id_of(file: &str) -> Option<Name> {
    let digits = file.strip_suffix(EXTENSION)?.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    Name::new(str::from_utf8(&bytes?).ok()?).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder that goes with the test.
    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Folder {
            let unique = format!("neap-server-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(unique);
            fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{error}"));
            Folder(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_named_by_ids_and_ids_found_by_files() {
        let folder = Folder::new("names");
        let data = Data::take(folder.path()).unwrap_or_else(|error| panic!("{error}"));
        let id = |text: &str| Name::new(text).unwrap_or_else(|bad| panic!("{bad:?}"));
        let long = "x".repeat(64);
        for text in ["a", "A", "_-9", &long] {
            fs::write(data.file(&id(text)), "").unwrap_or_else(|error| panic!("{error}"));
        }
        for other in ["zz.sqlite", "6.sqlite", "61.sqlite-wal", "2f.sqlite", ".sqlite"] {
            fs::write(data.folder.join(other), "").unwrap_or_else(|error| panic!("{error}"));
        }
        let mut ids = data.ids().unwrap_or_else(|error| panic!("{error}"));
        ids.sort();
        assert_eq!(ids, [id("A"), id("_-9"), id("a"), id(&long)]);
    }

    #[test]
    fn a_folder_has_one_server() {
        let folder = Folder::new("lock");
        let first = Data::take(folder.path());
        let Err(second) = Data::take(folder.path()) else { panic!("taken twice") };
        assert!(second.ends_with("is in use by another server"), "{second}");
        drop(first);
        assert!(Data::take(folder.path()).is_ok());
    }
}
