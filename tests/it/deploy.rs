//! What `compose.yaml` and `deploy/` say, held against the program and the servers they are for. There is no container
//! engine here: what they start is started as processes.

mod accounts;
mod files;
mod topology;
