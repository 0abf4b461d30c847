//! What a route says of something that the settings say, too.

/// A route's word beats that of the settings.
#[derive(Debug, Default)]
pub(super) enum Choice<T> {
    /// Nothing is said here.
    #[default]
    Unsaid,
    /// It is not to be.
    Off,
    /// It is to be, like this.
    On(Box<T>),
}

impl<T> Choice<T> {
    /// What is to be done, where this has the first word and the other the second.
    pub(super) fn or<'c>(&'c self, settings: &'c Self) -> Option<&'c T> {
        match (self, settings) {
            (Self::On(own), _) | (Self::Unsaid, Self::On(own)) => Some(own),
            (Self::Off, _) | (Self::Unsaid, Self::Unsaid | Self::Off) => None,
        }
    }
}
