//! A group's directory.

use ark_bn254::Fr;
use ark_std::rand::SeedableRng;
use ark_std::rand::rngs::StdRng;
use merkle_proof::member::{number_of, scope_of};
use merkle_proof::{Group, GroupError, Member, Membership, PublicMembership, read_leaves};
use proof::statement::Statement;
use storage::MemoryEngine;
use storage::kvs::{LogEngine, Options};

fn member(seed: u64) -> Member {
    Member::random(&mut StdRng::seed_from_u64(seed))
}

#[test]
fn a_member_of_a_file_of_leaves_is_heard_once_in_each_scope() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Group::new(LogEngine::open(dir.path(), Options::small()).unwrap());
    let file = format!(
        "# members\n{}\n\n{}\n0x1f\n",
        member(1).leaf(),
        member(2).leaf()
    );
    open().add(&read_leaves(&file).unwrap()).unwrap();
    let restored: Member = member(2).to_text().parse().unwrap();
    let (lunch, signal) = (number_of(b"lunch"), number_of(b"soup"));
    let said = open().say(&restored, lunch, signal).unwrap();
    assert_eq!(Membership::check(&said.0, &said.1), Ok(()));
    // Members who came later change the root, not what was proved for the one before.
    open().add(&[member(3).leaf()]).unwrap();
    assert_eq!(open().accept(&said.0, lunch).unwrap(), 3);
    let again = open().say(&restored, lunch, number_of(b"salad")).unwrap();
    let error = open().accept(&again.0, lunch).unwrap_err();
    assert!(matches!(error, GroupError::Repeated), "{error}");
    let dinner = number_of(b"dinner");
    let error = open().accept(&again.0, dinner).unwrap_err();
    assert!(matches!(error, GroupError::ForeignScope), "{error}");
    let other = open().say(&restored, dinner, signal).unwrap();
    assert_eq!(open().accept(&other.0, dinner).unwrap(), 4);
}

#[test]
fn who_is_not_in_the_tree_and_roots_that_it_never_had_are_refused() {
    let mut group = Group::new(MemoryEngine::new());
    group.add(&[member(1).leaf()]).unwrap();
    let scope = Fr::from(1);
    let error = group.say(&member(2), scope, Fr::from(2)).unwrap_err();
    assert!(
        matches!(error, GroupError::NotMember { leaves: 1 }),
        "{error}"
    );
    let mut own = Group::new(MemoryEngine::new());
    own.add(&[member(2).leaf()]).unwrap();
    let (public, _) = own.say(&member(2), scope, Fr::from(2)).unwrap();
    let error = group.accept(&public, scope).unwrap_err();
    assert!(matches!(error, GroupError::UnknownRoot), "{error}");
}

#[test]
fn a_value_of_a_public_list_is_shown() {
    let mut group = Group::new(MemoryEngine::new());
    let values: Vec<Fr> = (1..30).map(Fr::from).collect();
    group.add_values(&values).unwrap();
    let (public, private) = group.show(Fr::from(20), Fr::from(3)).unwrap();
    assert_eq!(PublicMembership::check(&public, &private), Ok(()));
    assert!(group.show(Fr::from(30), Fr::from(3)).is_err());
}

#[test]
fn a_line_that_is_no_number_is_named() {
    let r = "21888242871839275222246405745257275088548364400416034343698204186575808495617";
    for (text, line) in [("1\n2\nx\n", 3), ("# a\n\n-1", 3), (r, 1), ("1 2", 1)] {
        assert_eq!(read_leaves(text).unwrap_err().line, line, "{text}");
    }
    assert_eq!(read_leaves("").unwrap(), []);
}

/// Z6: a nullifier says nothing at another contract or on another chain.
#[test]
fn a_scope_is_of_one_topic_at_one_contract() {
    let scope = scope_of(1, [1; 20], [2; 32]);
    for other in [
        scope_of(2, [1; 20], [2; 32]),
        scope_of(1, [2; 20], [2; 32]),
        scope_of(1, [1; 20], [3; 32]),
    ] {
        assert_ne!(other, scope);
    }
}
