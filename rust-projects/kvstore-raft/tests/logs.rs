//! What a node logs, as programs read it.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

mod support;

use serde_json::Value;
use support::{Place, ask};
use wire::Reply;

/// Each line as an object, with what every line has.
fn lines(text: &str) -> Vec<Value> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(
            timestamp.contains('T') && timestamp.ends_with('Z'),
            "{line}"
        );
        for name in ["level", "target"] {
            assert!(line[name].is_string(), "{name}: {line}");
        }
        assert!(line["fields"]["message"].is_string(), "{line}");
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn with_json_every_line_is_an_object_from_start_to_stop() {
    let place = Place::new(1, 1);
    let mut node = place.start_with(1, &["--log-format=json".to_owned()]);
    assert_eq!(ask(place.port(1), &["SET", "a", "1"]), Reply::OK);
    node.terminate();
    assert_eq!(node.ended().code(), Some(0));
    let lines = lines(&std::fs::read_to_string(place.log(1)).unwrap());
    let listening = lines
        .iter()
        .find(|line| line["fields"]["message"] == "listening")
        .expect("a node says where it listens");
    assert_eq!(listening["level"], "INFO");
    assert_eq!(listening["fields"]["id"], 1);
    assert_eq!(
        listening["fields"]["addr"],
        format!("127.0.0.1:{}", place.port(1))
    );
}

#[test]
fn with_json_the_reason_why_a_node_ends_is_an_object_too() {
    let place = Place::new(1, 1);
    let json = "--log-format=json".to_owned();
    let (code, said) = place.refusal(
        1,
        &[json.clone(), "--password-file=/nonexistent".to_owned()],
    );
    assert_eq!(code, Some(2), "{said}");
    let last = lines(&said).pop().unwrap();
    assert_eq!(last["level"], "ERROR");
    let error = last["fields"]["error"].as_str().unwrap();
    assert!(error.contains("--password-file"), "{error}");
    let (code, said) = place.refusal(1, &[json, "--peer=1=127.0.0.1:1".to_owned()]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(lines(&said).len(), 1, "{said}");
}

#[test]
fn without_it_lines_are_for_people_and_without_colours_in_a_file() {
    let place = Place::new(1, 1);
    let _node = place.start(1);
    place.logs(1, "listening id=1");
}
