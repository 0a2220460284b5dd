//! Ceremonies of keys: what is accepted, and that nothing in a key can be changed.

#![allow(clippy::unwrap_used, reason = "a test may stop where it fails")]

mod common;

use ark_bn254::{Fq2, Fr, G1Affine, G2Affine};
use ark_ec::CurveGroup;
use ark_ff::Field;
use common::{constraints, golden, key, seeded};
use proof::curve::Point;
use proof::files::ptau::Ptau;
use proof::files::{ptau, zkey};
use proof::key::{Contribution, ProvingKey, Source};
use proof::r1cs::R1cs;
use proof::setup::verify::{InvalidKey, Part, Problem};
use proof::setup::{Quiet, SetupError, circuit, contribute, powers, verify};

fn double<P: Point>(point: &mut P)
where
    P::Group: CurveGroup<Affine = P>,
{
    *point = (*point + *point).into_affine();
}

/// A point on the curve of G2 that is not in the subgroup.
fn outside_the_subgroup() -> G2Affine {
    let points =
        (1_u64..).filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false));
    points
        .into_iter()
        .find(|point| !point.in_subgroup())
        .unwrap()
}

/// The circuit, powers and key of `multiplier`, to which a person and a beacon contributed.
struct Multiplier {
    r1cs: R1cs,
    ptau: Vec<u8>,
    key: ProvingKey,
}

impl Multiplier {
    fn new() -> Self {
        Self {
            r1cs: constraints("multiplier"),
            ptau: golden("", "final.ptau"),
            key: key("multiplier"),
        }
    }

    fn verify(&self, key: &ProvingKey) -> Result<(), InvalidKey> {
        let ptau = Ptau::parse(&self.ptau).unwrap();
        verify::verify(key, &self.r1cs, &ptau, &mut seeded(1), &Quiet)
    }

    fn changed(&self, change: impl FnOnce(&mut ProvingKey)) -> Result<(), InvalidKey> {
        let mut key = self.key.clone();
        change(&mut key);
        assert_ne!(key, self.key);
        self.verify(&key)
    }

