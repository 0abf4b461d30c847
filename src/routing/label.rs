//! The text of a literal segment or of a host.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Up to here a label lies where it is compared. Few segments are longer, and a label elsewhere in memory is one more
/// place to wait for.
const SHORT_BYTES_MAX: usize = 22;

/// A text that is only compared, so its bytes will do.
#[derive(Clone)]
pub(super) enum Label {
    Short {
        length: u8,
        bytes: [u8; SHORT_BYTES_MAX],
    },
    Long(Arc<[u8]>),
}

impl Label {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES_MAX];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(text.as_bytes().into()),
        }
    }
}

/// By which it is found without being made.
impl Borrow<[u8]> for Label {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq<str> for Label {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.as_bytes().hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_of_any_length_is_its_text_and_no_other() {
        for length in [0, 1, 21, 22, 23, 300] {
            let text = "a".repeat(length);
            let label = Label::from(&*text);
            assert!(label == *text, "{length}");
            for other in [format!("{text}a"), format!("{text}\0"), format!("b{text}")] {
                let other_label = Label::from(&*other);
                assert!(label != *other && label != other_label, "{length} {other:?}");
            }
        }
    }
}
