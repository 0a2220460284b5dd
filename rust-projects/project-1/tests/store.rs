//! The store, as the course uses it.

use project_1::KvStore;

fn store(pairs: &[(&str, &str)]) -> KvStore {
    let mut store = KvStore::new();
    for (key, value) in pairs {
        store.set((*key).to_owned(), (*value).to_owned());
    }
    store
}

#[test]
fn a_value_that_was_set_is_found() {
    let store = store(&[("a", "1"), ("b", "2")]);
    assert_eq!(store.get("a".to_owned()).as_deref(), Some("1"));
    assert_eq!(store.get("b".to_owned()).as_deref(), Some("2"));
}

#[test]
fn setting_a_key_again_replaces_its_value() {
    let store = store(&[("a", "1"), ("a", "2")]);
    assert_eq!(store.get("a".to_owned()).as_deref(), Some("2"));
}

#[test]
fn a_key_that_was_never_set_has_no_value() {
    let store = store(&[("a", "1")]);
    assert_eq!(store.get("b".to_owned()), None);
}

#[test]
fn a_removed_key_is_gone_and_the_others_stay() {
    let mut store = store(&[("a", "1"), ("b", "2")]);
    store.remove("a".to_owned());
    store.remove("never set".to_owned());
    assert_eq!(store.get("a".to_owned()), None);
    assert_eq!(store.get("b".to_owned()).as_deref(), Some("2"));
}

#[test]
fn empty_strings_are_keys_and_values_like_any_other() {
    let store = store(&[("", "")]);
    assert_eq!(store.get(String::new()).as_deref(), Some(""));
}
