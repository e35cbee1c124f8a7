//! PURE: the forms of values in the file: text, whole numbers, lists. An error about one points at its position.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::value::{ByteCount, InterfacePattern, NodeName, Value};
use crate::ports::spec;

/// Reads `T` from a string of the file.
#[derive(Clone, Debug)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: Value> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<T>(PhantomData<T>);

        impl<T: Value> Visitor<'_> for TextVisitor<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<T>, E> {
                T::parse(text).map(Text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A `T` that is written as one of a few words.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneOf<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for WordVisitor<T> {
            type Value = OneOf<T>;

            /// Takes the list of words from serde's message about a word that is not one of them.
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let refusal = match T::deserialize(StrDeserializer::<serde::de::value::Error>::new("")) {
                    Ok(_) => String::new(),
                    Err(refusal) => refusal.to_string(),
                };
                f.write_str(refusal.split_once("expected ").map_or("a word", |(_, words)| words))
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<OneOf<T>, E> {
                T::deserialize(StrDeserializer::new(word)).map(OneOf)
            }
        }

        deserializer.deserialize_any(WordVisitor(PhantomData))
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<const MIN: u32, const MAX: u32>(pub(super) u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor<const MIN: u32, const MAX: u32>;

        impl<const MIN: u32, const MAX: u32> Visitor<'_> for WholeVisitor<MIN, MAX> {
            type Value = Whole<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number from {MIN} to {MAX}")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                self.visit_i128(number.into())
            }

            fn visit_i128<E: Error>(self, number: i128) -> Result<Self::Value, E> {
                match u32::try_from(number) {
                    Ok(whole) if (MIN..=MAX).contains(&whole) => Ok(Whole(whole)),
                    _ => Err(E::custom(format_args!("{number} is out of range, expected {MIN} to {MAX}"))),
                }
            }
        }

        deserializer.deserialize_i64(WholeVisitor)
    }
}

/// A fraction from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share(pub(super) f64);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShareVisitor;

        impl Visitor<'_> for ShareVisitor {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 1, such as 0.999")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Share, E> {
                // Integers that an f64 does not hold exactly are out of range anyway.
                self.visit_f64(number as f64)
            }

            fn visit_f64<E: Error>(self, share: f64) -> Result<Share, E> {
                match (0.0..=1.0).contains(&share) {
                    true => Ok(Share(share)),
                    false => Err(E::custom(format_args!("{share} is out of range, expected 0 to 1, such as 0.999"))),
                }
            }
        }

        deserializer.deserialize_any(ShareVisitor)
    }
}

/// A list of at least one interface.
#[derive(Clone, Debug)]
pub(super) struct Interfaces(pub(super) Vec<Text<InterfacePattern>>);

impl<'de> Deserialize<'de> for Interfaces {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let interfaces = Vec::deserialize(deserializer)?;
        match interfaces.is_empty() {
            true => Err(D::Error::custom("no interface given, expected names, globs, or [\"auto\"]")),
            false => Ok(Self(interfaces)),
        }
    }
}

/// The ports in one item of a list: a number, or a range as text.
#[derive(Clone, Debug)]
pub(super) struct Ports(pub(super) std::ops::RangeInclusive<u16>);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortsVisitor;

        impl Visitor<'_> for PortsVisitor {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port such as 443, or a range such as \"8000-8100\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Ports, E> {
                self.visit_i128(number.into())
            }

            fn visit_i128<E: Error>(self, number: i128) -> Result<Ports, E> {
                spec::port(number).map(|port| Ports(port..=port)).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Ports, E> {
                spec::range(text).map(Ports).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(PortsVisitor)
    }
}

/// The nodes that a user is on: a list of names, or a table that gives each a share of the quota.
#[derive(Clone, Debug, Default)]
pub(super) struct UserNodes {
    pub(super) names: Vec<String>,
    /// Empty, or one for each name.
    pub(super) shares: Vec<u64>,
}

impl<'de> Deserialize<'de> for UserNodes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodesVisitor;

        impl<'de> Visitor<'de> for NodesVisitor {
            type Value = UserNodes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of nodes such as [\"hk-1\"], or shares such as { \"hk-1\" = \"300 GiB\" }")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UserNodes, A::Error> {
                let mut nodes = UserNodes::default();
                while let Some(Text(NodeName(name))) = items.next_element()? {
                    nodes.names.push(name);
                }
                Ok(nodes)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<UserNodes, A::Error> {
                let mut nodes = UserNodes::default();
                while let Some((Text(NodeName(name)), Text(ByteCount(bytes)))) = items.next_entry()? {
                    nodes.names.push(name);
                    nodes.shares.push(bytes);
                }
                match nodes.names.is_empty() {
                    true => Err(A::Error::custom("no share given, expected one per node")),
                    false => Ok(nodes),
                }
            }
        }

        deserializer.deserialize_any(NodesVisitor)
    }
}