    /// What is wrong once a contribution was changed, and with which.
    fn contribution_changed(
        &self,
        index: usize,
        change: impl FnOnce(&mut Contribution),
    ) -> (usize, Problem) {
        match self.changed(|key| change(&mut key.ceremony.contributions[index])) {
            Err(InvalidKey::Contribution { number, problem }) => (number, problem),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn keys_of_snarkjs_are_accepted_once_somebody_contributed() {
    let multiplier = Multiplier::new();
    assert_eq!(multiplier.verify(&multiplier.key), Ok(()));
    let contributed = zkey::read(&golden("multiplier", "contributed.zkey")).unwrap();
    assert_eq!(multiplier.verify(&contributed), Ok(()));
    let fresh = zkey::read(&golden("multiplier", "fresh.zkey")).unwrap();
    assert_eq!(multiplier.verify(&fresh), Err(InvalidKey::NoContribution));
}

#[test]
fn keys_contributed_to_here_are_accepted_also_after_snarkjs() {
    let multiplier = Multiplier::new();
    let ptau = Ptau::parse(&multiplier.ptau).unwrap();
    let start = circuit::from_powers(&multiplier.r1cs, &ptau).unwrap();
    for mut key in [start, multiplier.key.clone()] {
        contribute::contribute(&mut key, Some("somebody"), &mut seeded(2)).unwrap();
        contribute::contribute(&mut key, None, &mut seeded(3)).unwrap();
        contribute::beacon(&mut key, None, &[7; 255], 10, &Quiet).unwrap();
        assert_eq!(multiplier.verify(&key), Ok(()));
    }
}

#[test]
fn a_key_of_another_circuit_or_of_other_powers_is_refused() {
    let mut multiplier = Multiplier::new();
    let sizes = Err(InvalidKey::Differs(Part::Sizes));
    assert_eq!(multiplier.verify(&key("ranges")), sizes);
    let mut powers = powers::start(6).unwrap();
    powers::contribute(&mut powers, None, &mut seeded(4), &Quiet).unwrap();
    let mut plain = Vec::new();
    ptau::write(&powers, &mut plain).unwrap();
    let mut prepared = Vec::new();
    powers::prepare(&Ptau::parse(&plain).unwrap(), &mut prepared, &Quiet).unwrap();
    multiplier.ptau = plain;
    let not_prepared = InvalidKey::Start(SetupError::NotPrepared);
    assert_eq!(multiplier.verify(&multiplier.key), Err(not_prepared));
    multiplier.ptau = prepared;
    let alpha = InvalidKey::Differs(Part::AlphaG1);
    assert_eq!(multiplier.verify(&multiplier.key), Err(alpha));
}

#[test]
fn powers_that_are_too_few_for_the_circuit_are_refused() {
    let ptau = golden("powers", "prepared.ptau");
    let ptau = Ptau::parse(&ptau).unwrap();
    let too_small = SetupError::PowersTooSmall {
        needed: 5,
        found: 2,
    };
    let start = circuit::from_powers(&constraints("ranges"), &ptau);
    assert_eq!(start, Err(too_small));
}

#[test]
fn a_key_with_any_of_its_points_or_sizes_changed_is_refused() {
    let multiplier = Multiplier::new();
    let differs = |part| Err(InvalidKey::Differs(part));
    let changed = |change: fn(&mut ProvingKey)| multiplier.changed(change);
    assert_eq!(
        changed(|key| double(&mut key.verifying.alpha_g1)),
        differs(Part::AlphaG1)
    );
    assert_eq!(
        changed(|key| double(&mut key.verifying.beta_g2)),
        differs(Part::BetaG2)
    );
    assert_eq!(
        changed(|key| double(&mut key.verifying.gamma_g2)),
        differs(Part::GammaG2)
    );
    assert_eq!(
        changed(|key| double(&mut key.beta_g1)),
        differs(Part::BetaG1)
    );
    assert_eq!(changed(|key| key.wires += 1), differs(Part::Sizes));
    assert_eq!(changed(|key| key.domain_size *= 2), differs(Part::Sizes));
    assert_eq!(changed(|key| key.h_g1.truncate(1)), differs(Part::Sizes));
    assert_eq!(
        changed(|key| key.l_g1.push(G1Affine::identity())),
        differs(Part::Sizes)
    );
    assert_eq!(
        changed(|key| double(&mut key.delta_g1)),
        Err(InvalidKey::DeltaG1)
    );
    let delta_g2 = Err(InvalidKey::DeltaG2);
    assert_eq!(changed(|key| double(&mut key.verifying.delta_g2)), delta_g2);
    assert_eq!(
        changed(|key| key.verifying.delta_g2 = outside_the_subgroup()),
        delta_g2
    );
}

#[test]
fn a_key_with_any_point_of_its_lists_changed_is_refused() {
    type List = fn(&mut ProvingKey) -> &mut Vec<G1Affine>;
    let multiplier = Multiplier::new();
    let lists: [(InvalidKey, List); 5] = [
        (InvalidKey::Differs(Part::Ic), |key| &mut key.verifying.ic),
        (InvalidKey::Differs(Part::AG1), |key| &mut key.a_g1),
        (InvalidKey::Differs(Part::BG1), |key| &mut key.b_g1),
        (InvalidKey::NotOverDelta(Part::L), |key| &mut key.l_g1),
        (InvalidKey::NotOverDelta(Part::H), |key| &mut key.h_g1),
    ];
    for (error, list) in lists {
        for index in 0..list(&mut multiplier.key.clone()).len() {
            let other = G1Affine::new_unchecked(1.into(), 2.into());
            let result = multiplier.changed(|key| list(key)[index] = other);
            assert_eq!(result, Err(error.clone()), "{index}");
        }
    }
    for index in 0..multiplier.key.b_g2.len() {
        let other = multiplier.key.verifying.beta_g2;
        let result = multiplier.changed(|key| key.b_g2[index] = other);
        assert_eq!(result, Err(InvalidKey::Differs(Part::BG2)), "{index}");
    }
    for index in 0..multiplier.key.coefficients.len() {
        let result = multiplier.changed(|key| key.coefficients[index].value += Fr::ONE);
        assert_eq!(
            result,
            Err(InvalidKey::Differs(Part::Coefficients)),
            "{index}"
        );
    }
}

/// Bug class Z13: each value that a contribution's transcript is over.
#[test]
fn a_contribution_cannot_be_moved_to_another_history() {
    let multiplier = Multiplier::new();
    let circuit_hash = multiplier.changed(|key| key.ceremony.circuit_hash[63] ^= 1);
    let (number, problem) = (1, Problem::Transcript);
    assert_eq!(
        circuit_hash,
        Err(InvalidKey::Contribution { number, problem })
    );
    let first = |change: fn(&mut Contribution)| multiplier.contribution_changed(0, change);
    let own = (1, Problem::Transcript);
    assert_eq!(first(|it| double(&mut it.g1_s)), own);
    assert_eq!(first(|it| double(&mut it.g1_sx)), own);
    assert_eq!(first(|it| it.transcript[0] ^= 1), own);
    assert_eq!(first(|it| double(&mut it.g2_spx)), (1, Problem::Proof));
    assert_eq!(
        first(|it| it.g2_spx = outside_the_subgroup()),
        (1, Problem::Subgroup)
    );
    assert_eq!(first(|it| double(&mut it.delta_after)), (1, Problem::Delta));
    // Without the first one, the second says that it followed something else.
    let alone = multiplier.changed(|key| drop(key.ceremony.contributions.remove(0)));
    let (number, problem) = (1, Problem::Transcript);
    assert_eq!(alone, Err(InvalidKey::Contribution { number, problem }));
    let swapped = multiplier.changed(|key| key.ceremony.contributions.swap(0, 1));
    let (number, problem) = (1, Problem::Transcript);
    assert_eq!(swapped, Err(InvalidKey::Contribution { number, problem }));
    let cut = multiplier.changed(|key| drop(key.ceremony.contributions.pop()));
    assert_eq!(cut, Err(InvalidKey::DeltaG1));
}

#[test]
fn a_beacon_is_the_one_of_its_value() {
    fn beacon(contribution: &mut Contribution) -> (&mut u32, &mut Vec<u8>) {
        match &mut contribution.source {
            Source::Beacon {
                iterations_log2,
                value,
                ..
            } => (iterations_log2, value),
            Source::Person { .. } => panic!("the second contribution is a beacon"),
        }
    }
    let multiplier = Multiplier::new();
    let second = |change: fn(&mut Contribution)| multiplier.contribution_changed(1, change);
    assert_eq!(second(|it| *beacon(it).0 += 1), (2, Problem::Beacon));
    assert_eq!(second(|it| beacon(it).1[0] ^= 1), (2, Problem::Beacon));
    let iterations_log2 = 63;
    let refused = Problem::BeaconParameters(SetupError::BeaconIterations { iterations_log2 });
    assert_eq!(second(|it| *beacon(it).0 = 63), (2, refused));
    let refused = Problem::BeaconParameters(SetupError::BeaconValue);
    assert_eq!(second(|it| beacon(it).1.clear()), (2, refused));
    // A person's contribution that calls itself a beacon.
    let first = multiplier.contribution_changed(0, |it| {
        it.source = multiplier.key.ceremony.contributions[1].source.clone();
    });
    assert_eq!(first, (1, Problem::Beacon));
}

#[test]
fn names_and_beacons_that_the_files_have_no_room_for_are_refused_before_anything_changes() {
    let key = key("multiplier");
    let mut changed = key.clone();
    let long = "x".repeat(65);
    let refused = contribute::contribute(&mut changed, Some(&long), &mut seeded(5));
    assert_eq!(refused, Err(SetupError::Name));
    let refused = contribute::beacon(&mut changed, Some(&long), &[1], 10, &Quiet);
    assert_eq!(refused, Err(SetupError::Name));
    for value in [vec![], vec![1; 256]] {
        let refused = contribute::beacon(&mut changed, None, &value, 10, &Quiet);
        assert_eq!(refused, Err(SetupError::BeaconValue));
    }
    for iterations_log2 in [0, 9, 41, u32::MAX] {
        let refused = contribute::beacon(&mut changed, None, &[1], iterations_log2, &Quiet);
        assert_eq!(
            refused,
            Err(SetupError::BeaconIterations { iterations_log2 })
        );
    }
    assert_eq!(changed, key);
}

#[test]
fn a_contribution_is_published_as_snarkjs_prints_it() {
    let key = key("multiplier");
    let hash = contribute::contribution_hash(&key.ceremony.contributions[0]);
    let text = contribute::format_hash(&hash);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    for line in lines {
        let groups: Vec<&str> = line.split(' ').collect();
        assert_eq!(groups.len(), 4);
        assert!(groups.iter().all(|group| group.len() == 8));
    }
    assert!(text.starts_with(&format!("{:02x}{:02x}", hash[0], hash[1])));
}
