//! snarkjs' JSON: `proof.json`, `public.json`, `verification_key.json`.
//!
//! Written byte for byte as snarkjs writes them. Read strictly: numbers are decimal strings below their modulus, points are on their
//! curve and in the subgroup, no field is missing, unknown or there twice, protocol and curve are the ones known here. Errors name the
//! file's kind and the field, and never repeat a value.
//!
//! A point is `[x, y, "1"]`, or `["0", "1", "0"]` for the identity; in G2 each of the three is a pair.

use ark_bn254::{Bn254, Fq, Fq2, Fq6, Fq12, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ff::{Field, One, Zero};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::ser::PrettyFormatter;

use crate::curve::{EncodingError, Point};
use crate::decimal::Strict;
use crate::key::{KeyError, VerifyingKey};
use crate::verify::Proof;

/// A JSON document is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {field}: {problem}")]
pub struct JsonError {
    /// Kind of document: `proof`, `public`, `verification_key`.
    pub file: &'static str,
    /// The field, as a path: `pi_b[1][0]`. A dot alone is the whole document.
    pub field: String,
    /// What is wrong, without the value.
    pub problem: String,
}

/// Reads a document of any type; errors carry the path of the field and no value.
///
/// # Errors
///
/// [`JsonError`].
pub fn read_document<T: DeserializeOwned>(
    file: &'static str,
    bytes: &[u8],
) -> Result<T, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let document =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| JsonError {
            file,
            field: error.path().to_string(),
            problem: without_value(&error.into_inner()),
        })?;
    deserializer.end().map_err(|error| JsonError {
        file,
        field: ".".to_owned(),
        problem: without_value(&error),
    })?;
    Ok(document)
}

/// serde says `invalid type: string "hunter2", expected a list at line 1 column 10`: keep what was expected, and where.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => text,
    }
}

/// Writes as `JSON.stringify(document, null, 1)` does.
fn write_document(document: &impl Serialize) -> String {
    let mut out = Vec::new();
    let formatter = PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    document
        .serialize(&mut serializer)
        .expect("texts and lists are written to memory");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[derive(Serialize, Deserialize)]
enum Protocol {
    #[serde(rename = "groth16")]
    Groth16,
}

#[derive(Serialize, Deserialize)]
enum Curve {
    #[serde(rename = "bn128")]
    Bn254,
}

/// A coordinate with the JSON form of snarkjs: a number in G1, a pair in G2.
trait Coordinate: Field {
    type Json: Serialize + DeserializeOwned;

    fn to_json(self) -> Self::Json;

    fn of_json(json: Self::Json) -> Self;
}

impl Coordinate for Fq {
    type Json = Strict<Fq>;

    fn to_json(self) -> Self::Json {
        Strict(self)
    }

    fn of_json(Strict(number): Self::Json) -> Self {
        number
    }
}

impl Coordinate for Fq2 {
    type Json = [Strict<Fq>; 2];

    fn to_json(self) -> Self::Json {
        [Strict(self.c0), Strict(self.c1)]
    }

    fn of_json([Strict(c0), Strict(c1)]: Self::Json) -> Self {
        Self::new(c0, c1)
    }
}

/// A point with the JSON form of snarkjs.
struct Json<P>(P);

impl<C: SWCurveConfig<BaseField: Coordinate>> Serialize for Json<Affine<C>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let coordinates = match self.0.xy() {
            Some((x, y)) => [x, y, One::one()],
            None => [Zero::zero(), One::one(), Zero::zero()],
        };
        coordinates.map(Coordinate::to_json).serialize(serializer)
    }
}

impl<'de, C: SWCurveConfig<BaseField: Coordinate>> Deserialize<'de> for Json<Affine<C>>
where
    Affine<C>: Point,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let coordinates = <[<C::BaseField as Coordinate>::Json; 3]>::deserialize(deserializer)?;
        let [x, y, z] = coordinates.map(<C::BaseField as Coordinate>::of_json);
        if z.is_zero() && x.is_zero() && y.is_one() {
            return Ok(Self(Affine::identity()));
        }
        if !z.is_one() {
            return Err(D::Error::custom("the third coordinate of a point is not 1"));
        }
        let point = Affine::new_unchecked(x, y);
        if !point.is_on_curve() {
            return Err(D::Error::custom(EncodingError::NotOnCurve));
        }
        if !point.in_subgroup() {
            return Err(D::Error::custom(EncodingError::NotInSubgroup));
        }
        Ok(Self(point))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofDocument {
    pi_a: Json<G1Affine>,
    pi_b: Json<G2Affine>,
    pi_c: Json<G1Affine>,
    protocol: Protocol,
    curve: Curve,
}

