//! A server's machine on the network: who can connect to it, and what happens to its connections.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::pipe::{Flow, Pipe, Stream};

/// Precedes the number of a call in its request.
pub(super) const MARK: &[u8] = b"call-number-";

/// The machine that a client connects to.
pub(super) struct Host {
    state: Mutex<State>,
    /// Wakes those who wait for a connection.
    changed: watch::Sender<()>,
    accepted: mpsc::UnboundedSender<Stream>,
}

struct State {
    listens: bool,
    /// Whether new connections are accepted, and then nothing happens: a handshake that stalls.
    stalls: bool,
    latency: Duration,
    /// How long making a connection takes, besides a round trip.
    setup: Duration,
    to_server: Flow,
    to_client: Flow,
    connections: Vec<(Arc<Pipe>, Arc<Pipe>)>,
    established: usize,
    /// How often each call was written to a connection by the client.
    sent: HashMap<usize, u32>,
}

impl Host {
    pub(super) fn new(latency: Duration, setup: Duration) -> (Arc<Self>, mpsc::UnboundedReceiver<Stream>) {
        let (accepted, incoming) = mpsc::unbounded_channel();
        let state = State {
            listens: true,
            stalls: false,
            latency,
            setup,
            to_server: Flow::Delivers,
            to_client: Flow::Delivers,
            connections: Vec::new(),
            established: 0,
            sent: HashMap::new(),
        };
        let host = Self { state: Mutex::new(state), changed: watch::Sender::new(()), accepted };
        (Arc::new(host), incoming)
    }

    /// Makes a connection. The caller bounds the time.
    pub(super) async fn connect(self: Arc<Self>) -> io::Result<Stream> {
        let (latency, setup) = {
            let state = self.state.lock().unwrap();
            (state.latency, state.setup)
        };
        sleep(2 * latency).await;
        let reachable =
            |state: &State| state.to_server == Flow::Delivers && state.to_client == Flow::Delivers;
        self.wait_until(reachable).await;
        if !self.state.lock().unwrap().listens {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if self.state.lock().unwrap().stalls {
            std::future::pending::<()>().await;
        }
        sleep(setup).await;
        self.wait_until(reachable).await;
        self.establish()
    }

    async fn wait_until(&self, condition: impl Fn(&State) -> bool) {
        let mut changed = self.changed.subscribe();
        while !condition(&self.state.lock().unwrap()) {
            let _ = changed.changed().await;
        }
    }

    fn establish(self: &Arc<Self>) -> io::Result<Stream> {
        let mut state = self.state.lock().unwrap();
        if !state.listens {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        state.established += 1;
        let to_server = Pipe::new(state.to_server, state.latency);
        let to_client = Pipe::new(state.to_client, state.latency);
        state.connections.push((Arc::clone(&to_server), Arc::clone(&to_client)));
        let far = Stream::new(Arc::clone(&to_server), Arc::clone(&to_client));
        let _ = self.accepted.send(far);
        let host = Arc::clone(self);
        Ok(Stream::new(to_client, to_server).with_tap(move |bytes| host.record_sent(bytes)))
    }

    fn record_sent(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
            rest = &rest[at + MARK.len()..];
            let number = std::str::from_utf8(&rest[..6]).unwrap().parse().unwrap();
            *self.state.lock().unwrap().sent.entry(number).or_default() += 1;
        }
    }

    /// Refuses connections from now on, and resets those that exist.
    pub(super) fn stop(&self) {
        self.change(|state| state.listens = false);
        self.reset_connections();
    }

    pub(super) fn start(&self) {
        self.change(|state| state.listens = true);
    }

    pub(super) fn reset_connections(&self) {
        for (to_server, to_client) in self.state.lock().unwrap().connections.drain(..) {
            to_server.reset();
            to_client.reset();
        }
    }

    /// Lets the connections that exist lose what is sent in these directions, for ever. New ones
    /// aren't affected.
    pub(super) fn lose_connections(&self, to_server: bool, to_client: bool) {
        for (server_bound, client_bound) in self.state.lock().unwrap().connections.drain(..) {
            for (pipe, lost) in [(server_bound, to_server), (client_bound, to_client)] {
                if lost {
                    pipe.set_flow(Flow::Loses, Duration::ZERO);
                }
            }
        }
    }

    /// Sets what becomes of bytes in both directions. Held ones arrive `delay` after their release.
    pub(super) fn set_flow(&self, to_server: Flow, to_client: Flow, delay: Duration) {
        self.change(|state| {
            (state.to_server, state.to_client) = (to_server, to_client);
            for (server_bound, client_bound) in &state.connections {
                server_bound.set_flow(to_server, delay);
                client_bound.set_flow(to_client, delay);
            }
        });
    }

    pub(super) fn set_stalls(&self, stalls: bool) {
        self.change(|state| state.stalls = stalls);
    }

    /// Returns how many connections were made so far.
    pub(super) fn established(&self) -> usize {
        self.state.lock().unwrap().established
    }

    /// Returns how many requests of this call the client wrote to a connection.
    pub(super) fn sent(&self, call: usize) -> u32 {
        self.state.lock().unwrap().sent.get(&call).copied().unwrap_or_default()
    }

    /// Returns how many requests the client wrote to a connection.
    pub(super) fn total_sent(&self) -> u32 {
        self.state.lock().unwrap().sent.values().sum()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.send_replace(());
    }
}
