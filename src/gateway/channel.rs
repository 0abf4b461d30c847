//! Channels: HTTP/2 connections to upstreams, many requests at a time (RFC 9113).

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::TokioTimer;
use tokio::task::spawn_local;

use super::{
    far_end::FarEnd, line::Lost, local::Local, origin::Origin, pool::REST_TICKS, request_body::RequestBody,
    wire::Wire,
};
use crate::egress::Guard;

/// How many requests one channel has at once: what servers allow, as a rule. Full: another channel is opened.
const REQUESTS_MAX: usize = 100;
/// What an upstream may send of one body, and of all together, ahead of slow clients, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// The longest list of fields of a response, in bytes.
const FIELDS_BYTES_MAX: u32 = 64 * 1024;
/// How often an upstream that is silent is asked whether it is there, and how long its answer may take.
const ASK_EVERY: Duration = Duration::from_secs(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A connection to an upstream that many requests share. A task of its own drives it, until nobody has it any more.
#[derive(Debug)]
pub(super) struct Channel {
    end: FarEnd,
    sender: SendRequest<RequestBody>,
    requests: Cell<usize>,
    /// The tick at which it had its last request.
    used_at: Cell<u32>,
}

/// A request's share of a channel.
#[derive(Debug)]
pub(super) struct Share(Rc<Channel>);

/// The channels of one core, per origin.
#[derive(Debug, Default)]
pub(super) struct Channels {
    open: RefCell<HashMap<u64, Vec<Rc<Channel>>>>,
    tick: Cell<u32>,
}

impl Channel {
    /// Takes a fresh connection into use.
    pub(super) async fn open(end: FarEnd, wire: Wire) -> hyper::Result<Rc<Self>> {
        let (sender, driver) = Builder::new(Local)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(FIELDS_BYTES_MAX)
            .keep_alive_interval(ASK_EVERY)
            .keep_alive_timeout(ANSWER_WITHIN)
            .handshake(wire)
            .await?;
        let host = end.origin.host.clone();
        spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(origin = %host, %error, "a connection to an upstream broke");
            }
        });
        Ok(Rc::new(Self {
            end,
            sender,
            requests: Cell::new(0),
            used_at: Cell::new(0),
        }))
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Share {
    /// Sends a request.
    pub(super) fn send(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Lost>> + use<> {
        let answer = self.0.sender.clone().try_send_request(request);
        async move { answer.await.map_err(Lost::from) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.requests.set(self.0.requests.get() - 1);
    }
}

impl Channels {
    /// A share of a channel to this origin that has room, and leads where requests may go.
    pub(super) fn take(&self, origin: &Origin, guard: &Arc<Guard>) -> Option<Share> {
        let open = self.open.borrow();
        let with_room = |channel: &&Rc<Channel>| {
            channel.is_open() && channel.requests.get() < REQUESTS_MAX && channel.end.admits(guard)
        };
        let channel = open.get(&origin.id)?.iter().find(with_room)?;
        Some(self.share(channel))
    }

    /// Takes a channel in that was just opened. If there is another one with room meanwhile, since several requests found
    /// none at once, that one is shared instead.
    pub(super) fn put(&self, channel: Rc<Channel>, guard: &Arc<Guard>) -> Share {
        if let Some(share) = self.take(&channel.end.origin, guard) {
            return share;
        }
        let share = self.share(&channel);
        self.open
            .borrow_mut()
            .entry(channel.end.origin.id)
            .or_default()
            .push(channel);
        share
    }

    /// The origins that there are channels to.
    pub(super) fn origins(&self) -> Vec<Arc<Origin>> {
        let open = self.open.borrow();
        let first = open.values().filter_map(|channels| channels.first());
        first.map(|channel| Arc::clone(&channel.end.origin)).collect()
    }

    /// Lets go of channels that are closed, had no request for a minute, or lead where requests may not go any more.
    /// Called every tick.
    pub(super) fn sweep(&self, guard: &Arc<Guard>) {
        let now = self.tick.get().wrapping_add(1);
        self.tick.set(now);
        self.retain(|channel| {
            let is_used = channel.requests.get() > 0 || now.wrapping_sub(channel.used_at.get()) < REST_TICKS;
            channel.is_open() && is_used && channel.end.admits(guard)
        });
    }

    /// Lets go of the channels to an origin that lead elsewhere than its name does now.
    pub(super) fn keep_only(&self, origin: &Origin, addresses: &[IpAddr]) {
        self.retain(|channel| channel.end.origin.id != origin.id || addresses.contains(&channel.end.address));
    }

    fn share(&self, channel: &Rc<Channel>) -> Share {
        channel.requests.set(channel.requests.get() + 1);
        channel.used_at.set(self.tick.get());
        Share(Rc::clone(channel))
    }

    fn retain(&self, keep: impl Fn(&Channel) -> bool) {
        self.open.borrow_mut().retain(|_, channels| {
            channels.retain(|channel| keep(channel));
            !channels.is_empty()
        });
    }
}