/// Reads `proof.json`.
///
/// # Errors
///
/// [`JsonError`].
pub fn read_proof(bytes: &[u8]) -> Result<Proof, JsonError> {
    let document: ProofDocument = read_document("proof", bytes)?;
    Ok(Proof {
        a: document.pi_a.0,
        b: document.pi_b.0,
        c: document.pi_c.0,
    })
}

/// Writes `proof.json`.
#[must_use]
pub fn write_proof(proof: &Proof) -> String {
    write_document(&ProofDocument {
        pi_a: Json(proof.a),
        pi_b: Json(proof.b),
        pi_c: Json(proof.c),
        protocol: Protocol::Groth16,
        curve: Curve::Bn254,
    })
}

/// Reads `public.json`.
///
/// # Errors
///
/// [`JsonError`].
pub fn read_public(bytes: &[u8]) -> Result<Vec<Fr>, JsonError> {
    let numbers: Vec<Strict<Fr>> = read_document("public", bytes)?;
    Ok(numbers.into_iter().map(|Strict(number)| number).collect())
}

/// Writes `public.json`.
#[must_use]
pub fn write_public(inputs: &[Fr]) -> String {
    let numbers: Vec<_> = inputs.iter().copied().map(Strict).collect();
    write_document(&numbers)
}

/// An element of the target group: the twelve numbers of Fq12 = Fq6 [w], Fq6 = Fq2 [v].
type Target = [[[Strict<Fq>; 2]; 3]; 2];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyDocument {
    protocol: Protocol,
    curve: Curve,
    #[serde(rename = "nPublic")]
    public: usize,
    vk_alpha_1: Json<G1Affine>,
    vk_beta_2: Json<G2Affine>,
    vk_gamma_2: Json<G2Affine>,
    vk_delta_2: Json<G2Affine>,
    vk_alphabeta_12: Target,
    #[serde(rename = "IC")]
    ic: Vec<Json<G1Affine>>,
}

/// Reads `verification_key.json`.
///
/// # Errors
///
/// [`JsonError`], also if the redundant parts (the number of public inputs, the pairing of alpha and beta) contradict the rest.
pub fn read_verifying_key(bytes: &[u8]) -> Result<VerifyingKey, JsonError> {
    const FILE: &str = "verification_key";
    let document: KeyDocument = read_document(FILE, bytes)?;
    let error = |field: &str, problem: String| JsonError {
        file: FILE,
        field: field.to_owned(),
        problem,
    };
    if document.ic.len().checked_sub(1) != Some(document.public) {
        let problem = format!(
            "{} points for {} public inputs and the constant one",
            document.ic.len(),
            document.public
        );
        return Err(error("IC", problem));
    }
    if document.vk_alphabeta_12 != alpha_beta(document.vk_alpha_1.0, document.vk_beta_2.0) {
        return Err(error(
            "vk_alphabeta_12",
            "not the pairing of vk_alpha_1 and vk_beta_2".to_owned(),
        ));
    }
    Ok(VerifyingKey {
        alpha_g1: document.vk_alpha_1.0,
        beta_g2: document.vk_beta_2.0,
        gamma_g2: document.vk_gamma_2.0,
        delta_g2: document.vk_delta_2.0,
        ic: document.ic.into_iter().map(|Json(point)| point).collect(),
    })
}

/// Writes `verification_key.json`.
///
/// # Errors
///
/// [`KeyError`] if the key must not be used.
pub fn write_verifying_key(key: &VerifyingKey) -> Result<String, KeyError> {
    key.check()?;
    Ok(write_document(&KeyDocument {
        protocol: Protocol::Groth16,
        curve: Curve::Bn254,
        public: key.public(),
        vk_alpha_1: Json(key.alpha_g1),
        vk_beta_2: Json(key.beta_g2),
        vk_gamma_2: Json(key.gamma_g2),
        vk_delta_2: Json(key.delta_g2),
        vk_alphabeta_12: alpha_beta(key.alpha_g1, key.beta_g2),
        ic: key.ic.iter().copied().map(Json).collect(),
    }))
}

fn alpha_beta(alpha: G1Affine, beta: G2Affine) -> Target {
    let Fq12 { c0, c1, .. } = Bn254::pairing(alpha, beta).0;
    [c0, c1].map(|Fq6 { c0, c1, c2, .. }| [c0, c1, c2].map(Coordinate::to_json))
}
