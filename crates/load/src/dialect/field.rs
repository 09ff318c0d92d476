//! JSON fields of which only a little matters: whether they are there, and whether they are empty.
//! None of them allocates.

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// A field that may hold something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    /// The field is not there.
    #[default]
    Absent,
    Null,
    /// "", [] or {}.
    Empty,
    /// A string of that many bytes, a list or map of that many items, a number or a bool as 1.
    Holds(usize),
}

impl Content {
    pub(super) fn holds(self) -> bool {
        matches!(self, Self::Holds(_))
    }

    /// How many items or bytes it holds.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Holds(len) => len,
            _ => 0,
        }
    }

    fn of(len: usize) -> Self {
        match len {
            0 => Self::Empty,
            len => Self::Holds(len),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::of(text.len()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Content, E> {
        Ok(Content::Holds(1))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Content, E> {
        Ok(Content::Holds(1))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Content, E> {
        Ok(Content::Holds(1))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Content, E> {
        Ok(Content::Holds(1))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut len = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            len += 1;
        }
        Ok(Content::of(len))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut len = 0;
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            len += 1;
        }
        Ok(Content::of(len))
    }
}
