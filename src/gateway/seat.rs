//! Threads: each takes its seat, says so, and works until the gateway is over.

use std::{
    hash::RandomState,
    io,
    net::TcpListener as StdListener,
    rc::Rc,
    sync::{Arc, atomic::AtomicU64, mpsc},
    thread,
};

use flexgate_schemas::IdKey;
use tokio::{
    runtime::{Builder, LocalOptions, LocalRuntime},
    sync::{oneshot, watch},
};

use super::{
    Options, Published,
    connect::Connector,
    core::{Core, Parts, Phase},
    crowd::Crowd,
    door::{Door, Doors},
    held::Shelf,
    ids::Ids,
    judges::Judges,
    metrics::CoreMetrics,
    passwords::Checkers,
    tls::Tls,
    via::Via,
};
use crate::outcomes::outbox::Writer;

/// What a thread is given.
pub(super) struct Seat {
    pub(super) number: u16,
    pub(super) listener: StdListener,
    pub(super) tls_listener: Option<StdListener>,
    pub(super) options: Options,
    pub(super) published: Published,
    pub(super) via: Arc<Via>,
    pub(super) crowd: Arc<Crowd>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) judges: Arc<Judges>,
    pub(super) checkers: Arc<Checkers>,
    pub(super) tls: Tls,
    pub(super) id_key: IdKey,
    pub(super) address_key: RandomState,
    pub(super) phase: watch::Receiver<Phase>,
}

/// A thread at work, seen from outside. It ends by itself when the gateway is told to drain, or is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    /// How many connections it cut off, when it is over.
    over: oneshot::Receiver<usize>,
    served: Arc<AtomicU64>,
}

impl Seat {
    /// Starts the thread, and waits until it listens.
    pub(super) fn take(self) -> io::Result<Taken> {
        let (tell_started, started) = mpsc::sync_channel(1);
        let (tell_over, over) = oneshot::channel();
        let served = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&served);
        let name = format!("gateway-{}", self.number);
        thread::Builder::new()
            .name(name)
            .spawn(move || match self.sit_down(counter) {
                Ok((runtime, core, work)) => {
                    drop(tell_started.send(Ok(())));
                    runtime.block_on(work);
                    let cut_off = core.cut_off();
                    drop(runtime); // and with it everything that is still going on
                    drop(core); // and with it the writer: no outcome comes after the end
                    let _ = tell_over.send(cut_off); // nobody listens if the gateway was dropped
                }
                Err(error) => drop(tell_started.send(Err(error))),
            })?;
        let started = started
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("it ended at once")));
        started.map(|()| Taken { over, served })
    }

    fn sit_down(
        self,
        served: Arc<AtomicU64>,
    ) -> io::Result<(LocalRuntime, Rc<Core>, impl Future<Output = ()>)> {
        let writer = self.writer();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        let context = runtime.enter();
        let mut doors = vec![Door::open(self.listener, None)?];
        if let (Some(listener), Some(tls)) = (self.tls_listener, &self.options.tls) {
            doors.push(Door::open(listener, Some(tls.tls.clone()))?);
        }
        let core = Rc::new(Core::new(Parts {
            published: self.published,
            connector: Connector::new(self.tls, &self.options.name_servers),
            metrics: CoreMetrics::new(self.number, served),
            via: self.via,
            ids: Ids::new(self.id_key, self.number),
            writer,
            address_key: self.address_key,
            crowd: self.crowd,
            shelf: self.shelf,
            judges: self.judges,
            checkers: self.checkers,
            connections_max: self
                .options
                .connections_max
                .get()
                .div_ceil(self.options.threads.get()),
        }));
        drop(context);
        let work = Rc::clone(&core).run(Doors::new(doors), self.phase);
        Ok((runtime, core, work))
    }

    /// Where its outcomes go. A core without a place in the outbox serves all the same.
    fn writer(&self) -> Option<Writer> {
        let writer = self.options.outbox.as_ref()?.writer(self.number);
        if writer.is_none() {
            tracing::error!(
                core = self.number,
                "the outbox has no place for a core: its requests are not recorded"
            );
        }
        writer
    }
}

impl Taken {
    /// How many requests it answered, also when it is gone.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.served)
    }

    /// Waits until it is over, and says how many connections it cut off.
    pub(super) async fn over(&mut self) -> usize {
        (&mut self.over).await.unwrap_or_default() // one that died has said why
    }
}
