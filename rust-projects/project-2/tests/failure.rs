//! The course built its errors on the `failure` crate, which is no longer maintained. Code written for it still works:
//! `failure::Error` takes any standard error.

use project_2::{KvStore, KvsError};

/// As a learner of the course would have written it.
fn remove_absent_key(directory: &std::path::Path) -> Result<(), failure::Error> {
    let mut store = KvStore::open(directory)?;
    store.remove("absent".to_owned())?;
    Ok(())
}

#[test]
fn errors_convert_into_failure_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let error = remove_absent_key(directory.path()).unwrap_err();
    assert_eq!(error.to_string(), "Key not found");
    assert!(matches!(
        error.downcast_ref::<KvsError>(),
        Some(KvsError::KeyNotFound)
    ));
}
