//! How objects are read from JSON: total, borrowed, and never with a default where a value was of the wrong type.
//! Go clients send `null` for what they leave out, so `null` reads as absent everywhere.

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess},
};

/// Reads `null` as absent.
pub fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// The value of a key that may come once: a second one would let two readers of the same bytes see two objects (H72).
///
/// # Errors
/// For a second value, and for one that is not a `T`.
pub fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(slot: &mut Option<T>, map: &mut A, name: &'static str) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}
