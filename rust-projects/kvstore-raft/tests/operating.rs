//! What operators do, on processes: join, promote, kill, remove, transfer, stop; and who is refused.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use kvstore_raft::messages::StatusReply;
use kvstore_raft::messages::order_request::Order;
use kvstore_raft::{AdminError, Credentials, Operator, Token};
use support::{Node, Place, ask, leader, private, until};
use wire::Reply;

/// The exit code of a node whose disk or data failed.
const FATAL: i32 = 3;
/// The exit code of a node that is no member.
const NO_MEMBER: i32 = 4;
const KEYS: usize = 200;

struct Admin {
    runtime: tokio::runtime::Runtime,
    token: Token,
}

impl Admin {
    /// With the token of a founder, once it has one.
    fn new(place: &Place) -> Self {
        let token = until("the founders have a token", || {
            Token::read(&place.token_file(1)).ok()
        });
        Self {
            runtime: tokio::runtime::Runtime::new().unwrap(),
            token,
        }
    }

    fn operator(&self, addr: String) -> Operator {
        Operator::new(addr, Some(self.token.clone()), Credentials::default())
    }

    fn status(&self, place: &Place, id: usize) -> Option<StatusReply> {
        let operator = self.operator(place.peer_addr(id));
        self.runtime.block_on(operator.status()).ok()
    }

