//! Where hyper's own tasks run: on the core that the connection is on.

use hyper::rt::Executor;
use tokio::task::spawn_local;

/// Spawns onto the runtime of this core, which owns every task on it and ends with them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local;

impl<F> Executor<F> for Local
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}
