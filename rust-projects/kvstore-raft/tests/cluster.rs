//! Three nodes as processes: any of them serves any client, and the death of the leader loses nothing.

mod support;

use support::{Place, ask, leader};
use wire::Reply;

#[test]
fn any_node_serves_any_client_and_the_death_of_the_leader_loses_nothing() {
    let place = Place::new(3, 3);
    let mut nodes: Vec<_> = (1..=3).map(|id| Some(place.start(id))).collect();
    assert_eq!(ask(place.port(1), &["SET", "greeting", "hello"]), Reply::OK);
    for id in 1..=3 {
        assert_eq!(
            ask(place.port(id), &["GET", "greeting"]),
            Reply::bulk("hello")
        );
    }
    let dead = leader(place.port(1));
    nodes[dead - 1].take().unwrap().kill();
    let alive: Vec<_> = (1..=3).filter(|&id| id != dead).collect();
    assert_eq!(
        ask(place.port(alive[0]), &["SET", "after", "it"]),
        Reply::OK
    );
    for key in [("greeting", "hello"), ("after", "it")] {
        assert_eq!(
            ask(place.port(alive[1]), &["GET", key.0]),
            Reply::bulk(key.1)
        );
    }
    // What it missed comes to it, and it serves again.
    nodes[dead - 1] = Some(place.start(dead));
    assert_eq!(ask(place.port(dead), &["GET", "after"]), Reply::bulk("it"));
}
