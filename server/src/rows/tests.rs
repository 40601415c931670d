use std::path::Path;

use neap_core::storage::contract;

use super::*;
use crate::data::tests::Folder;

fn open(file: &Path) -> SqlRows {
    SqlRows::open(file.into()).unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// What stands in a folder.
fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn keeps_the_contract() {
    let folder = Folder::new("contract");
    contract::check(open(&folder.path().join("a")));
    assert_eq!(names(&folder), [""; 0], "what was cleared leaves no file");
}

#[test]
fn keeps_the_contract_in_one_transaction() {
    let folder = Folder::new("contract-in-one");
    let rows = open(&folder.path().join("a"));
    assert_eq!(rows.begin(), Ok(()));
    contract::check(rows);
    assert_eq!(names(&folder).len(), 1, "rolled back, the file is known to be empty when opened");
    drop(open(&folder.path().join("a")));
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn what_was_never_written_has_no_file() {
    let folder = Folder::new("never");
    let mut rows = open(&folder.path().join("a"));
    assert_eq!((rows.begin(), rows.meta()), (Ok(()), Ok(None)));
    assert_eq!((rows.clear(), rows.commit()), (Ok(()), Ok(())));
    drop(rows);
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn a_group_is_all_or_nothing() {
    let folder = Folder::new("group");
    let file = folder.path().join("a");
    let mut rows = open(&file);
    assert_eq!((rows.begin(), rows.put_meta(b"one"), rows.commit()), (Ok(()), Ok(()), Ok(())));
    assert_eq!((rows.begin(), rows.put_meta(b"two")), (Ok(()), Ok(())));
    rows.roll_back();
    drop(rows);
    let mut rows = open(&file);
    assert_eq!(rows.meta(), Ok(Some(b"one".to_vec())));
    // One that is dropped half-way is undone as well.
    assert_eq!((rows.begin(), rows.clear()), (Ok(()), Ok(())));
    drop(rows);
    let mut rows = open(&file);
    assert_eq!(rows.meta(), Ok(Some(b"one".to_vec())));
    assert_eq!((rows.begin(), rows.clear(), rows.commit()), (Ok(()), Ok(()), Ok(())));
    assert_eq!(names(&folder), [""; 0], "the file goes with the last table");
    assert_eq!((rows.begin(), rows.put_meta(b"new"), rows.commit()), (Ok(()), Ok(()), Ok(())));
    assert_eq!(open(&file).meta(), Ok(Some(b"new".to_vec())), "and comes with the first");
}

#[test]
fn tables_of_another_version_are_told() {
    let folder = Folder::new("version");
    let file = folder.path().join("a");
    let mut rows = open(&file);
    assert_eq!(rows.put_meta(b"one"), Ok(()));
    assert_eq!(rows.change("UPDATE meta SET schema = 9", []), Ok(()));
    assert_eq!(open(&file).meta(), Err(Failure::Shape));
}
