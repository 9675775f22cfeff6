//! Memory that grows with the data: if the system refuses it, that is an error, not the end of the program.

use std::collections::TryReserveError;

/// The system refused memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

impl From<hashbrown::TryReserveError> for OutOfMemory {
    fn from(_: hashbrown::TryReserveError) -> Self {
        Self
    }
}

/// By how much a full vector or text of this length grows, for at least `additional` elements. It grows by a quarter, because
/// doubling could leave half of the memory unused.
fn growth(len: usize, additional: usize) -> usize {
    const MIN: usize = 16;
    additional.max(len / 4).max(MIN)
}

/// Makes room for `additional` more elements.
pub(crate) fn reserve<T>(vec: &mut Vec<T>, additional: usize) -> Result<(), OutOfMemory> {
    if vec.capacity() - vec.len() < additional {
        vec.try_reserve_exact(growth(vec.len(), additional))?;
    }
    Ok(())
}

pub(crate) fn push<T>(vec: &mut Vec<T>, value: T) -> Result<(), OutOfMemory> {
    reserve(vec, 1)?;
    vec.push(value);
    Ok(())
}

pub(crate) fn append(all: &mut String, text: &str) -> Result<(), OutOfMemory> {
    if all.capacity() - all.len() < text.len() {
        all.try_reserve_exact(growth(all.len(), text.len()))?;
    }
    all.push_str(text);
    Ok(())
}

pub(crate) fn owned(text: &str) -> Result<String, OutOfMemory> {
    let mut owned = String::new();
    owned.try_reserve_exact(text.len())?;
    owned.push_str(text);
    Ok(owned)
}
