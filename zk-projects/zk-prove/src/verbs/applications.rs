//! The applications' verbs: open a world, do one thing, write it back.

use crate::apps::mixer::{self, Payment, Pool};
use crate::args::apps::{Mixer, Place};
use crate::failure::Failure;
use crate::output::Output;
use crate::world::World;

use super::{Outcome, remembered};

fn open(place: &Place) -> Result<World, Failure> {
    World::open(&place.dir, remembered())
}

pub(super) fn mixer(verb: Mixer, output: Output) -> Result<Outcome, Failure> {
    match verb {
        Mixer::Deposit { place, note } => {
            let mut world = open(&place)?;
            let deposited = Pool::open(&mut world)?.deposit(&note)?;
            world.save()?;
            output.print(&deposited)?;
        }
        Mixer::Withdraw {
            place,
            note,
            to,
            relayer,
            fee,
        } => {
            let note = mixer::read_note(&note)?;
            let payment = Payment {
                recipient: to,
                relayer: relayer.unwrap_or_default(),
                fee: fee.unwrap_or_default(),
            };
            let mut world = open(&place)?;
            let withdrawn = Pool::open(&mut world)?.withdraw(&note, &payment)?;
            world.save()?;
            output.print(&withdrawn)?;
        }
    }
    Ok(Outcome::Done)
}
