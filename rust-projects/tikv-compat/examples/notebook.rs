//! A notebook that moves by changing an address.
//!
//! ```text
//! cargo run -p tikv-compat --example notebook -- --store notes put monday "plant beans"
//! cargo run -p tikv-compat --example notebook -- --store tikv://127.0.0.1:2379/notes put monday "plant beans"
//! cargo run -p tikv-compat --example notebook -- --store tikv://127.0.0.1:2379/notes list
//! ```

use std::error::Error;
use std::process::ExitCode;

use storage::{Direction, Engine, KeyRange, Location};

const USAGE: &str = "usage: notebook --store DIR|tikv://HOST:PORT[/NAMESPACE] put NAME TEXT | get NAME | list [BEGINNING]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["--store", store, verb @ ..] = &words[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(store, verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("notebook: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(store: &str, verb: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    // The only line that knows of directories and clusters.
    let engine: Box<dyn Engine> = store.parse::<Location>()?.open()?;
    match verb {
        ["put", name, text] => engine.put(name.as_bytes(), text.as_bytes())?,
        ["get", name] => match engine.get(name.as_bytes())? {
            Some(text) => println!("{}", String::from_utf8_lossy(&text)),
            None => return Err(format!("there is no note {name}").into()),
        },
        ["list", beginning @ ..] if beginning.len() < 2 => {
            let range = KeyRange::prefix(beginning.concat().as_bytes());
            for pair in engine.scan(&range, Direction::Forward) {
                let (name, text) = pair?;
                let name = String::from_utf8_lossy(&name).into_owned();
                println!("{name}: {}", String::from_utf8_lossy(&text));
            }
        }
        _ => {
            eprintln!("{USAGE}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