    /// Orders it of any node until it is not refused for the moment only.
    fn order(&self, place: &Place, id: usize, order: &Order) -> Result<(), AdminError> {
        until(&format!("{order:?} is carried out or refused"), || {
            let mut operator = self.operator(place.peer_addr(id));
            match self.runtime.block_on(operator.order(order.clone())) {
                Ok(_) => Some(Ok(())),
                Err(AdminError::NotNow(_) | AdminError::Unreachable { .. }) => None,
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// Promotes a node that joins as soon as it has caught up.
    fn promote(&self, place: &Place, by: usize, id: u64) {
        until("the new node has caught up", || {
            match self.order(place, by, &Order::Promote(id)) {
                Ok(()) => Some(()),
                Err(AdminError::Refused(why))
                    if why.contains("behind") || why.contains("no member") =>
                {
                    None
                }
                Err(error) => panic!("{error}"),
            }
        });
    }
}

fn founders(place: &Place) -> Vec<Option<Node>> {
    (1..=3).map(|id| Some(place.start(id))).collect()
}

fn fill(place: &Place, id: usize) {
    for key in 0..KEYS {
        let key = format!("key-{key}");
        assert_eq!(ask(place.port(id), &["SET", &key, "value"]), Reply::OK);
    }
}

fn assert_all_there(place: &Place, id: usize) {
    for key in 0..KEYS {
        let key = format!("key-{key}");
        assert_eq!(ask(place.port(id), &["GET", &key]), Reply::bulk("value"));
    }
}

#[test]
fn a_dead_node_is_replaced_by_one_that_joins_and_nothing_is_lost() {
    let place = Place::new(4, 3);
    let mut nodes = founders(&place);
    let admin = Admin::new(&place);
    fill(&place, 1);

    nodes.push(Some(place.join(4, 1, &place.token_file(1))));
    admin.promote(&place, 1, 4);
    let dead = (1..=3).find(|&id| id != leader(place.port(1))).unwrap();
    nodes[dead - 1].take().unwrap().kill();
    admin.order(&place, 4, &Order::Remove(dead as u64)).unwrap();
    assert_all_there(&place, 4);

    // It learns that it is no member, though nobody sends it anything any more.
    let mut removed = place.start(dead);
    assert_eq!(removed.ended().code(), Some(NO_MEMBER));

    let voters = until("the new node knows itself a voter", || {
        let status = admin.status(&place, 4)?;
        let votes = status.members.iter().all(|member| member.votes);
        votes.then_some(status.members.len())
    });
    assert_eq!(voters, 3);
    admin.order(&place, 4, &Order::Transfer(4)).unwrap();
    let status = until("node 4 leads", || {
        admin.status(&place, 4).filter(|status| status.leader == 4)
    });
    assert_eq!(status.role, "leader");
    let client_addr = format!("127.0.0.1:{}", place.port(4));
    let own = status.members.iter().find(|member| member.node == 4);
    assert_eq!(own.unwrap().client_addr, client_addr);
    assert_eq!(ask(place.port(4), &["SET", "after", "it"]), Reply::OK);

    // A leader that is removed leaves, and another takes its place.
    let other = (1..=3).find(|&id| id != dead).unwrap();
    admin.order(&place, other, &Order::Remove(4)).unwrap();
    assert_eq!(nodes[3].as_mut().unwrap().ended().code(), Some(NO_MEMBER));
    assert_eq!(ask(place.port(other), &["GET", "after"]), Reply::bulk("it"));
    assert_all_there(&place, other);
}

#[test]
fn a_leader_that_is_asked_to_stop_hands_over_and_comes_back_without_being_told_its_peers() {
    let place = Place::new(3, 3);
    let mut nodes = founders(&place);
    let admin = Admin::new(&place);
    fill(&place, 1);
    let first = leader(place.port(1));
    let term = admin.status(&place, first).unwrap().term;
    let other = first % 3 + 1;
    let mut stopped = nodes[first - 1].take().unwrap();
    stopped.terminate();
    assert_eq!(stopped.ended().code(), Some(0));
    let after = until("another leads", || {
        let status = admin.status(&place, other)?;
        (status.leader != 0 && status.leader != first as u64).then_some(status.term)
    });
    assert_eq!(after, term + 1, "by one election, which the leader called");
    let _again = place.start_with(first, &[]);
    assert_all_there(&place, first);
}

#[test]
fn a_node_is_found_at_its_new_address_and_finds_the_others_without_being_told() {
    let place = Place::new(4, 3);
    let mut nodes = founders(&place);
    let admin = Admin::new(&place);
    fill(&place, 1);
    until("all nodes are in the registry", || {
        let status = admin.status(&place, 1)?;
        let mut members = status.members.iter();
        members
            .all(|member| !member.peer_addr.is_empty())
            .then_some(())
    });
    for node in &mut nodes {
        let mut node = node.take().unwrap();
        node.terminate();
        assert_eq!(node.ended().code(), Some(0));
    }
    let _nodes = [(1, 1), (2, 4), (3, 3)].map(|(id, at)| place.start_at(id, at));
    assert_all_there(&place, 4);
    assert_eq!(ask(place.port(4), &["SET", "from", "there"]), Reply::OK);
    assert_eq!(ask(place.port(1), &["GET", "from"]), Reply::bulk("there"));
    let moved = place.peer_addr(4);
    until("the others know the new address", || {
        let status = admin.status(&place, 1)?;
        let member = status.members.into_iter().find(|member| member.node == 2)?;
        (member.peer_addr == moved).then_some(())
    });
}

#[test]
fn a_founder_that_lost_its_directory_is_refused_by_name() {
    let place = Place::new(3, 3);
    let mut nodes = founders(&place);
    fill(&place, 1);
    nodes[1].take().unwrap().kill();
    fs::remove_dir_all(place.data_dir(2)).unwrap();
    let mut wiped = place.start(2);
    assert_eq!(wiped.ended().code(), Some(NO_MEMBER));
    // Also when only the file that says who it is was lost.
    fs::create_dir_all(place.data_dir(2).join("log")).unwrap();
    fs::remove_file(place.data_dir(2).join("NODE")).unwrap();
    let mut nobody = place.start(2);
    assert_eq!(nobody.ended().code(), Some(FATAL));
    fs::remove_dir_all(place.data_dir(2)).unwrap();
    // Also when it asks to be let in.
    let mut wiped = place.join(2, 1, &place.token_file(1));
    assert_eq!(wiped.ended().code(), Some(NO_MEMBER));
    assert_all_there(&place, 3);
}

#[test]
fn a_node_whose_log_is_damaged_ends_with_an_exit_code_of_its_own() {
    let place = Place::new(1, 1);
    let mut node = place.start(1);
    fill(&place, 1);
    node.terminate();
    assert_eq!(node.ended().code(), Some(0));
    let log = fs::read_dir(place.data_dir(1).join("log")).unwrap();
    let segment = log.map(|entry| entry.unwrap().path());
    let segment = segment
        .filter(|path| path.extension().is_some_and(|kind| kind == "segment"))
        .min()
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[1000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let mut damaged = place.start(1);
    assert_eq!(damaged.ended().code(), Some(FATAL));
}

#[test]
fn nobody_joins_or_gives_orders_without_the_token() {
    let place = Place::new(4, 3);
    let _nodes = founders(&place);
    let mut admin = Admin::new(&place);
    let wrong = place.path().join("wrong");
    private(&wrong, "not-the-token\n");
    let mut joining = place.join(4, 1, &wrong);
    assert_eq!(joining.ended().code(), Some(NO_MEMBER));
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o644)).unwrap();
    let mut careless = place.join(4, 1, &wrong);
    assert_eq!(careless.ended().code(), Some(2));

    private(&wrong, "not-the-token\n");
    admin.token = Token::read(&wrong).unwrap();
    for order in [Order::Remove(3), Order::Transfer(0)] {
        let refused = admin.order(&place, 1, &order);
        assert!(matches!(refused, Err(AdminError::Token(_))), "{refused:?}");
    }
    assert_eq!(ask(place.port(3), &["SET", "still", "three"]), Reply::OK);
}
