//! Looking at the file again and again. Editors and Kubernetes put another file in its place instead of writing to it, and
//! network file systems tell nobody of changes: what the folder says of the file is asked for, twice a second.

use std::{path::Path, time::Duration};

use tokio::time::sleep;

use super::{Outcome, Refused, Told, apply, report};
use crate::{
    config::{
        Finding,
        file::{FileSource, Mark},
    },
    drain::Tasks,
    journal::Journal,
};

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Applies the file whenever it has changed and then stayed the same from one look to the next: a file that is being
/// written in place is valid with its first half, too, and the other half would be deleted. `done` is whether the file as it
/// was read at start needs nothing more.
pub(in crate::app) async fn watch(
    source: FileSource,
    (done, mut warned): (bool, Warned),
    (journal, told): (Journal, Told),
    tasks: Tasks,
) {
    let mut known = done.then_some(source.mark);
    let mut settling = None;
    let mut reported = None;
    while tasks.unless_stopped(sleep(LOOK_EVERY)).await.is_some() {
        let found = look(&source.path).await;
        if known == Some(found) {
            settling = None;
            continue;
        }
        if settling.replace(found) != Some(found) {
            continue;
        }
        let applying = again(&source, &journal, &mut warned);
        let Some(outcome) = tasks.unless_stopped(applying).await else {
            return;
        };
        let refused = match outcome {
            Outcome::Applied => {
                known = Some(found);
                continue;
            }
            Outcome::Refused(refused) => {
                known = Some(found);
                Some(refused)
            }
            Outcome::Later(refused) => refused,
        };
        // What is tried again is reported once.
        if let Some(refused) = refused
            && reported != Some(found)
        {
            report(&source.path.display().to_string(), &refused, &told);
            reported = Some(found);
        }
    }
}

async fn again(source: &FileSource, journal: &Journal, warned: &mut Warned) -> Outcome {
    let reader = source.clone();
    let read = tokio::task::spawn_blocking(move || reader.read()).await;
    match read {
        Ok(Ok(loaded)) => {
            for warning in warned.news(&loaded.warnings) {
                tracing::warn!(file = loaded.source.name, "{warning}");
            }
            apply(journal, &loaded).await
        }
        Ok(Err(mistakes)) => Outcome::Refused(Refused::of(mistakes)),
        Err(_panicked) => Outcome::Later(None),
    }
}

/// The warnings that were said of the file as it was read last: each is said once, for as long as it holds.
#[derive(Debug, Default)]
pub(in crate::app) struct Warned(Vec<String>);

impl Warned {
    /// Those of a file that somebody else has said.
    pub(in crate::app) fn of<'w>(warnings: impl IntoIterator<Item = &'w Finding>) -> Self {
        Self(
            warnings
                .into_iter()
                .map(|warning| warning.message.clone())
                .collect(),
        )
    }

    /// Those that have not been said yet.
    fn news<'w>(&mut self, warnings: &'w [Finding]) -> Vec<&'w Finding> {
        let before = std::mem::replace(self, Self::of(warnings));
        warnings
            .iter()
            .filter(|warning| !before.0.contains(&warning.message))
            .collect()
    }
}

/// What tells one version of the file from another; none when there is no file.
async fn look(path: &Path) -> Mark {
    let path = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || Mark::of(&path)).await;
    looked.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_said_when_it_is_new() {
        let warnings =
            |texts: &[&str]| -> Vec<Finding> { texts.iter().copied().map(Finding::warning).collect() };
        let mut warned = Warned::of(&warnings(&["a"]));
        let mut check = |found: &[&str], news: &[&str]| {
            let found = warnings(found);
            let said: Vec<_> = warned.news(&found).iter().map(|said| &*said.message).collect();
            assert_eq!(said, news);
        };
        check(&["a"], &[]);
        check(&["a", "b"], &["b"]);
        check(&["b"], &[]);
        check(&["a"], &["a"]);
    }
}
